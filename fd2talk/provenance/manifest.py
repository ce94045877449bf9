"""Reads and validates the C2PA manifest of a file."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fd2talk.provenance.c2pa_library import c2pa, context, reason

# The identifier of the box with C2PA's manifests in MP4 files.
_BOX = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
_UNTRUSTED, _TRUSTED = "signingCredential.untrusted", "signingCredential.trusted"


@dataclass(frozen=True)
class Action:
    """An action: C2PA's name, the resulting type of media (IPTC's term), the software, and the time."""

    action: str
    source_type: str = ""
    agent: str = ""
    when: str = ""


@dataclass(frozen=True)
class Manifest:
    """The newest manifest of a file.

    Args:
        problems: validation errors; empty if it is valid for this file.
        trusted: whether the signer's certificate was issued by one of the given authorities.
        signer: name in the certificate.
        organisation: likewise.
        signed_at: time of a time stamp, which only a time stamp authority gives.
        generator: program that made the claim.
        title: name of the file when it was signed.
        actions: what was done.
        originals: names of the files it was made from (ingredients).
        original_problems: validation errors of their manifests at the time of signing.
    """

    problems: tuple[str, ...]
    trusted: bool = False
    signer: str = ""
    organisation: str = ""
    signed_at: str = ""
    generator: str = ""
    title: str = ""
    actions: tuple[Action, ...] = ()
    originals: tuple[str, ...] = ()
    original_problems: tuple[str, ...] = ()

    @property
    def intact(self) -> bool:
        """Whether the signature is correct and the file is what was signed."""
        return not self.problems

    @property
    def facts(self) -> dict[str, Any]:
        """The same for JSON."""
        return {"intact": self.intact, **asdict(self)}


def has_box(path: Path) -> bool:
    """Whether an MP4 file has a C2PA box, found without the library."""
    with open(path, "rb") as file:
        end = file.seek(0, 2)
        place = 0
        while place + 8 <= end:
            file.seek(place)
            head = file.read(32)
            size, kind, header = int.from_bytes(head[:4], "big"), head[4:8], 8
            if size == 1:  # a 64-bit size follows
                size, header = int.from_bytes(head[8:16], "big"), 16
            if place == 0 and kind != b"ftyp":
                return False
            if kind == b"uuid" and head[header : header + 16] == _BOX:
                return True
            if size < header:  # 0: to the end of the file; else it is damaged
                return False
            place += size
    return False


def read_manifest(path: Path, trust: str | None = None) -> Manifest | None:
    """Read and validate the manifest of a file; None: it has none, or its type cannot have one.

    Args:
        path: of the file.
        trust: certificates (PEM) of authorities whose signers are trusted.

    Raises:
        UsageError: c2pa-python is missing.
    """
    library = c2pa("checking a C2PA manifest")
    try:
        with open(path, "rb") as file, context(trust) as settings:
            reader = library.Reader.try_create("", file, None, settings)
            if reader is None:
                return None
            with reader:
                try:
                    return _manifest(json.loads(reader.json()))
                except (AttributeError, LookupError, TypeError, ValueError, RecursionError):
                    return Manifest(("its claims are not of the form that C2PA gives them",))
    except library.C2paError as error:
        return Manifest((reason(error),)) if has_box(path) else None


def _manifest(store: dict[str, Any]) -> Manifest:
    results = store.get("validation_results", {}).get("activeManifest", {})
    deltas = [
        one.get("validationDeltas", {}) for one in store.get("validation_results", {}).get("ingredientDeltas", ())
    ]
    active = store.get("manifests", {}).get(store.get("active_manifest", ""), {})
    signature = active.get("signature_info") or {}
    generators = active.get("claim_generator_info") or [{}]
    return Manifest(
        problems=_problems(results.get("failure", ())),
        trusted=any(found.get("code") == _TRUSTED for found in results.get("success", ())),
        signer=signature.get("common_name") or "",
        organisation=signature.get("issuer") or "",  # which the library calls so
        signed_at=signature.get("time") or "",
        generator=_agent(generators[0]),
        title=active.get("title") or "",
        actions=tuple(_actions(active)),
        originals=tuple(str(one.get("title", "")) for one in active.get("ingredients", ())),
        original_problems=_problems([found for delta in deltas for found in delta.get("failure", ())] + _noted(active)),
    )


def _problems(failures: Iterable[dict[str, Any]]) -> tuple[str, ...]:
    """Failures as text, without that of an untrusted signer."""
    found = [one for one in failures if one.get("code") != _UNTRUSTED]
    return tuple(dict.fromkeys(f"{one.get('code')} ({one.get('explanation', '')})" for one in found))


def _noted(active: dict[str, Any]) -> list[dict[str, Any]]:
    """Failures of ingredients, as recorded at the time of signing."""
    results = [one.get("validation_results") or {} for one in active.get("ingredients", ())]
    return [found for result in results for found in (result.get("activeManifest") or {}).get("failure", ())]


def _actions(active: dict[str, Any]) -> list[Action]:
    of_actions = [one for one in active.get("assertions", ()) if str(one.get("label")).startswith("c2pa.actions")]
    return [
        Action(
            action=str(done.get("action", "")),
            source_type=str(done.get("digitalSourceType", "")).rpartition("/")[2],
            agent=_agent(done.get("softwareAgent") or {}),
            when=str(done.get("when", "")),
        )
        for one in of_actions
        for done in one.get("data", {}).get("actions", ())
    ]


def _agent(agent: Any) -> str:
    if not isinstance(agent, dict):
        return str(agent)
    return " ".join(str(agent[key]) for key in ("name", "version") if agent.get(key))
