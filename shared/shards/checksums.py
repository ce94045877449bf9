"""Checksums that detect damaged or replaced shards.

The footer of a shard has the SHA-256 of all bytes before it, and the index has the size of each shard and the SHA-256
of its footer. So reading a few kilobytes shows whether a file is the one that the index was made from (`check_end`),
and reading all of it whether any byte has changed (`check_whole`).
"""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any, NamedTuple

from shared.errors import InputError

# A Parquet file ends with its footer, the length of the footer, and these letters.
_TAIL, _LETTERS = 8, b"PAR1"
_BLOCK = 4 << 20
_AGAIN = "remove it, and `fd2talk shard` writes it again"


class Checksum(NamedTuple):
    """Size in bytes and hexadecimal SHA-256 of a file: of the footer of a shard, of all bytes of other files."""

    bytes: int
    sha256: str


class HashedFile(io.RawIOBase):
    """A new file that computes the SHA-256 of what is written to it."""

    def __init__(self, path: Path) -> None:
        """Create the file."""
        self._file, self._sha256 = open(path, "wb"), hashlib.sha256()

    def writable(self) -> bool:
        """See `io.IOBase`."""
        return True

    def write(self, data: Any) -> int:
        """Append bytes."""
        self._sha256.update(data)
        return self._file.write(data)

    def tell(self) -> int:
        """Return the number of bytes so far."""
        return self._file.tell()

    def hexdigest(self) -> str:
        """Return the SHA-256 of the bytes so far."""
        return self._sha256.hexdigest()

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()


def checksum_of(path: Path) -> Checksum:
    """Compute the checksum of a shard. Raises InputError: it is missing, or has no valid footer."""
    size, footer = _read_end(path)
    return Checksum(size, hashlib.sha256(footer).hexdigest())


def checksum_of_all(path: Path) -> Checksum:
    """Compute the checksum of a file that is no shard. Raises InputError: it is missing."""
    try:
        return Checksum(path.stat().st_size, _digest(path, path.stat().st_size))
    except OSError as error:
        raise _unreadable(path, error) from error


def footer_start(path: Path) -> int:
    """Return the offset of the footer of a shard."""
    size, footer = _read_end(path)
    return size - len(footer)


def check_end(path: Path, expected: Checksum) -> None:
    """Check by size and footer that a shard is the one that the index was made from.

    Raises:
        InputError: it is not, or cannot be read.
    """
    try:
        size = path.stat().st_size
    except OSError as error:
        raise _unreadable(path, error) from error
    if size != expected.bytes:
        raise InputError(
            f"{path}: damaged: it has {size} bytes, and {expected.bytes} when the index was made; {_AGAIN}"
        )
    if checksum_of(path).sha256 != expected.sha256:
        raise InputError(f"{path}: damaged or replaced: not the file that the index was made of; {_AGAIN}")


def check_whole(path: Path, expected: Checksum, data_sha256: str | None) -> None:
    """Check all bytes of a shard.

    Args:
        path: the file.
        expected: its checksum.
        data_sha256: SHA-256 of the bytes before the footer, from the footer; None: only size and footer are checked.

    Raises:
        InputError: some have changed, or cannot be read.
    """
    check_end(path, expected)
    if data_sha256 is None:
        return
    try:
        same = _digest(path, footer_start(path)) == data_sha256
    except OSError as error:
        raise _unreadable(path, error) from error
    if not same:
        raise InputError(f"{path}: damaged: its bytes have changed since it was written; {_AGAIN}")


def check_all(path: Path, expected: Checksum) -> None:
    """Check all bytes of a file that is no shard. Raises InputError: some have changed, or cannot be read."""
    if checksum_of_all(path) != expected:
        raise InputError(f"{path}: damaged: its bytes have changed since it was written; run `fd2talk shard` again")


def _read_end(path: Path) -> tuple[int, bytes]:
    """The size of a shard, and its bytes from the footer to the end."""
    try:
        with open(path, "rb", buffering=0) as file:
            size = file.seek(0, io.SEEK_END)
            tail = _read_at(file, max(size - _TAIL, 0), _TAIL)
            length = int.from_bytes(tail[:4], "little") + _TAIL
            if tail[4:] != _LETTERS or length > size:
                raise InputError(f"{path}: damaged: it does not end as a shard does; {_AGAIN}")
            return size, _read_at(file, size - length, length)
    except OSError as error:
        raise _unreadable(path, error) from error


def _read_at(file: io.FileIO, at: int, size: int) -> bytes:
    file.seek(at)
    return file.read(size)


def _digest(path: Path, until: int) -> str:
    sha256 = hashlib.sha256()
    with open(path, "rb") as file:
        while until and (block := file.read(min(until, _BLOCK))):
            sha256.update(block)
            until -= len(block)
    return sha256.hexdigest()


def _unreadable(path: Path, error: OSError) -> InputError:
    return InputError(f"{path}: cannot be read ({error.strerror})")
