"""Turns the rows of a table into jobs: all rows are checked and named before any work begins."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fd2talk
from fd2talk.batches.checks import Inputs, check_files, check_style
from fd2talk.batches.job import FAILED, Job, Outcome
from fd2talk.batches.manifest import Row
from fd2talk.batches.names import names
from fd2talk.request import FILE_OPTIONS, Request, request_from
from shared.errors import Fd2TalkError, InputError, UsageError
from shared.published_files import digest

if TYPE_CHECKING:
    from fd2talk.provenance.signer import Signer


def plan(rows: Iterable[Row], out: Path, weights: str, signer: Signer | None = None) -> list[Job | Outcome]:
    """Check rows, in their order.

    Args:
        rows: of the table.
        out: folder of the videos.
        weights: `bundled`, or a folder.
        signer: signs the videos, or None.

    Returns:
        A job for each row, or its failed outcome: a missing file, an invalid value of an option, an output outside of
        the folder, or that of an earlier row.
    """
    weights_digest = "" if weights == "bundled" else _digest(weights)
    signed = {"certificate": _digest(str(signer.certificate))} if signer else {}
    planned: list[Job | Outcome] = []
    inputs, rows = Inputs(), [*rows]
    named = names(rows, out)
    for row in rows:
        try:
            if row.error:
                raise UsageError(row.error)
            frames = inputs.frames(row.photo, row.audio)
            request = request_from(row.photo, row.audio, row.values)
            check_files(request)
            check_style(request, weights)
            if isinstance(output := named[row.number], UsageError):
                raise output
            facts = _facts(request, weights_digest) | signed
            key = hashlib.sha256(json.dumps([output, facts], sort_keys=True).encode()).hexdigest()
            planned.append(Job(row.number, row.photo, row.audio, output, row.values, facts, key, frames))
        except (Fd2TalkError, OSError, ValueError) as error:  # also of the file system: fails this row only
            sentence = " ".join(str(error).split())
            output = name if isinstance(name := named.get(row.number), str) else row.output
            planned.append(Outcome(row.number, row.photo, row.audio, output, FAILED, error=sentence))
    return planned


def _facts(request: Request, weights: str) -> dict[str, str]:
    """Everything the video depends on, by name."""
    facts: dict[str, str] = {name: json.dumps(value, default=str) for name, value in _leaves(asdict(request))}
    for name in ("photo", "audio", *FILE_OPTIONS):
        if (path := json.loads(facts[name])) and os.path.exists(path):
            facts[name] = _digest(path)
    facts["version"] = str(fd2talk.__version__)
    return {**facts, "weights": weights} if weights else facts


def _leaves(values: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    """Name and value of all leaves of nested options; names in `face` and `renderer` get their prefix."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            for inner, of in _leaves(value):
                yield (f"{name} {inner}" if name in ("face", "renderer") else inner), of
        else:
            yield name, value


def _digest(path: str) -> str:
    """SHA-256 of a file, or of all files of a folder. Raises InputError: they cannot be read."""
    root = Path(path)
    if not root.is_dir():
        return digest(root)
    files = sorted(file for file in root.rglob("*") if file.is_file())
    parts = [f"{file.relative_to(root).as_posix()} {digest(file)}" for file in files]
    if not parts:
        raise InputError(f"cannot read {path}: there is no such folder, or it is empty")
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
