"""Recordings for the training of the speech encoder, with their labels: cached once, then held in memory."""

from __future__ import annotations

import csv
import json
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from scipy.signal import resample_poly
from tqdm import tqdm

from shared.errors import InputError
from shared.faces.tracker import track_video
from shared.media import SAMPLE_RATE, read_audio, read_video
from shared.prepared import save_arrays
from shared.speech.training.mouth import MouthShape, fill_gaps
from shared.speech.training.teacher import SpeechEmbedding
from shared.splits import is_development, is_learned_from

PHONES = tuple(
    "SIL AA AE AH AO AW AY B CH D DH EH ER EY F G HH IH IY JH K L M N NG OW OY P R S SH T TH UH UW V W Y Z ZH".split()
)
# Every second recording is also used at one other speed and pitch (new length : old length), selected by its name.
SPEEDS = ((8, 9), (9, 8), (13, 12), (12, 13))


@dataclass
class Recording:
    """One utterance or talking clip.

    Args:
        name: name of the utterance or clip.
        kind: "speech" (read sentences) or "clips" (talking people).
        person: speaker; train, validation and test never share one.
        split: as in the manifest: "train", "val", "test" or "personal".
        audio: int16 [n], 16 kHz.
        teacher: float16 [T, 96] at 25 Hz of the clean audio, or None where not cached.
        altered: the same of the audio at `speed`, or None.
        phones: int8 [100 Hz], index into PHONES; None without a known alignment.
        mouth: float32 [T, K], see shared.speech.training.mouth; None without a visible face.
    """

    name: str
    kind: str
    person: str
    split: str
    audio: np.ndarray
    teacher: np.ndarray | None = None
    altered: np.ndarray | None = None
    phones: np.ndarray | None = None
    mouth: np.ndarray | None = None
    _altered_audio: np.ndarray | None = field(default=None, repr=False)

    @property
    def speed(self) -> tuple[int, int]:
        """New length : old length of the altered version."""
        return SPEEDS[zlib.crc32(self.name.encode()) // 2 % len(SPEEDS)]

    def altered_audio(self) -> np.ndarray:
        """Slower and lower, or faster and higher: int16 [about n * speed], computed once."""
        if self._altered_audio is None:
            self._altered_audio = change_speed(self.audio, self.speed)
        return self._altered_audio


def change_speed(audio: np.ndarray, speed: tuple[int, int]) -> np.ndarray:
    """Resample int16 audio by `speed` (new length : old length)."""
    return np.clip(resample_poly(audio.astype(np.float32), *speed), -32768, 32767).astype(np.int16)


def load_recordings(
    data: str | Path,
    models: str | Path,
    cache: str | Path,
    *,
    splits: tuple[str, ...],
    alignment: str | Path | None = None,
    teach: bool = True,
) -> list[Recording]:
    """Read sentences and talking clips of some splits; teacher embeddings are read from, or written to, the cache.

    Args:
        data: folder with `speech/` and `clips/`.
        models: folder with `google_speech_embedding/`.
        cache: folder that may be deleted.
        splits: the splits to read.
        alignment: .jsonl of scripts/align_speech.py; the one of `data/speech` by default.
        teach: with the teacher's embeddings; otherwise only the audio is read (and kept in a cache of its own).

    Raises:
        InputError: the folders lack a required file.
    """
    data, cache = Path(data), Path(cache) / ("speech" if teach else "speech_audio")
    for needed in ("speech/manifest.csv", "clips/manifest.csv"):
        if not (data / needed).exists():
            raise InputError(f"{data / needed} does not exist; `data:` in the config names the data folder")
    teacher = SpeechEmbedding(Path(models) / "google_speech_embedding") if teach else None
    phones = _read_alignment(Path(alignment) if alignment else data / "speech" / "alignment.jsonl")

    sentences: dict[str, list[dict[str, str]]] = {}
    for row in _read_csv(data / "speech" / "manifest.csv"):
        if row["split"] in splits:
            sentences.setdefault(row["file"], []).append(row)
    clips = [r for r in _read_csv(data / "clips" / "manifest.csv") if r["audio"] != "none" and r["split"] in splits]

    recordings = []
    for file, rows in tqdm(sentences.items(), unit="speaker", desc="speech"):
        stored = _cached(
            cache / f"{Path(file).stem}.npz", partial(_prepare_speaker, data / "speech" / file, rows, teacher)
        )
        for row in rows:
            utt = row["utt"]
            audio = stored[f"{utt}.audio"]
            taught = {part: stored.get(f"{utt}.{part}") for part in ("teacher", "altered")}
            labels = _frame_labels(phones.get(utt), len(audio))
            recordings.append(Recording(utt, "speech", row["speaker"], row["split"], audio, **taught, phones=labels))
    for row in tqdm(clips, unit="clip", desc="clips"):
        name = _clip_name(row)
        stored = _cached(cache / f"{name}.npz", partial(_prepare_clip, name, data / "clips" / row["file"], teacher))
        taught = {part: stored.get(part) for part in ("teacher", "altered")}
        recordings.append(Recording(name, "clips", row["person"], row["split"], stored["audio"], **taught))
    return recordings


@dataclass(frozen=True, kw_only=True)
class RecordingsConfig:
    """Settings of a training on recordings; see `load_recordings`.

    people: share of the training speakers and people to learn from, for learning curves; held-out ones all stay.
    """

    data: str
    models: str
    cache: str = ".cache"
    alignment: str = ".cache/speech_alignment.jsonl"
    people: float = 1.0

    def load(self, split: str, *, teach: bool = True) -> list[Recording]:
        """The recordings of a split."""
        recordings = load_recordings(
            self.data, self.models, self.cache, splits=(split,), alignment=self.alignment, teach=teach
        )
        return [r for r in recordings if is_development(r.person, "speech") or is_learned_from(r.person, self.people)]


def _clip_name(row: dict[str, str]) -> str:
    return row["file"].removesuffix(".mp4").replace("/", "__")


def _prepare_speaker(path: Path, rows: list[dict[str, str]], teacher: SpeechEmbedding | None) -> dict[str, np.ndarray]:
    audio, arrays = _int16(read_audio(path)), {}
    for row in rows:
        part = audio[round(float(row["start"]) * SAMPLE_RATE) : round(float(row["end"]) * SAMPLE_RATE)]
        for key, value in _teach(row["utt"], "speech", part, teacher).items():
            arrays[f"{row['utt']}.{key}"] = value
    return arrays


def _prepare_clip(name: str, path: Path, teacher: SpeechEmbedding | None) -> dict[str, np.ndarray]:
    return _teach(name, "clips", _int16(read_audio(path)), teacher)


def _teach(name: str, kind: str, audio: np.ndarray, teacher: SpeechEmbedding | None) -> dict[str, np.ndarray]:
    if teacher is None:
        return {"audio": audio}
    arrays = {"audio": audio, "teacher": teacher(audio.astype(np.float32) / 32768).astype(np.float16)}
    if zlib.crc32(name.encode()) % 2:
        altered = Recording(name, kind, "", "", audio).altered_audio()
        arrays["altered"] = teacher(altered.astype(np.float32) / 32768).astype(np.float16)
    return arrays


def _cached(path: Path, make: Callable[[], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        save_arrays(path, **make())
    with np.load(path) as stored:
        return dict(stored)


def _int16(audio: np.ndarray) -> np.ndarray:
    return (np.clip(audio, -1, 1) * 32767).astype(np.int16)


def _read_csv(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _read_alignment(path: Path) -> dict[str, list]:
    with open(path) as file:
        lines = [json.loads(line) for line in file]
    return {line["utt"]: line["phones"] for line in lines if "utt" in line}


def _frame_labels(aligned: list | None, samples: int) -> np.ndarray | None:
    if aligned is None:
        return None
    labels = np.zeros(-(-samples // (SAMPLE_RATE // 100)), np.int8)
    for phone, start, end in aligned:
        labels[start:end] = PHONES.index(phone)
    return labels


def track_mouths(recordings: list[Recording], data: str | Path, cache: str | Path) -> dict[str, np.ndarray]:
    """Landmarks [T, 478, 3] without gaps, by name, of the talking clips whose lips and sound belong together."""
    rows = {_clip_name(row): row for row in _read_csv(Path(data) / "clips" / "manifest.csv") if row["audio"] == "ok"}
    tracked = {}
    for recording in tqdm([r for r in recordings if r.name in rows], unit="clip", desc="mouths"):
        stored = Path(cache) / "landmarks" / f"{recording.name}.npz"
        video = Path(data) / "clips" / rows[recording.name]["file"]
        landmarks = fill_gaps(_cached(stored, partial(_track, video))["landmarks"])
        if landmarks is not None:
            tracked[recording.name] = landmarks
    return tracked


def load_mouths(recordings: list[Recording], data: str | Path, cache: str | Path) -> None:
    """Describe the mouths of the talking clips (`.mouth`), with the components of the recordings of split `train`."""
    tracked = track_mouths(recordings, data, cache)
    describe = MouthShape([tracked[r.name] for r in recordings if r.name in tracked and r.split == "train"])
    for recording in recordings:
        if recording.name in tracked:
            recording.mouth = describe(tracked[recording.name])


def _track(path: Path) -> dict[str, np.ndarray]:
    missing = np.full((478, 3), np.nan, np.float32)
    found = [missing if points is None else points for points in track_video(read_video(path))]
    return {"landmarks": np.stack(found)}
