"""`fd2talk prepare`: a folder of talking clips -> tracks and motions for training, here or on many machines.

A video with cuts (or jumps of the zoom) becomes several clips, and parts that show another person than most of its
frames are left out. See `shared.prepared` for the files that are written.
"""

from __future__ import annotations

import csv
import io
import os
import re
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fd2talk.cluster import Run, spread
from fd2talk.suffixes import PHOTOS, VIDEOS
from fd2talk.terminal import announce, say
from fd2talk.track import track_audio, track_file
from fd2talk.unexpected import Unexpected, guarded
from shared.errors import Fd2TalkError, InputError, UsageError
from shared.face_model import MorphableModel, load_bundled
from shared.faces.crop import CROP_FACTOR, Crop
from shared.faces.tracker import track_photo
from shared.files import atomic_output, new_folders
from shared.media import FPS, SAMPLE_RATE, read_audio, read_image
from shared.motion import Motion
from shared.npz import read_npz
from shared.point_clip import SUFFIX as POINTS
from shared.point_clip import load_points
from shared.prepared import load_track, save_arrays, save_track
from shared.tracking import Track, motion_from_track, of_one_person

MANIFEST = "manifest.csv"

# Columns of the index; other columns of a manifest follow them.
_COLUMNS = ("name", "file", "person", "split", "start", "seconds", "frames", "audio", "face_px")
_VALIDATION_SHARE = 0.1
# Version of the tracker; tracks of another version are replaced.
_TRACKER = 2
# Parts between cuts that are shorter than a second are left out.
_MIN_FRAMES = 25


@dataclass(frozen=True)
class Clip:
    """One video or photo of a folder.

    Args:
        file: relative to the folder.
        person: name of the person.
        split: `train` or `val`.
        facts: other columns of the manifest.
    """

    file: str
    person: str
    split: str
    facts: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """``<person>__<clip>``, the name of the files that are written for it."""
        stem = Path(self.file).with_suffix("").as_posix().removeprefix(f"{self.person}/")
        return f"{self.person}__{stem}".replace("/", "__") if stem != self.person else stem


def prepare(
    clips: str,
    out: str,
    *,
    photos: str | None = None,
    manifest: str | None = None,
    workers: int | None = None,
    address: str | None = None,
) -> int:
    """Track all clips (and photos) that have not been tracked yet, and write the index.

    An unusable clip is reported on standard error and left out of the index; so is one with an unexpected error (a
    bug), which is reported at the end.

    Args:
        clips: folder of videos.
        out: folder of the data set.
        photos: folder of portrait photos.
        manifest: CSV that lists the videos (see `find_clips`), in the place of the folder's own.
        workers: number of clips at a time; None for one per CPU core.
        address: of a Ray cluster (see `fd2talk.cluster.connected`) whose machines do the work, and on which `clips` and
            `out` lie at the same place; None for this machine.

    Returns:
        The exit code: 1 after unexpected errors, else 0.

    Raises:
        UsageError: there is no such folder, `out` cannot be written to, or there is no cluster at the address.
        InputError: an empty folder, a manifest without the column `file`, or two clips with the same name.
        Fd2TalkError: none of the clips could be used.
    """
    given = out
    if address is not None:  # the other machines have another current folder
        clips, out, photos = os.path.abspath(clips), os.path.abspath(out), photos and os.path.abspath(photos)
    found = find_clips(clips, VIDEOS, manifest)
    by_name: dict[str, Clip] = {}
    for clip in found:
        if (other := by_name.setdefault(clip.name, clip)) is not clip:
            raise InputError(f"{clips}: {clip.file} and {other.file} would have the same name {clip.name}")
    for name, clip in by_name.items():  # `NAME__part2` is what the second part of NAME is called
        if (whole := re.sub(r"__part\d+$", "", name)) != name and whole in by_name:
            raise InputError(f"{clips}: rename {clip.file}; parts of {by_name[whole].file} may be called {name}")
    stills = find_clips(photos, PHOTOS) if photos else []
    sounds = [str(Path(clips, clip.facts.get("sound", ""))) for clip in found]
    paths = [str(Path(clips, clip.file)) for clip in found]
    jobs = [(_track_clip, path, (clip, path, sound, out)) for clip, path, sound in zip(found, paths, sounds)]
    with spread(address, workers) as run, new_folders(out, Path(out) / "motions", Path(out) / "tracks"):
        tracked, failed = _divided(run(guarded, jobs, what="clips", unit="clip"))
        rows = [row for of_clip, _ in tracked for row in of_clip]
        for _, note in tracked:
            if note:
                say(f"note: {note}", 0)
        if rows:
            _write_index(Path(out) / "index.csv", rows)
            if photos and stills:
                failed += _prepare_photos(stills, photos, Path(out) / "portraits.npz", run)
        for one in failed:
            say(f"left out: {one}", 1)
        if not rows:
            raise Fd2TalkError(f"none of the {len(found)} clips in {clips} could be used")
    announce(given)
    return 1 if failed else 0


