"""Import and settings of the package c2pa-python."""

from __future__ import annotations

from typing import Any

from shared.errors import UsageError


def c2pa(purpose: str) -> Any:
    """Import the package.

    Args:
        purpose: what needs it, for the message.

    Raises:
        UsageError: it is missing, or too old.
    """
    try:
        import c2pa

        c2pa.Context  # noqa: B018 - old versions have none
    except (ImportError, AttributeError, OSError) as error:
        raise UsageError(f"{purpose} needs c2pa-python: pip install 'fd2talk[provenance]'") from error
    return c2pa


def context(trust: str | None = None) -> Any:
    """Settings of the library: no network access, and no embedded thumbnails.

    Args:
        trust: certificates (PEM) of trusted authorities; None: trust is not checked.
    """
    settings: dict[str, Any] = {
        "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False},
        "builder": {"thumbnail": {"enabled": False}},
        "core": {"backing_store_memory_threshold_in_mb": 32},
    }
    if trust is not None:
        settings["trust"] = {"trust_anchors": trust}
    return c2pa("C2PA").Context.from_dict(settings)


def reason(error: Exception) -> str:
    """The message of an error of the library, in one line and without the name of its type."""
    text = " ".join(str(error).split())
    kind, colon, rest = text.partition(": ")
    return rest if colon and " " not in kind and rest else text
