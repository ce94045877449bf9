"""`fd2talk prepare`: a folder of talking clips becomes tracks and motions to learn from.

A video that was cut (or zoomed into by an editor) becomes several clips, and parts that show another person than most
of its frames are left out. See `shared.prepared` for what is written.
"""

from __future__ import annotations

import csv
import io
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from fd2talk.processes import in_processes
from fd2talk.terminal import announce, say
from fd2talk.track import track_audio, track_file
from shared.errors import Fd2TalkError, InputError, UsageError
from shared.face_model import MorphableModel, load_bundled
from shared.faces.crop import CROP_FACTOR, Crop
from shared.faces.tracker import track_photo
from shared.files import atomic_output
from shared.media import FPS, SAMPLE_RATE, read_image
from shared.motion import Motion
from shared.prepared import load_track, save_arrays, save_track
from shared.tracking import Track, motion_from_track, of_one_person

VIDEOS = (".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v", ".mpg", ".mpeg")
PHOTOS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".heic", ".avif")
MANIFEST = "manifest.csv"

# Columns of the index; a manifest's further columns follow them.
_COLUMNS = ("name", "file", "person", "split", "start", "seconds", "frames", "audio", "face_px")
_VALIDATION_SHARE = 0.1
# Tracks with another number are made by an older tracker and made again.
_TRACKER = 2
# Parts between cuts that are shorter than a second are not worth keeping.
_LEAST_FRAMES = 25


@dataclass(frozen=True)
class Clip:
    """One video or photo: its file relative to the folder, whose it is, its split, and what the manifest says more."""

    file: str
    person: str
    split: str
    facts: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """``<person>__<clip>``, the name of everything made from it."""
        stem = Path(self.file).with_suffix("").as_posix().removeprefix(f"{self.person}/")
        return f"{self.person}__{stem}".replace("/", "__") if stem != self.person else stem


def prepare(clips: str, out: str, *, photos: str | None = None, workers: int | None = None) -> None:
    """Track all clips (and photos) that have not been tracked yet, and write the index.

    A clip that cannot be used is reported on standard error and left out of the index.
    Raises UsageError: a folder is not there. InputError: nothing in it, a manifest without the columns needed, two
    clips of one name.
    Fd2TalkError: not one clip could be used.
    """
    found = find_clips(clips, VIDEOS)
    by_name = {clip.name: clip.file for clip in found}
    for clip in found:
        if by_name[clip.name] != clip.file:
            raise InputError(f"{clips}: {clip.file} and {by_name[clip.name]} would share the name {clip.name}")
    stills = find_clips(photos, PHOTOS) if photos else []
    for folder in ("motions", "tracks"):
        try:
            (Path(out) / folder).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"cannot write to {out}: {error.strerror}") from error
    jobs = [(clip, str(Path(clips) / clip.file), out) for clip in found]
    tracked = [result for result in in_processes(_track_clip, jobs, workers, "clips", "clip") if result]
    rows = [row for of_clip, _ in tracked for row in of_clip]
    for _, note in tracked:
        if note:
            say(f"note: {note}", 0)
    if not rows:
        raise Fd2TalkError(f"not one of the {len(found)} clips in {clips} could be used")
    _write_index(Path(out) / "index.csv", rows)
    if stills:
        _prepare_photos(stills, photos, Path(out) / "portraits.npz", workers)
    announce(out)


def find_clips(folder: str, suffixes: tuple[str, ...]) -> list[Clip]:
    """What a folder holds: by its manifest.csv (columns file, and, where known, person, split and others), else every
    file with such a suffix, in any nesting: the topmost folder is the person, without one the file's own name.

    Without a split in the manifest a tenth of the people, told by their names, are for validation.
    """
    root = Path(folder)
    if not root.is_dir():
        raise UsageError(f"cannot read {folder}: there is no such folder")
    manifest = root / MANIFEST
    if manifest.is_file():
        with open(manifest, newline="", encoding="utf-8") as file:
            rows = [row for row in csv.DictReader(file) if row.get("file")]
        if not rows:
            raise InputError(f"{manifest}: no rows with a column `file`")
        facts = [{key: value or "" for key, value in row.items() if key} for row in rows]
    else:
        files = sorted(p for p in root.rglob("*") if p.suffix.lower() in suffixes and p.is_file())
        facts = [{"file": p.relative_to(root).as_posix()} for p in files]
    if not facts:
        raise InputError(f"{folder}: nothing to read; looked for {', '.join(suffixes)}")
    clips = []
    for fact in facts:
        path = Path(fact["file"])
        person = fact.pop("person", "") or (path.parts[0] if len(path.parts) > 1 else path.stem)
        split = fact.pop("split", "") or split_of(person)
        clips.append(Clip(fact.pop("file"), person, split, fact))
    return clips


