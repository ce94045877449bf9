"""Which training people are set apart for development: early stopping and the choice of settings.

People of split `val` are never trained on. Of the training people a share, told by a hash of the name, is looked at but
not learned from, so that `val` stays unseen until the end.
"""

from __future__ import annotations

import hashlib
import zlib

# One person in so many. The renderer's are half of the motion networks', and the speech encoder, trained before either,
# keeps a draw of its own: bundled weights must go on being measured on the people that they did not learn from.
_MOTION, _RENDERER, _SPEECH = 8, 16, 12


def is_development(person: str, training: str = "motion") -> bool:
    """Whether this training person is set apart for development.

    Args:
        person: the name.
        training: "motion", "renderer" or "speech".
    """
    if training == "speech":
        return zlib.crc32(person.encode()) % _SPEECH == 0
    share = {"motion": _MOTION, "renderer": _RENDERER}[training]
    return int(hashlib.sha256(person.encode()).hexdigest(), 16) % share == 0
