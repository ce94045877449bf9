"""Published model files that are not bundled: locating them, or downloading them from their authors' address.

Only the published bytes are used: a file with another digest is refused.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import sys
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tqdm import tqdm

from shared.errors import Fd2TalkError, InputError
from shared.files import atomic_output
from shared.weights import sha256

MODELS_VARIABLE = "FD2TALK_MODELS"
"""Environment variable: folders of model files (as in PATH) that are searched after those of the command."""

_TIMEOUT = 30  # seconds without a byte


@dataclass(frozen=True)
class PublishedFile:
    """One file of published weights.

    Attributes:
        file: its published name, under which it is searched.
        url: its authors' address, or None if this exact file has none.
        sha256: all 64 digits.
        used_by: what needs it: keys of metrics, or a part of the program.
        terms: licence of its publishers.
    """

    file: str
    url: str | None
    sha256: str
    used_by: tuple[str, ...]
    terms: str


def find_published(published: PublishedFile, folders: Iterable[str | Path] = (), download: bool = False) -> Path:
    """Find a published file: in `folders`, those of FD2TALK_MODELS, then the user's cache.

    Args:
        published: which one.
        folders: folders to search first.
        download: download a missing file from its authors' address into the cache.

    Raises:
        InputError: the file is missing and was not to be, or cannot be, downloaded, or it is not the published one.
        Fd2TalkError: the download fails, or yields another file; no file remains then.
    """
    places = _places(folders)
    for path in (place / published.file for place in places):
        if path.is_file():
            return _checked(path, published)
    if download and published.url:
        return _download(published)
    remedy = "put it into a folder named with --models FOLDER"
    remedy += f", or download it from {published.url} with --download" if published.url else " (no official download)"
    searched, users = ", ".join(map(str, places)), ", ".join(published.used_by)
    raise InputError(f"{users}: {published.file} is required, but is not in {searched}; {remedy}")


def is_there(published: PublishedFile) -> bool:
    """Whether a file of that name is where `find_published` searches."""
    return any((place / published.file).is_file() for place in _places())


def _places(folders: Iterable[str | Path] = ()) -> list[Path]:
    named = os.environ.get(MODELS_VARIABLE, "").split(os.pathsep)
    return [*map(Path, folders), *(Path(folder) for folder in named if folder), cache_folder()]


def cache_folder() -> Path:
    """Folder of downloads: fd2talk/models in the user's cache (XDG_CACHE_HOME, else ~/.cache)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fd2talk" / "models"


def digest(path: str | Path) -> str:
    """Hexadecimal SHA-256 of a file, computed once as long as the file does not change.

    Raises:
        InputError: the file cannot be read.
    """
    try:
        status = Path(path).stat()
        return _digest(str(path), status.st_size, status.st_mtime_ns)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error


@cache
def _digest(path: str, size: int, changed: int) -> str:
    return sha256(path)


def _checked(path: Path, published: PublishedFile) -> Path:
    if (found := digest(path)) != published.sha256:
        reason = _mismatch(found, published)
        raise InputError(f"{path}: not the published {published.file} ({reason}); remove or replace it")
    return path


def _mismatch(found: str, published: PublishedFile) -> str:
    return f"SHA-256 {found[:16]}..., expected {published.sha256[:16]}..."


def _download(published: PublishedFile) -> Path:
    """Download into the cache under a temporary name, which becomes the file once every byte has been verified."""
    target = cache_folder() / published.file
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Fd2TalkError(f"cannot create the folder {target.parent}: {error.strerror}") from error
    with atomic_output(target, overwrite=True) as temporary:  # another process may have finished the same download
        found = _fetch(published, temporary)
        if found != published.sha256:
            why = _mismatch(found, published)
            raise Fd2TalkError(f"{published.url} is not the published {published.file} ({why}); it was deleted again")
    return target


def _fetch(published: PublishedFile, path: Path) -> str:
    """Copy the content of the address to `path`, with progress on a terminal; return its SHA-256."""
    assert published.url is not None  # otherwise there is no download
    hasher, received = hashlib.sha256(), 0
    with _network_errors(published.url):
        answer = urllib.request.urlopen(published.url, timeout=_TIMEOUT)
    with answer, path.open("wb") as file:
        total = int(answer.headers.get("Content-Length") or 0)
        hidden = sys.stderr is None or not sys.stderr.isatty()
        with tqdm(total=total or None, desc=published.file, unit="B", unit_scale=True, disable=hidden) as bar:
            while True:
                with _network_errors(published.url):
                    block = answer.read(1 << 16)
                if not block:
                    break
                file.write(block)
                hasher.update(block)
                received += len(block)
                bar.update(len(block))
    if received < total:
        raise Fd2TalkError(f"cannot download {published.url}: it ended after {received} of {total} bytes")
    return hasher.hexdigest()


@contextmanager
def _network_errors(url: str) -> Iterator[None]:
    try:
        yield
    except (OSError, http.client.HTTPException) as error:  # urllib's errors and timeouts are OSErrors
        reason = getattr(error, "reason", None) or error
        raise Fd2TalkError(f"cannot download {url}: {getattr(reason, 'strerror', None) or reason}") from error
