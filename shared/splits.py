"""The development split: training people set apart for early stopping and the choice of settings.

People of split `val` are never trained on. Of the training people a share, chosen by a hash of the name, is measured on
but not learned from, so that `val` stays unseen until the end.
"""

from __future__ import annotations

import hashlib
import zlib

# One person in so many. The renderer's people are half of the motion networks'; the speech encoder, trained before
# both, has a draw of its own. The bundled weights must be measured on the people that they did not learn from, so the
# three stay as they are.
_MOTION, _RENDERER, _SPEECH = 8, 16, 12


def is_development(person: str, training: str = "motion") -> bool:
    """Whether a training person belongs to the development split.

    Args:
        person: the name.
        training: "motion", "renderer" or "speech".
    """
    if training == "speech":
        return zlib.crc32(person.encode()) % _SPEECH == 0
    share = {"motion": _MOTION, "renderer": _RENDERER}[training]
    return int(hashlib.sha256(person.encode()).hexdigest(), 16) % share == 0


def is_learned_from(person: str, people: float) -> bool:
    """Whether a training person is among the share `people` (0 to 1) of them, for learning curves.

    Chosen by a hash of the name of its own; a smaller share is part of a larger one. The share is that of names, not of
    time.
    """
    return int(hashlib.sha256(f"share {person}".encode()).hexdigest(), 16) / 2**256 < people
