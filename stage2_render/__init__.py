"""Stage two: photo and Motion -> frames. Never imports stage one."""

RENDERERS = ("geometry", "repair", "diffusion")
"""The warp alone; the warp with mouth and eyes repaired by networks; FD2Talk's diffusion."""

DEFAULT_RENDERER = "repair"

PRECISIONS = ("auto", "float32", "bf16", "int8")
"""Of the networks; auto: int8 (repair alone) or bf16 where the processor is faster in it."""
