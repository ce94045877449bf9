"""The provenance of any file: the metadata tag of this project, and a C2PA manifest."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from fd2talk.provenance.c2pa_library import c2pa
from fd2talk.provenance.credentials import read_certificates
from fd2talk.provenance.manifest import Manifest, has_box, read_manifest
from shared.containers import open_media
from shared.errors import InputError
from shared.files import check_input
from shared.npz import read_npz
from shared.video_writer import SYNTHETIC_TAGS

_TAGS = (*SYNTHETIC_TAGS, "software", "source")
# Enough for the header of a mesh as text.
_HEAD = 4096
_GLB, _JSON_CHUNK = b"glTF", b"JSON"


@dataclass(frozen=True)
class Marks:
    """Tag and manifest of a file.

    Args:
        kind: type of the file, for people.
        tag: metadata of this project, by name, which anyone can change.
        manifest: of C2PA, or None.
        unchecked: whether there is a manifest that cannot be read without c2pa-python.
        trust_asked: whether only trusted signers count.
    """

    kind: str
    tag: Mapping[str, str]
    manifest: Manifest | None = None
    unchecked: bool = False
    trust_asked: bool = False

    @property
    def valid(self) -> bool:
        """Whether it has a valid mark: a valid manifest, or, if there is no manifest, the tag."""
        if self.unchecked:
            return False
        if self.manifest is not None:
            return self.manifest.intact and (self.manifest.trusted or not self.trust_asked)
        return bool(self.tag) and not self.trust_asked

    @property
    def facts(self) -> dict[str, Any]:
        """The same for JSON."""
        manifest = None if self.manifest is None else self.manifest.facts
        return {
            "valid": self.valid, "kind": self.kind, "tag": dict(self.tag), "c2pa": manifest, "unchecked": self.unchecked
        }  # fmt: skip


def read_marks(path: str | os.PathLike, trust: str | os.PathLike | None = None) -> Marks:
    """Read the marks of a video, a motion or style file, an exported mesh, or any type of file that C2PA supports.

    Args:
        path: of the file.
        trust: file with certificates (PEM) of authorities; then only their signers' manifests are valid.

    Raises:
        InputError: a file that cannot be read, or no certificates in `trust`.
        UsageError: `trust` without c2pa-python.
    """
    file = check_input(path)
    authorities = None if trust is None else _authorities(Path(trust))
    kind, tag = _kind_and_tag(file)
    if find_spec("c2pa") is None and authorities is None:
        return Marks(kind, tag, unchecked=has_box(file))
    return Marks(kind, tag, read_manifest(file, authorities), trust_asked=authorities is not None)


def _authorities(path: Path) -> str:
    c2pa("--trust")  # with which cryptography comes
    from cryptography.hazmat.primitives.serialization import Encoding

    return "".join(one.public_bytes(Encoding.PEM).decode() for one in read_certificates(path))


def _kind_and_tag(path: Path) -> tuple[str, dict[str, str]]:
    with open(path, "rb") as file:
        head = file.read(_HEAD)
    if head.startswith(b"PK"):
        return _of_arrays(path)
    if head.startswith(_GLB):
        return "glTF file", _of_gltf(path)
    if head.startswith((b"# fd2talk ", b"ply\n")):
        return "mesh", {"software": "fd2talk"} if b"fd2talk " in head.split(b"\nelement", 1)[0][:200] else {}
    try:
        with open_media(path) as container:
            tags = {name.lower(): str(value) for name, value in container.metadata.items()}
    except InputError:
        return "file", {}
    # Programs that copy a video often keep the comment, but drop unknown tags.
    ours = tags.get("synthetic_media") or tags.get("comment") == SYNTHETIC_TAGS["comment"]
    return "video or sound", {name: tags[name] for name in _TAGS if name in tags} if ours else {}


def _of_arrays(path: Path) -> tuple[str, dict[str, str]]:
    """Type and tag of an archive: a motion or style file, or another one without a tag."""
    try:
        arrays = read_npz(path, "file of fd2talk")
    except InputError:
        return "archive", {}
    texts = {name: str(value) for name, value in arrays.items() if value.dtype.kind == "U" and value.ndim == 0}
    if texts.get("format", "").startswith("fd2talk-motion"):
        return "motion file", {name: texts[name] for name in ("format", "source", "face_model") if texts.get(name)}
    if "style" in arrays and "encoder" in texts:
        return "style file", {name: texts[name] for name in ("source", "terms") if texts.get(name)}
    return "archive", {}


def _of_gltf(path: Path) -> dict[str, str]:
    with open(path, "rb") as file:
        head = file.read(20)
        size, chunk = int.from_bytes(head[12:16], "little"), head[16:20]
        if chunk != _JSON_CHUNK:
            return {}
        try:
            asset = json.loads(file.read(min(size, 1 << 28))).get("asset", {})
        except (ValueError, AttributeError, RecursionError):
            return {}
    extras = asset.get("extras") if isinstance(asset, dict) else None
    if not isinstance(extras, dict) or not extras.get("synthetic_media"):
        return {}
    tag = {"software": str(asset.get("generator", "")), "synthetic_media": "true"}
    return tag | ({"source": str(extras["source"])} if extras.get("source") else {})
