"""Stage two: photo and Motion -> frames. Never imports stage one."""

RENDERERS = ("geometry", "diffusion")
"""Ways to paint: the warp alone, or the warp repaired by networks."""

DEFAULT_RENDERER = "diffusion"
