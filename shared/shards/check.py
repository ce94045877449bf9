"""Verifies all files of a folder of shards by their checksums."""

from __future__ import annotations

import json
from pathlib import Path

from shared.errors import InputError
from shared.shards.checksums import Checksum, check_all, check_end, check_whole
from shared.shards.format import INDEX, INDEX_SUM, shard_metadata
from shared.shards.reader import Shards, checksums_in
from shared.weights import sha256


def checksums_of_folder(folder: Path) -> dict[Path, dict[Path, Checksum]]:
    """Collect the checksums of all files of a folder of shards, by the file that has them: the index, or a JSON file.

    Raises:
        InputError: the folder has no index, or the index or a JSON file is damaged.
    """
    summed = folder / INDEX_SUM
    if summed.exists() and summed.read_bytes().split()[:1] != [sha256(folder / INDEX).encode()]:
        raise InputError(
            f"{folder / INDEX}: damaged (its checksum is another one); remove it, and run `fd2talk shard` again"
        )
    shards = Shards(folder)
    shards.check_index()
    found = {shards.index_path: {folder / name: checksum for name, checksum in shards.checksums.items()}}
    for card in sorted(folder.glob("*/*.json")):
        try:
            checksums = checksums_in(json.loads(card.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise InputError(f"{card}: damaged ({' '.join(str(error).split())[:80]}); remove its folder") from error
        found[card] = {card.parent / name: checksum for name, checksum in checksums.items()}
    return found


def check_known(folder: Path) -> None:
    """Check size and footer of all existing shards.

    Raises:
        InputError: a shard is damaged or was replaced.
    """
    for files in checksums_of_folder(folder).values():
        for path, expected in files.items():
            if path.suffix == ".parquet" and path.exists():
                check_end(path, expected)


def check_file(path: Path, expected: Checksum) -> str | None:
    """Read a whole file and compare it with its checksum.

    Returns:
        The error in one line, or None.
    """
    try:
        if path.suffix == ".parquet":
            check_end(path, expected)
            of_data = shard_metadata(path).get("sha256")
            if of_data is None:
                return (
                    f"{path}: written without a checksum of its bytes; remove it, and `fd2talk shard` writes it again"
                )
            check_whole(path, expected, of_data)
        else:
            check_all(path, expected)
    except InputError as error:
        return str(error)
    return None
