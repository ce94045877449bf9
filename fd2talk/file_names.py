"""File names that clients of a server give, made safe to use on its disk."""

from __future__ import annotations

import os
import re

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_MAX_STEM, _MAX_SUFFIX = 60, 10


def safe_name(name: str) -> str:
    """A client's file name without folders and unsafe characters, not hidden, and of limited length."""
    plain = _UNSAFE.sub("_", os.path.basename(name.replace("\\", "/"))).lstrip(".")
    stem, suffix = os.path.splitext(plain)
    return f"{stem[:_MAX_STEM] or 'file'}{suffix[:_MAX_SUFFIX]}"
