"""Stage two: photo and Motion -> frames. Never imports stage one."""

RENDERERS = ("geometry", "diffusion")
"""The photo warped to the mesh, or every frame painted from noise by FD2Talk's diffusion networks."""

DEFAULT_RENDERER = "geometry"
