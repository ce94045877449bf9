"""`fd2talk personalise`: clips of one person -> a folder of weights of a motion model for this person."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

from fd2talk.commands.inputs import is_motion_file, talking_motion
from fd2talk.options import FaceChoice
from fd2talk.output import require_output, save_motion
from fd2talk.progress import progress
from fd2talk.suffixes import VIDEOS
from fd2talk.terminal import announce, say
from shared.errors import InputError, UsageError
from shared.face_model.morphable import MorphableModel
from shared.files import atomic_output, check_input, new_folders
from shared.images import is_photo
from shared.media import FPS, video_info
from shared.motion import Motion

CARD = "README.md"
"""Written last: a folder without it is unfinished."""
_WEIGHTS = "denoiser.safetensors"
_WORK, _TRACKS, _RUN = ".personalise", ".personalise/motions", ".personalise/run"
_MARKER, _MARK = ".personalise/about.txt", "An unfinished `fd2talk personalise`. The same command continues it.\n"
"""Marks an unfinished folder as made by this command."""
_OF_CARD = "* How: `fd2talk personalise`,"
T = TypeVar("T")


def personalise(
    source: str,
    output: str,
    *,
    name: str,
    consent: str,
    steps: int,
    seed: int,
    weights: str,
    face: FaceChoice,
    overwrite: bool,
) -> None:
    """Fine-tune 3DiFACE on one person; a call that was stopped is continued.

    Args:
        source: a clip, a motion file with sound, or a folder of them, of which unusable ones are skipped.
        output: folder to write.
        name: whose face it is.
        consent: what the person agreed to.
        steps: of the optimiser.
        seed: of everything that is random.
        weights: of the base model.
        face: which face of a clip.
        overwrite: whether a finished folder may be replaced.
    """
    folder = _folder(output, source, overwrite)
    paths = _paths(source, folder)
    try:
        from stage1_motion.models.diface.personalisation import Settings
        from stage1_motion.models.diface.personalisation import personalise as fine_tune
    except ModuleNotFoundError as error:  # of the extra: accelerate
        raise UsageError(f'personalising needs the package {error.name}: pip install "fd2talk[train]"') from error
    from stage1_motion.models.diface.model import Diface
    from stage1_motion.pipeline import MotionPipeline

    pipeline = MotionPipeline.from_pretrained(weights, model="diface")
    assert isinstance(pipeline.model, Diface)
    run = folder / _RUN
    with new_folders(folder):
        used = _usable(paths, lambda path: (path.name, _motion(path, folder, pipeline.face_model, face)))
        sources, motions = [name for name, _ in used], [motion for _, motion in used]
        seconds = sum(map(len, motions)) / FPS
        settings = Settings(steps=steps, seed=seed)
        card = {"person": name, "consent": consent, "sources": sources, "seconds": round(seconds, 1)}
        _begin(folder)
        try:
            with progress(steps, "learning", "step") as bar:
                found = fine_tune(
                    pipeline.model,
                    pipeline.frontend,
                    motions,
                    run,
                    settings=settings,
                    card=card,
                    progress=bar.update_to,
                )
        except InputError:  # nothing that can be learned from
            _remove_work(folder)
            raise
    gain = 1 - found["loss"] / found["base"]
    if gain <= 0:
        say("note: on the held-out part of the clips the person's weights are no better than those of everybody", 0)
    (folder / CARD).unlink(missing_ok=True)  # of the person before; it is written last, for weights that are whole
    with atomic_output(folder / _WEIGHTS, overwrite=True) as temporary:
        shutil.copyfile(run / "best" / _WEIGHTS, temporary)
    with atomic_output(folder / CARD, overwrite=True) as temporary:
        temporary.write_text(_card(card, Path(weights).name, steps, gain), encoding="utf-8")
    _remove_work(folder)
    announce(folder)


def _folder(output: str, source: str, overwrite: bool) -> Path:
    """The folder to write, which may hold an unfinished training. Raises UsageError: it may not be written."""
    folder = Path(output)
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"cannot write {output}: it is a file, not a folder")
    if folder.resolve() in Path(source).resolve().parents:
        raise UsageError(f"cannot write {output}: {source} lies in it")
    own = {name: is_own(folder / name) for name, is_own in _OWN.items() if (folder / name).exists()}
    if other := next((name for name, is_own in own.items() if not is_own), None):
        raise UsageError(f"cannot write {output}: its {other} is not of `fd2talk personalise`")
    finished = {CARD, _WEIGHTS} <= own.keys()
    if folder.is_dir() and any(folder.iterdir()) and not finished and _MARKER not in own:
        raise UsageError(f"cannot write {output}: it holds something else than a person")
    if finished and not overwrite:
        raise UsageError(f"cannot write {output}: it already exists (use --overwrite)")
    require_output(folder / CARD, suffixes=(".md",), overwrite=True)
    return folder


def _holds(path: Path, text: str) -> bool:
    """Whether a file contains a text."""
    try:
        return text in path.read_text(encoding="utf-8")
    except (OSError, UnicodeError):
        return False


def _is_of_person(path: Path) -> bool:
    """Whether weights are those of a person."""
    from shared.checkpoint import read_header

    try:
        return "person" in read_header(path, "3DiFACE denoiser")
    except InputError:
        return False


_OWN: dict[str, Callable[[Path], bool]] = {
    CARD: lambda path: _holds(path, _OF_CARD),
    _WEIGHTS: _is_of_person,
    _WORK: lambda path: _holds(path.parent / _MARKER, _MARK),
    _MARKER: lambda path: _holds(path, _MARK),
}
"""Names of files that are written -> test whether an existing one was written by this command."""


def _begin(folder: Path) -> None:
    """Create the working folder with the marker of this command."""
    (folder / _WORK).mkdir(parents=True, exist_ok=True)
    (folder / _MARKER).write_text(_MARK, encoding="utf-8")


def _remove_work(folder: Path) -> None:
    """Remove the files of the training, and nothing else."""
    for name in (_TRACKS, _RUN):
        shutil.rmtree(folder / name, ignore_errors=True)
    (folder / _MARKER).unlink(missing_ok=True)
    with suppress(OSError):  # it has other files
        (folder / _WORK).rmdir()


def _paths(source: str, output: Path) -> list[Path]:
    """List the clips and motions of a source. Raises InputError: there are no usable ones."""
    found = [Path(source)]
    if found[0].is_dir():
        every = (path.relative_to(source) for path in found[0].rglob("*"))
        shown = (Path(source) / path for path in every if not any(part.startswith(".") for part in path.parts))
        outside = (path for path in shown if output.resolve() not in path.resolve().parents)
        found = sorted(path for path in outside if path.suffix.lower() in (*VIDEOS, ".npz") and path.is_file())
        if not found:
            raise InputError(f"{source}: neither videos nor motion files")
    return _usable(found, _checked)


def _checked(path: Path) -> Path:
    """Check a file before minutes of tracking, and return it. Raises InputError: it is unusable."""
    check_input(path)
    if not (is_photo(str(path)) or is_motion_file(str(path)) or video_info(str(path)).has_audio):
        raise InputError(f"{path}: the video has no sound, without which nothing can be learned about speech")
    return path


def _usable(paths: Sequence[Path], use: Callable[[Path], T]) -> list[T]:
    """Apply `use` to files; of several, unusable ones are skipped with a note.

    Raises:
        InputError: none is usable.
    """
    results = []
    for path in paths:
        try:
            results.append(use(path))
        except InputError as error:
            if len(paths) == 1:
                raise
            say(f"note: left out: {error}", 0)
    if not results:
        raise InputError(f"none of {len(paths)} files can be used")
    return results


def _motion(path: Path, folder: Path, model: MorphableModel, face: FaceChoice) -> Motion:
    """The motion of the person in a clip, tracked once."""
    from stage1_motion.models.diface.personalisation import check_learnable

    stat = path.stat()
    version = repr((str(path.resolve()), stat.st_size, stat.st_mtime_ns, face, model.fingerprint))
    kept = folder / _TRACKS / f"{path.stem}-{hashlib.sha256(version.encode()).hexdigest()[:12]}.npz"
    if kept.exists():
        return Motion.load(kept)
    motion = talking_motion(str(path), model, face)
    if motion.face_model != model.fingerprint:
        raise InputError(f"{path}: the motion belongs to face model {motion.face_model}")
    motion = replace(motion.resample(FPS), source=str(path))
    check_learnable(motion)
    if is_motion_file(str(path)):
        return motion
    _begin(folder)
    save_motion(kept, motion, overwrite=True)
    return Motion.load(kept)  # with its sound in 16 bits, as a call that continues has it


def _card(card: dict[str, Any], weights: str, steps: int, gain: float) -> str:
    return f"""# {card["person"] or "A person"}

Weights of the motion model 3DiFACE for one person: `fd2talk generate PHOTO AUDIO --person THIS_FOLDER`.

* Whose: {card["person"] or "not stated"}
* Consent: {card["consent"] or "not stated; do not use it without the person's consent"}
* Made from: {", ".join(card["sources"])} ({card["seconds"]:g} s)
{_OF_CARD} {steps} steps from `{weights}`, {date.today().isoformat()}
* Loss on the held-out fifth: {abs(100 * gain):.0f} % {"below" if gain > 0 else "above"} that of the model of everybody

How a person moves is personal data.
"""
