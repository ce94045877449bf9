"""Stage two: photo and Motion -> frames. Never imports stage one."""

RENDERERS = ("geometry", "repair", "diffusion")
"""The warp alone; the warp with mouth and eyes repaired by networks; FD2Talk's diffusion."""

DEFAULT_RENDERER = "repair"
