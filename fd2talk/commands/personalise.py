"""`fd2talk personalise`: clips of one person -> a folder of weights of a motion model for this person."""

from __future__ import annotations

import shutil
import warnings
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

from fd2talk.commands.inputs import load_motion
from fd2talk.commands.prepare import VIDEOS
from fd2talk.options import FaceChoice
from fd2talk.terminal import announce, say
from fd2talk.track import video_motion
from shared.errors import InputError, UsageError
from shared.face_model.morphable import MorphableModel
from shared.files import atomic_output, check_input
from shared.media import FPS
from shared.motion import Motion

CARD = "README.md"
"""Written last: a folder without it is unfinished."""
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
    paths = _paths(source)
    try:
        from stage1_motion.models.diface.personalisation import LEAST_SECONDS, Settings
        from stage1_motion.models.diface.personalisation import personalise as fine_tune
    except ModuleNotFoundError as error:  # of the extra: accelerate
        raise UsageError(f'personalising needs the package {error.name}: pip install "fd2talk[train]"') from error
    from stage1_motion.models.diface.model import Diface
    from stage1_motion.pipeline import MotionPipeline

    pipeline = MotionPipeline.from_pretrained(weights, model="diface")
    assert isinstance(pipeline.model, Diface)
    motions = [_motion(path, folder, pipeline.face_model, face) for path in paths]
    seconds = sum(map(len, motions)) / FPS
    if seconds < LEAST_SECONDS:
        warnings.warn(
            f"{seconds:.0f} s are little to learn a person from: with less than {LEAST_SECONDS:.0f} s the result may "
            "be worse than the model of everybody",
            stacklevel=2,
        )
    settings = Settings(steps=steps, seed=seed)
    card = {"person": name, "consent": consent, "sources": [path.name for path in paths], "seconds": round(seconds, 1)}
    found = fine_tune(
        pipeline.model, pipeline.frontend, motions, folder / _TRAINING / "run", settings=settings, card=card
    )
    gain = 1 - found["loss"] / found["base"]
    if gain <= 0:
        say("note: on the held-out part of the clips the person's weights are no better than those of everybody", 0)
    shutil.copy(folder / _TRAINING / "run" / "best" / "denoiser.safetensors", folder / "denoiser.safetensors")
    with atomic_output(folder / CARD, overwrite=True) as temporary:
        temporary.write_text(_card(card, steps, gain), encoding="utf-8")
    shutil.rmtree(folder / _TRAINING)
    announce(folder)


def _folder(output: str, overwrite: bool) -> Path:
    """The folder to write, which may hold an unfinished training. Raises UsageError: it may not be written."""
    folder = Path(output)
    if (folder / CARD).exists() and not overwrite:
        raise UsageError(f"cannot write {output}: it already exists (use --overwrite)")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / CARD).exists() and not (folder / _TRAINING).is_dir():
        raise UsageError(f"cannot write {output}: it holds something else than a person")
    try:
        (folder / CARD).unlink(missing_ok=True)
        (folder / _TRACKS).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot write {output}: {error.strerror}") from error
    return folder


def _paths(source: str) -> list[Path]:
    """The clips and motions that a source names. Raises InputError: there are none."""
    if not Path(source).is_dir():
        return [check_input(source)]
    found = sorted(p for p in Path(source).rglob("*") if p.suffix.lower() in (*VIDEOS, ".npz") and p.is_file())
    if not found:
        raise InputError(f"{source}: neither videos nor motion files")
    return found


def _motion(path: Path, folder: Path, model: MorphableModel, face: FaceChoice) -> Motion:
    """The motion of the person in a clip, tracked once."""
    kept = folder / _TRACKS / f"{path.stem}.npz"
    if kept.exists():
        return Motion.load(kept, face_model=model.fingerprint)
    motion = video_motion(str(path), model, face) if face else load_motion(str(path), model)
    if motion.face_model != model.fingerprint:
        raise InputError(f"{path}: the motion belongs to face model {motion.face_model}")
    if motion.audio is None:
        raise InputError(f"{path}: without sound nothing can be learned about speech")
    motion = replace(motion.resample(FPS), source=str(path))
    motion.save(kept)
    return motion


def _card(card: dict[str, Any], steps: int, gain: float) -> str:
    return f"""# {card["person"] or "A person"}

Weights of the motion model 3DiFACE for one person: `fd2talk generate PHOTO AUDIO --person THIS_FOLDER`.

* Whose: {card["person"] or "not stated"}
* Consent: {card["consent"] or "not stated; do not use it without the person's consent"}
* Made from: {", ".join(card["sources"])} ({card["seconds"]:g} s)
* How: `fd2talk personalise`, {steps} steps from the bundled weights, {date.today().isoformat()}
* Loss on the held-out fifth: {100 * gain:.0f} % below that of the model of everybody

How a person moves is personal data.
"""
