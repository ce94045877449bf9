"""Digests of the weights that a report was made with."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from shared.errors import InputError
from shared.published_files import digest
from shared.weights import bundled

_SYSTEM_ASSETS = ("fd2talk", "diffposetalk", "diffusion", "ridge", "speech_encoder", "face_model")
EXPERT, _EXPERT_ASSETS = "lip_expert", ("fd2talk", "speech_encoder", "face_model")


def weights_digest(weights: str) -> str:
    """Digest of the weights that systems run with. Raises InputError: there is no such folder."""
    if weights != "bundled" and not Path(weights).is_dir():
        raise InputError(f"{weights}: there is no such folder of weights")
    return _digest_of([*map(bundled, _SYSTEM_ASSETS), *([] if weights == "bundled" else [Path(weights)])])


def expert_digest(wanted: Iterable[str]) -> dict[str, str]:
    """Digest of the bundled lip expert and the weights that it depends on, if it is used."""
    used = any(EXPERT in key or "unseen_expert" in key for key in wanted)
    return {EXPERT: _digest_of(map(bundled, _EXPERT_ASSETS))} if used else {}


def _digest_of(folders: Iterable[Path]) -> str:
    """One digest of all files."""
    hasher = hashlib.sha256()
    for folder in folders:
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            hasher.update(f"{path.name} {digest(path)}".encode())
    return hasher.hexdigest()