def split_of(person: str) -> str:
    """`val` for a tenth of all names, `train` for the others; the same name is always on the same side."""
    return "val" if zlib.crc32(person.encode()) % 1000 < 1000 * _VALIDATION_SHARE else "train"


def _track_clip(clip: Clip, path: str, out: str) -> tuple[list[dict[str, object]], str]:
    """Track one video and fit the face model, each unless that has been done.

    Returns the rows of its parts and, where it has just been split, a sentence that says so.
    """
    model, folder = load_bundled(), Path(out)
    names, note = _tracked_parts(clip, folder), ""
    if names is None:
        parts, note = _parts(path, track_file(path, quiet=True), model)
        names = _part_names(clip, len(parts))
        # The first part's file, which tells how many there are, is written last.
        for name, (start, part) in reversed(list(zip(names, parts))):
            (folder / "motions" / f"{name}.npz").unlink(missing_ok=True)
            save_track(folder / "tracks" / f"{name}.npz", part, start=start, parts=len(parts), tracker=_TRACKER)
    return [_row(clip, path, name, folder, model) for name in names], note


def _tracked_parts(clip: Clip, folder: Path) -> list[str] | None:
    """Names of a video's parts when it has been tracked by this tracker, or None."""
    try:
        with np.load(folder / "tracks" / f"{clip.name}.npz", allow_pickle=False) as file:
            return _part_names(clip, int(file["parts"])) if int(file["tracker"]) == _TRACKER else None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


def _part_names(clip: Clip, count: int) -> list[str]:
    return [clip.name, *(f"{clip.name}__part{number}" for number in range(2, count + 1))]


def _parts(path: str, track: Track, model: MorphableModel) -> tuple[list[tuple[int, Track]], str]:
    """The uncut parts of a video that show one person, each with its first frame, and a sentence where it was cut.

    Raises InputError: no part is long enough.
    """
    shots = track.shots()
    if len(shots) == 1:
        return shots, ""
    same = of_one_person(model, [shot for _, shot in shots])
    kept = [shot for shot, alike in zip(shots, same) if alike and len(shot[1].landmarks) >= _LEAST_FRAMES]
    strangers = sum(len(shot.landmarks) for (_, shot), alike in zip(shots, same) if not alike)
    used = sum(len(shot.landmarks) for _, shot in kept)
    if not kept:
        raise InputError(f"{path}: cut into parts of less than {_LEAST_FRAMES} frames")
    cuts = ", ".join(f"{cut / FPS:.2f}" for cut in track.cuts)
    left_out = f"; {strangers} frames of another person are left out" if strangers else ""
    of_all = f"{used} of {len(track.landmarks)} frames in {len(kept)} part{'s' if len(kept) > 1 else ''}"
    return kept, f"{path} is cut at {cuts} s: kept {of_all}{left_out}"


def _row(clip: Clip, path: str, name: str, folder: Path, model: MorphableModel) -> dict[str, object]:
    """Fit one part, unless that has been done with this face model, and return its row of the index."""
    track_path, motion_path = (folder / kind / f"{name}.npz" for kind in ("tracks", "motions"))
    track = load_track(track_path)
    with np.load(track_path, allow_pickle=False) as file:
        start = int(file["start"])
    motion = Motion.load(motion_path) if motion_path.exists() else None
    if motion is None or motion.face_model != model.fingerprint:
        audio = track_audio(path, start + len(track.landmarks))
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


def _track_photo(name: str, path: str) -> tuple[str, np.ndarray]:
    return name, track_photo(read_image(path))


def _prepare_photos(stills: list[Clip], folder: str, path: Path, workers: int | None) -> None:
    """Photos take little time: all of them at once, and none if the file is there."""
    if path.exists():
        return
    jobs = [(still.file, str(Path(folder) / still.file)) for still in stills]
    points = dict(result for result in in_processes(_track_photo, jobs, workers, "photos", "photo") if result)
    if not points:
        return
    kept = [still for still in stills if still.file in points]
    crops = [Crop.around(points[still.file]) for still in kept]
    save_arrays(
        path,
        names=np.array([still.file for still in kept]),
        splits=np.array([still.split for still in kept]),
        points=np.stack([points[still.file] for still in kept]),
        crops=np.array([[crop.center_x, crop.center_y, crop.side] for crop in crops]),
    )


def _write_index(path: Path, rows: list[dict[str, object]]) -> None:
    more = dict.fromkeys(key for row in rows for key in row if key not in _COLUMNS)
    text = io.StringIO()
    writer = csv.DictWriter(text, [*_COLUMNS, *more], restval="")
    writer.writeheader()
    writer.writerows(rows)
    with atomic_output(path, overwrite=True) as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8")
