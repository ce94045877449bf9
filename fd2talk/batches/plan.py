"""Rows of a table -> jobs: every row is checked before any work, and gets the name of its video."""

from __future__ import annotations

import hashlib
import json
import math
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import fd2talk
from fd2talk.batches.job import FAILED, Job, Outcome
from fd2talk.batches.manifest import Row
from fd2talk.request import OPTIONS, Request, request_from
from shared.containers import open_media
from shared.errors import Fd2TalkError, InputError, UsageError
from shared.files import check_input
from shared.media import FPS
from shared.published_files import digest

if TYPE_CHECKING:
    from fd2talk.provenance.signer import Signer

_LONGEST_NAME = 100
# Of a row's options, those that name files.
_FILES = ("style", "person", "pose_from")
# Those that take a value, and what switches take for yes.
_VALUED = {option.name for option in OPTIONS if not option.is_flag}
_YES = ("true", "yes", "on", "1", "t", "y")


def plan(rows: Iterable[Row], out: Path, weights: str, signer: Signer | None = None) -> list[Job | Outcome]:
    """Check rows, in their order.

    Args:
        rows: of the table.
        out: folder of the videos.
        weights: `bundled`, or a folder.
        signer: signs the videos, or None.

    Returns:
        A job for each row, or an outcome that says why it fails: a missing file, a value that its option does not take,
        an output outside of the folder, or that of a row before.
    """
    weights_digest = "" if weights == "bundled" else _digest(weights)
    signed = {"certificate": _digest(str(signer.certificate))} if signer else {}
    planned: list[Job | Outcome] = []
    taken: dict[str, str] = {}
    lengths: dict[str, int] = {}
    for row in rows:
        output = ""
        try:
            if row.error:
                raise UsageError(row.error)
            check_input(row.photo)
            if row.audio not in lengths:
                lengths[row.audio] = _frames(row.audio)
            request = request_from(row.photo, row.audio, row.values)
            output = _output(row, taken, out)
            facts = _facts(request, weights_digest) | signed
            key = hashlib.sha256(json.dumps([output, facts], sort_keys=True).encode()).hexdigest()
            planned.append(Job(row.number, row.photo, row.audio, output, row.values, facts, key, lengths[row.audio]))
        except Fd2TalkError as error:
            sentence = " ".join(str(error).split())
            planned.append(Outcome(row.number, row.photo, row.audio, output, FAILED, error=sentence))
    return planned


def _output(row: Row, taken: dict[str, str], out: Path) -> str:
    """The name of a row's video. `taken` holds those of the rows before, and their numbers. Raises UsageError."""
    name = row.output or _default(row)
    if not row.output and _same(name) in taken:
        facts = json.dumps([row.photo, row.audio, {key: str(value) for key, value in row.own.items()}], sort_keys=True)
        name = f"{name.removesuffix('.mp4')}-{hashlib.sha256(facts.encode()).hexdigest()[:8]}.mp4"
    if not PurePosixPath(name).suffix:
        name += ".mp4"
    if not name.lower().endswith(".mp4"):
        raise UsageError(f"output {name}: its name must end in .mp4")
    place = (out / name).resolve()
    if not place.is_relative_to(out.resolve()) or Path(name).is_absolute() or ".." in Path(name).parts:
        raise UsageError(f"output {name}: it must lie in the output folder")
    if any(part.startswith(".") for part in Path(name).parts):
        raise UsageError(f"output {name}: names that begin with a dot are not for videos")
    name = Path(name).as_posix()
    if other := taken.setdefault(_same(name), row.number):
        if other != row.number:
            raise UsageError(f"output {name}: row {other} has the same")
    return name


def _default(row: Row) -> str:
    """Photo, recording and the row's own options, as far as file names may hold them: `anna-hello-seed-7.mp4`."""
    words = [Path(row.photo).stem, Path(row.audio).stem]
    for name, value in sorted(row.own.items()):
        shown = Path(str(value)).stem if name in _FILES else value
        option = name.replace("_", "-")
        words.append(option if name not in _VALUED and str(value).lower() in _YES else f"{option}-{shown}")
    name = re.sub(r"[^\w.-]+", "_", "-".join(words))
    name = name.lstrip(".") or "video"
    if len(name.encode()) > _LONGEST_NAME:
        tail = hashlib.sha256(name.encode()).hexdigest()[:8]
        name = name.encode()[: _LONGEST_NAME - 9].decode(errors="ignore") + f"-{tail}"
    return f"{name}.mp4"


def _same(name: str) -> str:
    """What file systems that ignore case, or write accents differently, take for the same name."""
    return unicodedata.normalize("NFC", Path(name).as_posix()).casefold()


def _facts(request: Request, weights: str) -> dict[str, str]:
    """What the video depends on, by name."""
    facts: dict[str, str] = {name: json.dumps(value, default=str) for name, value in _leaves(asdict(request))}
    for name in ("photo", "audio", *_FILES):
        if (path := json.loads(facts[name])) and Path(path).exists():
            facts[name] = _digest(path)
    facts["version"] = str(fd2talk.__version__)
    return {**facts, "weights": weights} if weights else facts


def _leaves(values: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    """Name and value of everything in nested groups of options; `face index` where a name says too little."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            for inner, of in _leaves(value):
                yield (f"{name} {inner}" if name in ("face", "renderer") else inner), of
        else:
            yield name, value


def _digest(path: str) -> str:
    """Of a file, or of all files of a folder. Raises InputError where they cannot be read."""
    root = Path(path)
    if not root.is_dir():
        return digest(root)
    files = sorted(file for file in root.rglob("*") if file.is_file())
    parts = [f"{file.relative_to(root).as_posix()} {digest(file)}" for file in files]
    if not parts:
        raise InputError(f"cannot read {path}: there is no such folder, or it is empty")
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _frames(audio: str) -> int:
    """The number of frames that a recording will give, as its header has it. Raises InputError."""
    with open_media(audio) as container:
        if not any(stream.type == "audio" for stream in container.streams):
            raise InputError(f"cannot read {audio}: it has no sound track")
        return math.ceil((container.duration or 0) / 1e6 * FPS)
