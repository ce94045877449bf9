"""VOCASET (Cudeiro et al., CVPR 2019): meshes in FLAME's topology at 60 frames a second, without head motion.

Two layouts are read: the training data (`data_verts.npy`, `subj_seq_to_idx.pkl`, `raw_audio_fixed.pkl`,
`templates.pkl`), and the meshes themselves (`unposedcleaneddata/SUBJECT/sentenceNN/*.ply`,
`audio/SUBJECT/sentenceNN.wav`, `templates/SUBJECT.ply`). The pickles are read without running what they may contain.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from fd2talk.datasets.found import Found, Reading, is_hidden
from fd2talk.datasets.ply import read_ply_vertices
from fd2talk.datasets.scanned import FLAME_VERTICES, points_of_meshes, speech_at_16_khz
from shared.array_pickle import as_array, read_pickle
from shared.errors import InputError
from shared.media import SAMPLE_RATE, read_audio
from shared.point_clip import save_points

EXPECTED = "data_verts.npy with three .pkl files, or unposedcleaneddata/SUBJECT/sentenceNN/*.ply"

_RATE = 60.0  # meshes a second
# A sentence takes seconds. What a damaged number asks for must not be allocated.
_LONGEST = 3600.0
_SUBJECT, _SENTENCE = re.compile(r"FaceTalk_\d+_\d+_TA"), re.compile(r"sentence\d\d")
_MESH = re.compile(r"sentence\d\d\.(\d+)\.ply")
_ARRAYS = ("data_verts.npy", "subj_seq_to_idx.pkl", "raw_audio_fixed.pkl", "templates.pkl")
# As the authors of VOCA print them in the README of its code; the other eight subjects are for training.
_PUBLISHED = {
    "FaceTalk_170811_03275_TA": "val",
    "FaceTalk_170908_03277_TA": "val",
    "FaceTalk_170809_00138_TA": "test",
    "FaceTalk_170731_00024_TA": "test",
}
# No pictures: readers of pictures pass over clips whose face has no pixels.
_FACTS = {"audio": "ok", "face_px": "0"}


def read(folder: Path) -> Reading:
    """Find the sequences that have sound.

    Raises:
        InputError: one of the files is damaged, or a part of the release is missing.
    """
    for place in (folder, *sorted(path for path in folder.glob("*") if path.is_dir() and not is_hidden(path.name))):
        if (place / _ARRAYS[1]).is_file():
            return _read_arrays(folder, place)
    meshes = next((place for place in (folder, folder / "unposedcleaneddata") if _subjects(place)), None)
    return Reading(folder) if meshes is None else _read_meshes(folder, meshes)


def _read_arrays(folder: Path, place: Path) -> Reading:
    if missing := [name for name in _ARRAYS if not (place / name).is_file()]:
        raise InputError(f"{place}: lacks {', '.join(missing)} of VOCASET's training data")
    reading, silent, odd = Reading(folder), [], []
    index, sounds = _subjects_of(place / _ARRAYS[1]), _subjects_of(place / _ARRAYS[2])
    templates = _pickle(place / _ARRAYS[3])
    for subject, sequence in sorted(((one, other) for one in index for other in index[one]), key=repr):
        if not (_matches(_SUBJECT, subject) and _matches(_SENTENCE, sequence)):  # names become paths
            odd.append(f"{str(subject)[:80]}/{str(sequence)[:80]}")
        elif sequence not in sounds.get(subject, {}) or subject not in templates:
            silent.append(f"{subject}/{sequence}")
        else:
            reading.clips.append(_found(subject, sequence, partial(_from_arrays, place, subject, sequence)))
    if reading.clips:
        _vertices(place / _ARRAYS[0])  # said once, not of every clip
    reading.note(
        "{sequences are left out, because their names are not those|sequence is left out, because its name is not one} "
        "of VOCASET",
        odd,
    )
    reading.note("{sequences without sound or template are|sequence without sound or template is} left out", silent)
    return reading


def _read_meshes(folder: Path, meshes: Path) -> Reading:
    reading, silent = Reading(folder), []
    root = meshes.parent if meshes.name == "unposedcleaneddata" else meshes
    for subject in _subjects(meshes):
        template = root / "templates" / f"{subject.name}.ply"
        for sequence in sorted(path for path in subject.iterdir() if _SENTENCE.fullmatch(path.name)):
            sound = root / "audio" / subject.name / f"{sequence.name}.wav"
            if sound.is_file() and template.is_file():
                make = partial(_from_meshes, sequence, sound, template)
                reading.clips.append(_found(subject.name, sequence.name, make))
            else:
                silent.append(f"{subject.name}/{sequence.name}")
    reading.note("{sequences without sound or template are|sequence without sound or template is} left out", silent)
    if silent and not reading.clips:
        raise InputError(f"{root}: lacks audio/SUBJECT/sentenceNN.wav or templates/SUBJECT.ply of VOCASET")
    return reading


def _found(subject: str, sequence: str, make: partial) -> Found:
    facts = dict(_FACTS)
    return Found(Path(subject, f"{sequence}.npz"), subject, _PUBLISHED.get(subject, "train"), facts=facts, make=make)


def _subjects(place: Path) -> list[Path]:
    return sorted(path for path in place.glob("FaceTalk_*") if _SUBJECT.fullmatch(path.name) and path.is_dir())


def _matches(pattern: re.Pattern, name: object) -> bool:
    return isinstance(name, str) and pattern.fullmatch(name) is not None


def _from_arrays(place: Path, subject: str, sequence: str, path: Path) -> None:
    """Make a clip from the training data."""
    vertices = _vertices(place / _ARRAYS[0])
    try:
        frames = sorted((int(frame), int(row)) for frame, row in _pickle(place / _ARRAYS[1])[subject][sequence].items())
        if not frames:
            raise ValueError("it has no frames")
        times = _times([frame for frame, _ in frames])
        if not all(0 <= row < len(vertices) for _, row in frames):
            raise ValueError(f"it names meshes beyond the {len(vertices)} that are there")
        sound = _pickle(place / _ARRAYS[2])[subject][sequence]
        audio = speech_at_16_khz(as_array(sound["audio"]), int(sound["sample_rate"]))
        template = as_array(_pickle(place / _ARRAYS[3])[subject])
        meshes = np.asarray(vertices[[row for _, row in frames]])
    except InputError as error:
        raise InputError(f"{place}: {subject}/{sequence}: {error}") from None
    except (OSError, AttributeError, ArithmeticError, LookupError, TypeError, ValueError) as error:
        raise InputError(f"{place}: not VOCASET's training data ({subject}/{sequence}: {error})") from None
    _save(path, meshes, times, template, audio)


def _vertices(path: Path) -> np.ndarray:
    """All meshes, which stay on the disk until they are used."""
    try:
        vertices = np.load(path, mmap_mode="r", allow_pickle=False)
        if vertices.ndim != 3 or vertices.shape[1:] != (FLAME_VERTICES, 3) or vertices.dtype.kind != "f":
            raise ValueError(f"its shape is {list(vertices.shape)} of {vertices.dtype}")
    except (OSError, EOFError, ArithmeticError, AttributeError, TypeError, ValueError) as error:
        why = " ".join(str(error).split())[:120]
        raise InputError(f"{path}: not the meshes of VOCASET's training data ({why})") from None
    return vertices


def _times(numbers: Iterable[int], of: Path | None = None) -> np.ndarray:
    """Seconds of meshes with these numbers."""
    numbers = list(numbers)
    if (odd := next((number for number in numbers if not 0 <= number <= _LONGEST * _RATE), None)) is not None:
        raise InputError(f"{f'{of}: ' if of else ''}{str(odd)[:20]} is not the number of a frame")
    return np.array(numbers) / _RATE


def _from_meshes(folder: Path, sound: Path, template: Path, path: Path) -> None:
    """Make a clip from a folder of meshes, which are numbered; a number may be missing."""
    files = sorted((int(match[1]), file) for file in folder.iterdir() if (match := _MESH.fullmatch(file.name)))
    if not files:
        raise InputError(f"{folder}: contains no meshes such as {folder.name}.000001.ply")
    times = _times((number for number, _ in files), folder) - 1 / _RATE  # number 1 is where the sound begins
    meshes = [read_ply_vertices(file) for _, file in files]
    if odd := next((file for mesh, (_, file) in zip(meshes, files) if mesh.shape != (FLAME_VERTICES, 3)), None):
        raise InputError(f"{odd}: has another number of vertices than {FLAME_VERTICES}")
    _save(path, np.stack(meshes), times, read_ply_vertices(template), read_audio(sound))


def _save(path: Path, meshes: np.ndarray, times: np.ndarray, template: np.ndarray, audio: np.ndarray) -> None:
    try:
        points = points_of_meshes(meshes, times, template)
    except InputError as error:
        raise InputError(f"{path.parent.name}/{path.stem}: {error}") from None
    save_points(path, points, audio[round(max(times[0], 0) * SAMPLE_RATE) :])


def _subjects_of(path: Path) -> dict[Any, dict]:
    """A table of subjects, with a table of sequences each."""
    table = _pickle(path)
    for subject, inner in table.items():
        if not isinstance(inner, dict):
            what = f"{str(subject)[:80]} has no sequences"
            raise InputError(f"{path}: not a part of VOCASET's training data ({what})")
    return table


@lru_cache(maxsize=4)
def _pickle(path: Path) -> dict:
    return read_pickle(path, "part of VOCASET's training data", "a data set")
