"""Stage two: photo and Motion -> frames. Never imports stage one."""

RENDERERS = ("geometry", "diffusion")
"""The warp alone, or the warp repaired by diffusion networks."""

DEFAULT_RENDERER = "diffusion"