def _divided(results: list[Any]) -> tuple[list[Any], list[Unexpected]]:
    """Split results of jobs into values and unexpected errors; None, of other failed jobs, is dropped."""
    failed = [one for one in results if isinstance(one, Unexpected)]
    return [one for one in results if one and not isinstance(one, Unexpected)], failed


def find_clips(folder: str, suffixes: tuple[str, ...], manifest: str | None = None) -> list[Clip]:
    """List the videos or photos of a folder.

    Args:
        folder: with a manifest.csv (columns `file` and, optionally, `person`, `split` and others), or with files at any
            depth: the person is the topmost folder, or without one the name of the file.
        suffixes: of the files, where there is no manifest.
        manifest: another file than the folder's; its paths are relative to the folder.

    Returns:
        In the order of the manifest, or sorted. Where the split is not known a tenth of the people, chosen by their
        names, is for validation.

    Raises:
        UsageError: there is no such folder.
        InputError: there is no such file in it, or the manifest has no rows with a `file`.
    """
    root = Path(folder)
    if not root.is_dir():
        raise UsageError(f"cannot read {folder}: there is no such folder")
    listed = Path(manifest) if manifest else root / MANIFEST
    if manifest or listed.is_file():
        try:
            with open(listed, newline="", encoding="utf-8") as file:
                rows = [row for row in csv.DictReader(file) if row.get("file")]
        except (OSError, UnicodeError, csv.Error) as error:
            raise InputError(f"cannot read {listed}: {' '.join(str(error).split())}") from None
        if not rows:
            raise InputError(f"{listed}: no rows with a column `file`")
        facts = [{key: value or "" for key, value in row.items() if key} for row in rows]
    else:
        files = sorted(p for p in root.rglob("*") if p.suffix.lower() in suffixes and p.is_file())
        facts = [{"file": p.relative_to(root).as_posix()} for p in files]
    if not facts:
        raise InputError(f"{folder}: no files to read (with one of the suffixes {', '.join(suffixes)})")
    clips = []
    for fact in facts:
        path = Path(fact["file"])
        person = fact.pop("person", "") or (path.parts[0] if len(path.parts) > 1 else path.stem)
        try:
            f"{path}{person}".encode()
        except UnicodeEncodeError:  # no index could hold it
            raise InputError(f"{folder}: the name of {path} is not UTF-8; rename it") from None
        split = fact.pop("split", "") or split_of(person)
        clips.append(Clip(fact.pop("file"), person, split, fact))
    return clips


def split_of(person: str) -> str:
    """Return `val` for a tenth of all names and `train` for the others; a name always has the same split."""
    return "val" if zlib.crc32(person.encode()) % 1000 < 1000 * _VALIDATION_SHARE else "train"


def _track_clip(clip: Clip, path: str, sound: str, out: str) -> tuple[list[dict[str, object]], str]:
    """Track one video and fit the face model, each unless that has been done.

    Args:
        clip: from the manifest.
        path: of the video, or of a clip of points.
        sound: of a file with its sound, if its facts name one.
        out: folder of the data set.

    Returns:
        The rows of its parts, and a sentence about its cuts where it has just been split.
    """
    model, folder = load_bundled(), Path(out)
    names, note = _tracked_parts(clip, folder), ""
    if names is None:
        parts, note = _parts(path, _track(path), model)
        names = _part_names(clip, len(parts))
        # The file of the first part, which holds the number of parts, is written last.
        for name, (start, part) in reversed(list(zip(names, parts))):
            (folder / "motions" / f"{name}.npz").unlink(missing_ok=True)
            save_track(folder / "tracks" / f"{name}.npz", part, start=start, parts=len(parts), tracker=_TRACKER)
    return [_row(clip, (path, sound), name, folder, model) for name in names], note


def _tracked_parts(clip: Clip, folder: Path) -> list[str] | None:
    """Return the names of a video's parts when all of them have been tracked by this tracker, else None."""
    names = [clip.name]
    try:
        for name in names:
            file = read_npz(folder / "tracks" / f"{name}.npz", "prepared track", ("tracker", "parts"))
            if int(file["tracker"]) != _TRACKER:
                return None
            names[1:] = _part_names(clip, int(file["parts"]))[1:]
    except (InputError, TypeError, ValueError):
        return None
    return names


def _part_names(clip: Clip, count: int) -> list[str]:
    return [clip.name, *(f"{clip.name}__part{number}" for number in range(2, count + 1))]


