"""Nodes of fd2talk for ComfyUI: copy or link this folder into `custom_nodes` (README.md)."""

try:
    import fd2talk  # noqa: F401 - the nodes are thin; everything that they do is in the package
except ModuleNotFoundError as error:
    raise ImportError(
        "the nodes of fd2talk need the package fd2talk in ComfyUI's own Python (see README.md)"
    ) from error

from .output import Export, LoadMotion, Render, SaveVideo
from .speech import Edit, Photo, SpeechToMotion, StyleOf

NODE_CLASS_MAPPINGS = {
    "Fd2talkPhoto": Photo,
    "Fd2talkStyle": StyleOf,
    "Fd2talkSpeechToMotion": SpeechToMotion,
    "Fd2talkEdit": Edit,
    "Fd2talkRender": Render,
    "Fd2talkSaveVideo": SaveVideo,
    "Fd2talkExport": Export,
    "Fd2talkLoadMotion": LoadMotion,
}
NODE_DISPLAY_NAME_MAPPINGS = {
    "Fd2talkPhoto": "Portrait Photo (fd2talk)",
    "Fd2talkStyle": "Speaking Style (fd2talk)",
    "Fd2talkSpeechToMotion": "Speech to Motion (fd2talk)",
    "Fd2talkEdit": "Edit Motion (fd2talk)",
    "Fd2talkRender": "Render Portrait (fd2talk)",
    "Fd2talkSaveVideo": "Save Tagged Video (fd2talk)",
    "Fd2talkExport": "Export Motion (fd2talk)",
    "Fd2talkLoadMotion": "Load Motion (fd2talk)",
}

__all__ = ["NODE_CLASS_MAPPINGS", "NODE_DISPLAY_NAME_MAPPINGS"]
