"""`fd2talk personalise`: clips of one person -> a folder of weights of a motion model for this person."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

from fd2talk.commands.inputs import is_motion_file, talking_motion
from fd2talk.commands.prepare import VIDEOS
from fd2talk.options import FaceChoice
from fd2talk.output import require_output, save_motion
from fd2talk.terminal import announce, say
from shared.errors import InputError, UsageError
from shared.face_model.morphable import MorphableModel
from shared.files import atomic_output, check_input
from shared.images import is_photo
from shared.media import FPS, video_info
from shared.motion import Motion

CARD = "README.md"
"""Written last: a folder without it is unfinished."""
_WEIGHTS = "denoiser.safetensors"
_TRAINING, _TRACKS = "training", "training/motions"


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
        source: a clip, a motion file with sound, or a folder of such.
        output: folder to write.
        name: whose face it is.
        consent: what the person agreed to.
        steps: of the optimiser.
        seed: of everything that is random.
        weights: of the base model.
        face: which face of a clip.
        overwrite: whether a finished folder may be replaced.
    """
    folder = _folder(output, overwrite)
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
    motions = [_motion(path, folder / _TRACKS, pipeline.face_model, face) for path in paths]
    seconds = sum(map(len, motions)) / FPS
    settings = Settings(steps=steps, seed=seed)
    card = {"person": name, "consent": consent, "sources": [path.name for path in paths], "seconds": round(seconds, 1)}
    run = folder / _TRAINING / "run"
    found = fine_tune(pipeline.model, pipeline.frontend, motions, run, settings=settings, card=card)
    gain = 1 - found["loss"] / found["base"]
    if gain <= 0:
        say("note: on the held-out part of the clips the person's weights are no better than those of everybody", 0)
    (folder / CARD).unlink(missing_ok=True)  # of the person before; it is written last, for weights that are whole
    with atomic_output(folder / _WEIGHTS, overwrite=True) as temporary:
        shutil.copyfile(run / "best" / _WEIGHTS, temporary)
    with atomic_output(folder / CARD, overwrite=True) as temporary:
        temporary.write_text(_card(card, Path(weights).name, steps, gain), encoding="utf-8")
    shutil.rmtree(folder / _TRAINING)
    announce(folder)


def _folder(output: str, overwrite: bool) -> Path:
    """The folder to write, which may hold an unfinished training. Raises UsageError: it may not be written."""
    folder = Path(output)
    finished = (folder / CARD).exists() and (folder / _WEIGHTS).exists()
    if folder.is_dir() and any(folder.iterdir()) and not finished and not (folder / _TRAINING).is_dir():
        raise UsageError(f"cannot write {output}: it holds something else than a person")
    if finished and not overwrite:
        raise UsageError(f"cannot write {output}: it already exists (use --overwrite)")
    require_output(folder / CARD, suffixes=(".md",), overwrite=True)
    return folder


def _paths(source: str, output: Path) -> list[Path]:
    """The clips and motions that a source names. Raises InputError: there are none, or one is without sound."""
    found = [Path(source)]
    if found[0].is_dir():
        every = (path for path in found[0].rglob("*") if output.resolve() not in path.resolve().parents)
        found = sorted(path for path in every if path.suffix.lower() in (*VIDEOS, ".npz") and path.is_file())
    if not found:
        raise InputError(f"{source}: neither videos nor motion files")
    for path in found:  # before minutes of tracking
        check_input(path)
        if not (is_photo(str(path)) or is_motion_file(str(path)) or video_info(str(path)).has_audio):
            raise InputError(f"{path}: without sound nothing can be learned about speech")
    return found


def _motion(path: Path, tracks: Path, model: MorphableModel, face: FaceChoice) -> Motion:
    """The motion of the person in a clip, tracked once."""
    stat = path.stat()
    version = repr((str(path.resolve()), stat.st_size, stat.st_mtime_ns, face, model.fingerprint))
    kept = tracks / f"{path.stem}-{hashlib.sha256(version.encode()).hexdigest()[:12]}.npz"
    if kept.exists():
        return Motion.load(kept)
    motion = talking_motion(str(path), model, face)
    if motion.face_model != model.fingerprint:
        raise InputError(f"{path}: the motion belongs to face model {motion.face_model}")
    motion = replace(motion.resample(FPS), source=str(path))
    if is_motion_file(str(path)):
        return motion
    save_motion(kept, motion, overwrite=True)
    return Motion.load(kept)  # with its sound in 16 bits, as a call that continues has it


def _card(card: dict[str, Any], weights: str, steps: int, gain: float) -> str:
    return f"""# {card["person"] or "A person"}

Weights of the motion model 3DiFACE for one person: `fd2talk generate PHOTO AUDIO --person THIS_FOLDER`.

* Whose: {card["person"] or "not stated"}
* Consent: {card["consent"] or "not stated; do not use it without the person's consent"}
* Made from: {", ".join(card["sources"])} ({card["seconds"]:g} s)
* How: `fd2talk personalise`, {steps} steps from `{weights}`, {date.today().isoformat()}
* Loss on the held-out fifth: {abs(100 * gain):.0f} % {"below" if gain > 0 else "above"} that of the model of everybody

How a person moves is personal data.
"""
