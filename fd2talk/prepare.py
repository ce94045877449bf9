"""`fd2talk prepare`: a folder of talking clips becomes tracks and motions to learn from.

OUT/index.csv lists the clips; OUT/motions/<person>__<clip>.npz is the Motion (with sound) of one and
OUT/tracks/<person>__<clip>.npz what the tracker saw: landmarks float32 [T, 478, 3] in pixels, confidence [T], crop
(centre x, y, side) in pixels. OUT/portraits.npz holds the still photos: names [P], splits [P], points [P, 478, 3] in
pixels, crops [P, 3].
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
from fd2talk.terminal import announce
from fd2talk.track import track_audio, track_file
from shared.errors import Fd2TalkError, InputError, UsageError
from shared.face_model import load_bundled
from shared.faces.crop import CROP_FACTOR, Crop
from shared.faces.tracker import track_photo
from shared.files import atomic_output
from shared.media import read_image
from shared.motion import Motion
from shared.tracking import Track, motion_from_track

VIDEOS = (".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v", ".mpg", ".mpeg")
PHOTOS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".heic", ".avif")
MANIFEST = "manifest.csv"

# Columns of the index; a manifest's further columns follow them.
_COLUMNS = ("name", "file", "person", "split", "seconds", "frames", "audio", "face_px")
_VALIDATION_SHARE = 0.1


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
    rows = [row for row in in_processes(_track_clip, jobs, workers, "clips", "clip") if row]
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


def load_track(path: str | Path) -> tuple[np.ndarray, np.ndarray, Crop]:
    """landmarks [T, 478, 3] px, confidence [T] and crop of one file of OUT/tracks. Raises InputError: no such file."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return file["landmarks"], file["confidence"], Crop(*(float(v) for v in file["crop"]))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: not a prepared track ({error})") from error


def _track_clip(clip: Clip, path: str, out: str) -> dict[str, object]:
    """Track one clip and fit the face model, each unless that has been done, and return its row of the index."""
    motion_file, track_path = (Path(out) / kind / f"{clip.name}.npz" for kind in ("motions", "tracks"))
    model = load_bundled()
    motion = Motion.load(motion_file) if motion_file.exists() else None
    if not track_path.exists():
        track, motion = track_file(path, quiet=True), None
        crop = np.array([track.crop.center_x, track.crop.center_y, track.crop.side])
        _save(track_path, landmarks=track.landmarks, confidence=track.confidence, crop=crop)
    elif motion is None or motion.face_model != model.fingerprint:  # another face model: what was tracked still holds
        landmarks, confidence, crop = load_track(track_path)
        track, motion = Track(landmarks, confidence, crop, track_audio(path, len(landmarks))), None
    if motion is None:
        motion = motion_from_track(model, track, source=clip.file)
        motion.save(motion_file, overwrite=True)
    _, _, crop = load_track(track_path)
    return {
        **clip.facts,
        "name": clip.name,
        "file": clip.file,
        "person": clip.person,
        "split": clip.split,
        "seconds": round(len(motion) / motion.fps, 2),
        "frames": len(motion),
        "audio": clip.facts.get("audio") or ("none" if motion.audio is None else "ok"),
        "face_px": clip.facts.get("face_px") or round(crop.side / CROP_FACTOR),
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
    _save(
        path,
        names=np.array([still.file for still in kept]),
        splits=np.array([still.split for still in kept]),
        points=np.stack([points[still.file] for still in kept]),
        crops=np.array([[crop.center_x, crop.center_y, crop.side] for crop in crops]),
    )


def _save(path: Path, **arrays: np.ndarray) -> None:
    with atomic_output(path, overwrite=True) as temporary, open(temporary, "wb") as file:
        np.savez(file, **arrays)


def _write_index(path: Path, rows: list[dict[str, object]]) -> None:
    more = dict.fromkeys(key for row in rows for key in row if key not in _COLUMNS)
    text = io.StringIO()
    writer = csv.DictWriter(text, [*_COLUMNS, *more], restval="")
    writer.writeheader()
    writer.writerows(rows)
    with atomic_output(path, overwrite=True) as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8")