def _parts(path: str, track: Track, model: MorphableModel) -> tuple[list[tuple[int, Track]], str]:
    """Split a video at its cuts, and keep the parts that show the person of most frames.

    Returns:
        First frame and track of each part, and a sentence about the cuts, if there are any.

    Raises:
        InputError: no part is long enough.
    """
    shots = track.shots()
    if len(shots) == 1:
        return shots, ""
    same = of_one_person(model, [shot for _, shot in shots])
    kept = [shot for shot, alike in zip(shots, same) if alike and len(shot[1].landmarks) >= _MIN_FRAMES]
    strangers = sum(len(shot.landmarks) for (_, shot), alike in zip(shots, same) if not alike)
    used = sum(len(shot.landmarks) for _, shot in kept)
    if not kept:
        raise InputError(f"{path}: all parts between its cuts have fewer than {_MIN_FRAMES} frames")
    cuts = ", ".join(f"{cut / FPS:.2f}" for cut in track.cuts)
    left_out = f"; left out {strangers} frames of another person" if strangers else ""
    of_all = f"{used} of {len(track.landmarks)} frames in {len(kept)} part{'s' if len(kept) > 1 else ''}"
    return kept, f"{path} has cuts at {cuts} s: kept {of_all}{left_out}"


def _row(clip: Clip, files: tuple[str, str], name: str, folder: Path, model: MorphableModel) -> dict[str, object]:
    """Fit one part, unless that has been done with this face model, and return its row of the index."""
    track_path, motion_path = (folder / kind / f"{name}.npz" for kind in ("tracks", "motions"))
    track = load_track(track_path)
    with np.load(track_path, allow_pickle=False) as file:
        start = int(file["start"])
    try:
        motion = Motion.load(motion_path, face_model=model.fingerprint)
    except InputError:  # not fitted yet, fitted with another face model, or damaged
        audio = _sound(clip, *files, start + len(track.landmarks))
        track.audio = None if audio is None else audio[start * SAMPLE_RATE // FPS :]
        motion = motion_from_track(model, track, source=clip.file)
        motion.save(motion_path, overwrite=True)
    return {
        **clip.facts,
        "name": name,
        "file": clip.file,
        "person": clip.person,
        "split": clip.split,
        "start": start,
        "seconds": round(len(motion) / motion.fps, 2),
        "frames": len(motion),
        "audio": clip.facts.get("audio") or ("none" if motion.audio is None else "ok"),
        "face_px": clip.facts.get("face_px") or round(track.crop.side / CROP_FACTOR),
    }


def _track(path: str) -> Track:
    return load_points(path) if path.endswith(POINTS) else track_file(path, quiet=True)


def _sound(clip: Clip, path: str, sound: str, frames: int) -> np.ndarray | None:
    """The sound under the first frames of a clip: its own, or that of the file that the manifest names."""
    samples = frames * SAMPLE_RATE // FPS
    if path.endswith(POINTS):
        audio = load_points(path).audio
        return None if audio is None else audio[:samples]
    audio = track_audio(path, frames)
    if audio is None and clip.facts.get("sound"):
        audio = read_audio(sound)[:samples]
    return audio


def _track_photo(name: str, path: str) -> tuple[str, np.ndarray]:
    return name, track_photo(read_image(path))


def _prepare_photos(stills: list[Clip], folder: str, path: Path, run: Run) -> list[Unexpected]:
    """Track all photos, unless that has been done; they take little time, so there is nothing to resume.

    Returns:
        What ended unexpectedly.
    """
    if path.exists():
        return []
    paths = [str(Path(folder, still.file)) for still in stills]
    jobs = [(_track_photo, path, (still.file, path)) for still, path in zip(stills, paths)]
    tracked, failed = _divided(run(guarded, jobs, what="photos", unit="photo"))
    points = dict(tracked)
    if not points:
        return failed
    kept = [still for still in stills if still.file in points]
    crops = [Crop.around(points[still.file]) for still in kept]
    save_arrays(
        path,
        names=np.array([still.file for still in kept]),
        splits=np.array([still.split for still in kept]),
        points=np.stack([points[still.file] for still in kept]),
        crops=np.array([[crop.center_x, crop.center_y, crop.side] for crop in crops]),
    )
    return failed


def _write_index(path: Path, rows: list[dict[str, object]]) -> None:
    others = dict.fromkeys(key for row in rows for key in row if key not in _COLUMNS)
    text = io.StringIO()
    writer = csv.DictWriter(text, [*_COLUMNS, *others], restval="")
    writer.writeheader()
    writer.writerows(rows)
    with atomic_output(path, overwrite=True) as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8")
