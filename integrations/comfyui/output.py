"""Nodes of stage two, and those that write files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch

from fd2talk import cli_options as common
from fd2talk.export.writer import export
from fd2talk.output import write_video
from fd2talk.provenance.signer import Signer
from shared.errors import InputError
from shared.files import check_input
from shared.media import FPS
from shared.motion import Motion
from shared.photo_fit import PhotoFit

from . import engine, host, media
from .checks import check_connected, check_images, in_terms_of_widgets
from .speech import CATEGORY, MOTION, PHOTO
from .widgets import Widgets

_FORMATS = ("glb", "csv", "json", "vrma", "npz")

_MOST_FPS = 120.0

_render = Widgets(
    common.renderer_with_switches,
    common.framing,
    common.running,
    only=("renderer", "max_size", "full", "precision", "render_steps", "no_shared_noise", "device"),
    basic=("renderer", "max_size", "full"),
)
_export = Widgets(common.export)


class Render:
    """Stage two: frames in memory."""

    CATEGORY = CATEGORY
    FUNCTION = "render"
    RETURN_TYPES = ("IMAGE", "AUDIO", "FLOAT")
    RETURN_NAMES = ("images", "audio", "fps")
    DESCRIPTION = "Renders a motion with the face of a photo. All frames are in memory: 12 bytes per pixel."

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, dict]:
        """See ComfyUI."""
        return {"required": {"photo": (PHOTO, {}), "motion": (MOTION, {}), **_render.inputs()}}

    @in_terms_of_widgets()
    def render(self, photo: PhotoFit, motion: Motion, **values: Any) -> tuple[torch.Tensor, dict[str, Any], float]:
        """Run the node. Raises as `RenderPipeline.__call__`."""
        check_connected(photo, PhotoFit, "photo")
        check_connected(motion, Motion, "motion")
        options = _render.read(values)
        moves = motion.resample(FPS)
        with host.noted():
            pipeline = engine.render_pipeline(options["renderer"], options["device"])
            frames = pipeline(photo, moves, **vars(options["framing"]), **options["renderer"].settings)
            images = media.images(frames, len(moves), host.watcher())
        return images, media.sound(moves.audio), float(FPS)


class SaveVideo:
    """An MP4 with fd2talk's tag, and its signature where the environment names a certificate."""

    CATEGORY = CATEGORY
    FUNCTION = "save"
    RETURN_TYPES = ("STRING",)
    RETURN_NAMES = ("path",)
    OUTPUT_NODE = True
    DESCRIPTION = (
        "Writes an MP4 video that is tagged as synthetic, and signed with C2PA if FD2TALK_C2PA_CERTIFICATE and "
        "FD2TALK_C2PA_KEY name a certificate and its key. Other nodes that write video do neither."
    )

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, dict]:
        """See ComfyUI."""
        fps = {"default": float(FPS), "min": 1.0, "max": _MOST_FPS, "step": 0.01, "tooltip": "Frames a second."}
        return {
            "required": {
                "images": ("IMAGE", {}),
                "fps": ("FLOAT", fps),
                "filename_prefix": ("STRING", {"default": "fd2talk/talk"}),
            },
            "optional": {"audio": ("AUDIO", {"tooltip": "Sound; kept at its own sampling rate."})},
        }

    @in_terms_of_widgets()
    def save(
        self, images: torch.Tensor, fps: float, filename_prefix: str, audio: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Run the node. Raises as `write_video`."""
        signer = Signer.from_environment()
        height, width = check_images(images).shape[1:3]
        if not 1 <= fps <= _MOST_FPS:
            raise InputError(f"fps: {fps:g} frames a second are not from 1 to {_MOST_FPS:g}")
        if height % 2 or width % 2:
            raise InputError(f"a video needs an even width and height, not {width} x {height}")
        path, shown = host.new_file(filename_prefix, ".mp4", width, height)
        with host.noted(), media.sound_file(audio) as sound:
            write_video(path, media.pictures(images), audio=sound, fps=fps, signer=signer)
        return {"ui": {"images": [shown], "animated": (True,)}, "result": (str(path),)}


class Export:
    """A motion as a file of other programs, or of fd2talk."""

    CATEGORY = CATEGORY
    FUNCTION = "export"
    RETURN_TYPES = ("STRING",)
    RETURN_NAMES = ("path",)
    OUTPUT_NODE = True
    DESCRIPTION = (
        "Writes a motion: glb (animated mesh), csv (ARKit curves or visemes), json (TalkingHead), vrma (VRM avatars), "
        "npz (motion file of fd2talk)."
    )

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, dict]:
        """See ComfyUI."""
        return {
            "required": {
                "motion": (MOTION, {}),
                "format": (list(_FORMATS), {"default": _FORMATS[0]}),
                "filename_prefix": ("STRING", {"default": "fd2talk/motion"}),
                **_export.inputs(),
            },
            "optional": {"photo": (PHOTO, {"tooltip": "Texture of a glb."})},
        }

    @in_terms_of_widgets()
    def export(
        self, motion: Motion, format: str, filename_prefix: str, photo: PhotoFit | None = None, **values: Any
    ) -> dict[str, Any]:
        """Run the node. Raises as `fd2talk.export.writer.export`."""
        check_connected(motion, Motion, "motion")
        options = _export.read(values)["options"]
        path, _ = host.new_file(filename_prefix, f".{format}")
        if format == "npz":
            motion.save(path)
            told = f"motion file, {len(motion)} frames"
        else:
            with host.noted():
                told = export(motion, path, photo=photo, options=options).content
        return {"ui": {"text": (f"{path.name}: {told}",)}, "result": (str(path),)}


class LoadMotion:
    """A motion file from ComfyUI's input folder."""

    CATEGORY = CATEGORY
    FUNCTION = "load"
    RETURN_TYPES = (MOTION,)
    RETURN_NAMES = ("motion",)
    DESCRIPTION = "Reads a motion file (.npz) of fd2talk from ComfyUI's input folder."

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, dict]:
        """See ComfyUI."""
        return {"required": {"file": (host.input_files(".npz"), {"tooltip": "Of fd2talk motion, track or edit."})}}

    @classmethod
    def VALIDATE_INPUTS(cls, file: str) -> bool | str:
        """Before anything runs; also of files that were not there when the page was loaded."""
        try:
            check_input(host.input_path(file))
        except InputError as error:
            return str(error)
        return True

    @classmethod
    def IS_CHANGED(cls, file: str) -> str:
        """Changes when the file does."""
        facts = os.stat(host.input_path(file))
        return f"{facts.st_size} {facts.st_mtime_ns}"

    def load(self, file: str) -> tuple[Motion]:
        """Run the node. Raises InputError: no motion file."""
        return (Motion.load(Path(host.input_path(file))),)
