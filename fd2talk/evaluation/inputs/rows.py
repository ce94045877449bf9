"""The rows of a report: the real clips, folders and manifests, and systems that the evaluation runs itself."""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fd2talk.evaluation.inputs.pairs import (
    ClipFiles,
    Pair,
    has_splits,
    match,
    possible_name,
    read_folder,
    read_manifest,
    read_repeats,
)
from fd2talk.evaluation.inputs.protocol import Protocol
from fd2talk.evaluation.system_names import NETWORK_ALONE, SYSTEMS, WITHOUT_SPEECH
from shared.errors import InputError, UsageError

REAL, SHUFFLED = "real", "real-shuffled"
ROWS = {
    REAL: "The reference clips themselves.",
    SHUFFLED: "The reference clips with the speech of another person's: the chance level of sync metrics.",
}


@dataclass
class Row:
    """A row of the report: its name, its title, its kind (`real`, `folder`, `system` or `network`) and its pairs."""

    name: str
    title: str
    kind: str
    pairs: list[Pair]


def read_reference(
    reference: str | None,
    split: str | None,
    protocol: Protocol | None,
    limit: int | None,
    per_person: int | None,
    min_face: int | None = None,
    speech: bool = True,
) -> tuple[dict[str, ClipFiles] | None, str | None]:
    """Find the reference clips.

    Args:
        reference: their folder, or None.
        split: the split to take; None for the protocol's where the folder has splits.
        protocol: the protocol, or None.
        limit: the largest number of clips.
        per_person: the largest number of clips of each person.
        min_face: the smallest face in pixels, by the manifest's column `face_px`.
        speech: leave out clips whose audio is not usable, by the manifest.

    Returns:
        Name -> clip (None without a folder), and the split that they are of.

    Raises:
        UsageError: a split without a folder; also as `read_folder`.
        InputError: as `read_folder`.
    """
    if reference is None:
        if split:
            raise UsageError("--split selects reference clips: give --reference too")
        return None, None
    if split is None and protocol is not None and has_splits(reference):
        split = protocol.split
    count: dict[str, int] = defaultdict(int)
    chosen = {}
    for name, clip in read_folder(reference, split, min_face or 0, speech).items():
        count[clip.person] += 1
        if per_person is None or count[clip.person] <= per_person:
            chosen[name] = clip
    return dict(list(chosen.items())[:limit]), split


def read_rows(generated: Sequence[str], references: dict[str, ClipFiles] | None, repeats: int | None) -> list[Row]:
    """Return the row of the real clips, then the requested ones.

    Args:
        generated: folders, manifests or clips (also NAME=PATH), or names of `SYSTEMS` and `ROWS`.
        references: name -> reference clip, or None.
        repeats: the number of samples of each clip.

    Raises:
        UsageError: an entry is none of these, needs references, or has the name of another row.
        InputError: as the functions of `inputs.pairs`.
    """
    rows: list[Row] = []
    for entry in generated:
        if entry == REAL:
            continue  # always included
        if entry in SYSTEMS or entry in ROWS:
            row = _system_row(entry, references, repeats or 1)
        else:
            row = _folder_row(*_named_path(entry), references, repeats)
        if row.name == REAL or any(row.name == other.name for other in rows):
            raise UsageError(f"two rows are called {row.name}; NAME=PATH gives a path another name")
        rows.append(row)
    if references is None:  # manifests name theirs
        references = {pair.name: pair.reference for row in rows for pair in row.pairs if pair.reference is not None}
    pairs = [Pair(REAL, 0, name, clip.person, clip, None) for name, clip in references.items()]
    return [Row(REAL, ROWS[REAL], "real", pairs), *rows] if pairs else rows


def halved(pairs: list[Pair]) -> list[Pair]:
    """The same pairs, those of people with a single clip to be measured in its second half."""
    clips: dict[str, set[str]] = defaultdict(set)
    for pair in pairs:
        clips[pair.person].add(pair.name)
    return [replace(pair, half=len(clips[pair.person]) == 1) for pair in pairs]


def _named_path(entry: str) -> tuple[str, Path]:
    """`PATH`, called by its last part, or `NAME=PATH`; both may contain further `=`."""
    parts = entry.split("=")
    splits = [("", entry), *(("=".join(parts[:i]), "=".join(parts[i:])) for i in range(1, len(parts)))]
    name, path = next((split for split in splits if split[1] and Path(split[1]).exists()), splits[-1])
    own = Path(path).resolve() if path in (".", "..") or path.endswith("/..") else Path(path)
    return possible_name(name or (own.name if own.is_dir() else own.stem), "a row"), Path(path)


def _system_row(name: str, references: dict[str, ClipFiles] | None, repeats: int) -> Row:
    if references is None:
        raise UsageError(f"{name} is generated from reference clips: give --reference")
    clips = list(references.values())
    if name == SHUFFLED:
        shuffled = [replace(clip, audio=_other_speech(clips, n)) for n, clip in enumerate(clips)]
        return Row(name, ROWS[name], "real", [Pair(name, 0, clip.name, clip.person, clip, None) for clip in shuffled])
    for clip in clips:
        if clip.video is None:
            raise InputError(f"{clip.name}: {name} is generated from videos, and this clip has none")
    count = 1 if name in WITHOUT_SPEECH else repeats
    pairs = [Pair(name, repeat, clip.name, clip.person, None, clip) for repeat in range(count) for clip in clips]
    return Row(name, SYSTEMS[name], "network" if name in NETWORK_ALONE else "system", pairs)


def _other_speech(clips: list[ClipFiles], index: int) -> Path:
    """The file with the speech of the next clip of another person (of the next clip if there is only one person)."""
    order = [(clip, file) for clip in clips[index + 1 :] + clips[:index] if (file := clip.audio or clip.video)]
    others = [(clip, file) for clip, file in order if clip.person != clips[index].person] or order
    if not others:
        raise InputError(f"{SHUFFLED} needs at least two clips with sound")
    return others[0][1]


def _folder_row(name: str, path: Path, references: dict[str, ClipFiles] | None, repeats: int | None) -> Row:
    """Clips of a folder or a manifest; a single warning names references that have no generated clip."""
    pairs: list[Pair] = []
    if path.suffix.lower() == ".csv":
        for repeat, clip, reference in read_manifest(path):
            reference = reference or (references or {}).get(clip.name)
            pairs.append(Pair(name, repeat, clip.name, clip.person, clip, reference))
    elif path.exists():
        for repeat, generated in enumerate(read_repeats(path, repeats)):
            matched, missing = match(name, repeat, generated, references)
            pairs += matched
            if missing:
                more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
                warnings.warn(f"{name}: no clip for the reference {missing[0]}{more}", stacklevel=1)
    else:
        known = ", ".join([*SYSTEMS, SHUFFLED])
        raise UsageError(f"{path}: neither a folder, a clip, a manifest (.csv), nor a system ({known})")
    return Row(name, str(path), "folder", pairs)
