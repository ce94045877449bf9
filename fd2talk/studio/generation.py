"""Generate a video and its files from photo, speech and settings: the work of a job."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from fd2talk.commands.style import read_style
from fd2talk.export.writer import export
from fd2talk.output import write_video
from fd2talk.studio.engine import Engine
from fd2talk.studio.jobs import Report
from fd2talk.studio.workspace import Workspace
from shared.audio import FPS, SAMPLE_RATE
from shared.motion import Motion
from shared.photo_fit import PhotoFit
from stage1_motion.interface import SamplingOptions

PREVIEW_FRAMES = 25
# The motion of longer speech takes so long that the preview is made from the beginning alone.
_LONG_SECONDS, _BEGINNING_SECONDS = 12.0, 3.0


@dataclass(frozen=True)
class Settings:
    """The settings of a video; the defaults are those of `fd2talk generate`.

    `style` is the name of a style, or a clip or motion file; for the rest see `fd2talk generate --help`.
    """

    model: str = "fd2talk"
    style: str | Path | None = None
    seed: int = 0
    expression_scale: float = 1.0
    pose_scale: float = 1.0
    still: bool = False
    renderer: str = "repair"
    full: bool = True
    max_size: int = 1280

    @property
    def sampling(self) -> SamplingOptions:
        """For the motion model."""
        return SamplingOptions(expression_scale=self.expression_scale, pose_scale=self.pose_scale)


@dataclass
class Generated:
    """A talking portrait and its files, in the visitor's folder.

    Args:
        photo: whose face it is.
        motion: at 25 frames per second, with its sound at 16 kHz.
        sound: the file with the speech; videos use it at its own sampling rate.
        settings: it was made with.
        face: number of the face in the photo, or None where it is the only one.
        files: what can be downloaded: "mp4", "glb", "csv", "npz".
    """

    photo: PhotoFit
    motion: Motion
    sound: Path
    settings: Settings
    face: int | None = None
    files: dict[str, Path] = field(default_factory=dict)

    @property
    def command(self) -> str:
        """The equivalent command line."""
        words = ["fd2talk generate PHOTO SPEECH -o talk.mp4"]
        if self.face is not None:
            words.append(f"--face-index {self.face}")
        for name, default in vars(Settings()).items():
            value = getattr(self.settings, name)
            if name == "full" and not value:
                words.append("--crop")
            elif name != "full" and value != default:
                shown = value.name if isinstance(value, Path) else value
                words.append(f"--{name.replace('_', '-')}" + ("" if value is True else f" {shown}"))
        return " ".join(words)


def generate(
    engine: Engine,
    workspace: Workspace,
    photo: PhotoFit,
    sound: Path,
    speech: np.ndarray,
    settings: Settings,
    report: Report,
    *,
    face: int | None = None,
    label: str = "",
) -> Generated:
    """Generate one video; a preview of its first second is reported as soon as that is rendered.

    Args:
        engine: the pipelines.
        workspace: where files go.
        photo: fitted.
        sound: the file with the speech.
        speech: read from it, float32 [n] at 16 kHz.
        settings: chosen.
        report: receives progress, and the path of the preview.
        face: number of the face, where there are several.
        label: before each line of progress.

    Raises:
        Fd2TalkError: as `TalkingHeadPipeline`, and `Cancelled`.
    """
    report(f"{label}loading the models")
    speech_to_motion, render = engine.speech_to_motion(settings.model), engine.renderer(settings.renderer)
    style = None
    if isinstance(settings.style, Path):
        report(f"{label}reading the style of the clip")
        style = read_style(str(settings.style), speech_to_motion)
    elif settings.style is not None:
        style = speech_to_motion.named_style(settings.style)

    def motion_of(sound: np.ndarray) -> Motion:
        return speech_to_motion(
            sound, photo=photo, seed=settings.seed, options=settings.sampling, still=settings.still, style=style,
            progress=lambda done, total: report(f"{label}generating the motion", done, total),
        ).resample(FPS)  # fmt: skip

    def frames_of(motion: Motion) -> Iterator[np.ndarray]:
        return render(photo, motion, full=settings.full, max_size=settings.max_size, relative=False)

    preview = workspace.new(".mp4")
    try:
        is_long = len(speech) > _LONG_SECONDS * SAMPLE_RATE
        if is_long:
            first = _beginning(motion_of(speech[: round(_BEGINNING_SECONDS * SAMPLE_RATE)]))
            report(f"{label}rendering a preview")
            _preview([*frames_of(first)], speech, preview, report)
        motion = motion_of(speech)
        video = workspace.new(".mp4")
        watched = _watched(frames_of(motion), len(motion), report, label, None if is_long else (speech, preview))
        write_video(video, watched, audio=sound, source=motion.source, signer=engine.signer)
        report(f"{label}writing the files")
        made = Generated(photo, motion, sound, settings, face, {"mp4": video})
        write_files(made, workspace)
        return made
    finally:
        workspace.discard(preview)


def write_files(made: Generated, workspace: Workspace) -> None:
    """Write the other downloads: mesh, curves and motion, as `fd2talk export` and `fd2talk motion` do."""
    for suffix in ("glb", "csv", "npz"):
        path = workspace.new(f".{suffix}")
        if suffix == "npz":
            made.motion.save(path)
        else:
            export(made.motion, path, photo=made.photo if suffix == "glb" else None)
        made.files[suffix] = path


def _watched(
    frames: Iterator[np.ndarray], count: int, report: Report, label: str, preview: tuple[np.ndarray, Path] | None
) -> Iterator[np.ndarray]:
    """Pass frames on, report their number, and write a preview of the first second."""
    first: list[np.ndarray] = []
    with closing(frames):
        for number, frame in enumerate(frames, 1):
            yield frame
            report(f"{label}rendering", number, count)
            if preview is not None and number <= PREVIEW_FRAMES < count:
                first.append(frame)
                if number == PREVIEW_FRAMES:
                    _preview(first, *preview, report)
                    first = []


def _beginning(motion: Motion) -> Motion:
    part = slice(0, PREVIEW_FRAMES)
    return replace(
        motion,
        expression=motion.expression[part],
        rotation=motion.rotation[part],
        translation=motion.translation[part],
    )


def _preview(frames: list[np.ndarray], speech: np.ndarray, path: Path, report: Report) -> None:
    sound = speech[: len(frames) * SAMPLE_RATE // FPS].astype(np.float32)
    write_video(path, frames, audio=sound, crf=23)
    report.show(path)
