"""Digests of the weights that a report was made with."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from fd2talk.evaluation.system_names import motion_weights
from shared.errors import InputError
from shared.published_files import digest
from shared.weights import bundled

_SYSTEM_ASSETS = ("fd2talk", "diffusion", "repair", "speech_encoder", "face_model")
EXPERT, _EXPERT_ASSETS = "lip_expert", ("fd2talk", "speech_encoder", "face_model")


def weights_digest(systems: Iterable[str], weights: str) -> str:
    """Digest of the weights that systems run with: what one does not run changes nothing of it.

    Args:
        systems: their names.
        weights: `bundled` or a folder.

    Raises:
        InputError: there is no such folder, or the weights of a system are missing.
    """
    folders = [*map(bundled, _SYSTEM_ASSETS)]
    if weights != "bundled":
        folders.append(Path(weights))
        if not folders[-1].is_dir():
            raise InputError(f"{weights}: there is no such folder of weights")
    own = {folder for name in systems if (folder := motion_weights(name, weights)) not in (None, "bundled")}
    return _digest_of([*folders, *(Path(folder) for folder in sorted(own) if Path(folder) not in folders)])


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
