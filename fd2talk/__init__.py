"""FD2Talk: one photo and one recording of speech become a talking-portrait video.

`import fd2talk` is all that a program needs: ``fd2talk.TalkingHeadPipeline`` and the other names of `__all__` are
imported when they are first used, so that the import itself is instant.
"""

import os
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

_MODULES = {
    "Motion": "shared.motion",
    "MotionPipeline": "stage1_motion.pipeline",
    "PhotoFit": "shared.photo_fit",
    "PostProcessing": "stage1_motion.postprocessing",
    "RenderPipeline": "stage2_render.pipeline",
    "SamplingOptions": "stage1_motion.interface",
    "Signer": "fd2talk.provenance.signer",
    "Style": "stage1_motion.style",
    "TalkingHeadPipeline": "fd2talk.pipeline",
    "read_audio": "shared.media",
    "read_image": "shared.media",
    "write_video": "fd2talk.output",
}
__all__ = [*_MODULES, "__version__"]


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import version

        return version("fd2talk")
    if name not in _MODULES:
        raise AttributeError(f"module 'fd2talk' has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _foreign_package() -> str | None:
    """Describe a foreign package that hides one of ours, whose names are so general that others use them too."""
    for name in ("shared", "stage1_motion", "stage2_render"):
        spec = find_spec(name)
        paths = [*(spec.submodule_search_locations or [str(spec.origin)])] if spec else []
        if paths and not os.path.samefile(Path(paths[0]).parent, Path(__file__).parent.parent):
            return (
                f"{paths[0]} hides the package `{name}` of fd2talk: rename it, or take its folder off Python's search "
                "path (PYTHONPATH, or the folder that Python is started in)"
            )
    return None


if _problem := _foreign_package():
    # On the command line nothing of ours runs that could turn an exception into a line.
    if Path(sys.argv[0]).stem == "fd2talk" or (sys.argv[0] == "-m" and "fd2talk" in sys.orig_argv):
        sys.exit(f"fd2talk: {_problem}")
    raise ImportError(_problem)
