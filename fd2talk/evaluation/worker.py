"""One process of `fd2talk evaluate`: generate a clip if a system has to, measure it, cache the result.

Every clip leaves REPORT/clips/<row>/<repeat>/<clip>.json with .jpg and .npz beside it; generated clips are stored in
REPORT/systems. A record whose fingerprint (files, metrics, settings, weights, code) still matches is reused: a run that
was stopped resumes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from fd2talk.evaluation.inputs.clip_reader import ClipReader, choose_frames
from fd2talk.evaluation.inputs.held_out_style import style_source
from fd2talk.evaluation.inputs.pairs import ClipFiles, Pair
from fd2talk.evaluation.metrics.clip_metrics import ClipScores, measure_pair
from fd2talk.evaluation.metrics.networks import MetricNetworks
from fd2talk.evaluation.settings import Settings
from fd2talk.evaluation.source_digest import code_digest
from fd2talk.evaluation.system_names import NETWORK_ALONE, STYLED, WITHOUT_SPEECH
from fd2talk.evaluation.systems import FRAMES_SUFFIX, ClipGenerator, Recording
from shared.errors import Fd2TalkError, InputError
from shared.face_model import load_bundled
from shared.face_model.loaders import load_face_model
from shared.face_model.morphable import MorphableModel
from shared.files import atomic_output, check_input
from shared.motion import Motion
from shared.photo_fit import PhotoFit
from shared.prepared import save_arrays
from shared.tracking import motion_from_track
from stage1_motion.interface import SamplingOptions

_MEASURING, _GENERATING = "fd2talk.evaluation.metrics.clip_metrics", "fd2talk.evaluation.systems"
_SHUFFLED = "shuffled-audio"  # its output depends on the other clips, as that of `STYLED` does


@dataclass(frozen=True)
class Run:
    """What all clips of a run share.

    Args:
        report: folder of the report.
        settings: how pairs are measured.
        networks: name -> path of the available metric networks.
        digests: name -> digest of these files, and of the bundled lip expert if it is used.
        face_model: a file (ICT-FaceKit: a folder), or None for the bundled face model.
        weights: weights of the systems that are run.
        weights_digests: system -> digest of what it uses of these weights.
        references: the reference clips, from which `shuffled-audio` takes other people's speech.
        video: whether systems have to render.
        render: settings of the renderer for systems that are run, arguments of `RenderPipeline`.
        sampling: settings of their motion model, arguments of `SamplingOptions`.
        tracks: folder of the cached tracks.
    """

    report: Path
    settings: Settings
    networks: dict[str, Path]
    digests: dict[str, str]
    face_model: Path | None
    weights: str
    weights_digests: Mapping[str, str]
    references: Sequence[ClipFiles]
    video: bool
    render: Mapping[str, Any]
    sampling: Mapping[str, Any]
    tracks: Path


class Worker:
    """Generates and measures the clips of a run; models are loaded at their first use and kept."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self._generators: dict[str, ClipGenerator] = {}
        self._photos: dict[Path, PhotoFit] | None = None if run.video else {}  # where nobody asks what they cost

    def __call__(self, pair: Pair, wanted: Sequence[str]) -> dict[str, Any]:
        """Return the record of one clip.

        Args:
            pair: the clip and its reference.
            wanted: keys of metrics.

        Raises:
            Fd2TalkError: the clip cannot be generated or measured.
        """
        timings = None
        try:
            if pair.generated is None:
                generated, timings = self._generate(pair)
                pair = replace(pair, generated=generated)
            fingerprint = self._fingerprint(pair, wanted)
            path = self.run.report / "clips" / pair.system / str(pair.repeat) / f"{pair.name}.json"
            record = _read_cached(path, fingerprint)
            if record is None or (record["arrays"] and not path.with_suffix(".npz").exists()):
                networks = MetricNetworks(self.run.networks)
                scores = measure_pair(pair, wanted, self.model, networks, self.run.tracks, self.run.settings)
                record = self._store(path, fingerprint, pair, scores, timings)
            return record
        except Fd2TalkError as error:
            raise type(error)(f"{pair.system}, {pair.name}: {error}") from None
        except OSError as error:  # a folder that is not writable, a full disk
            raise Fd2TalkError(f"{pair.system}, {pair.name}: {error}") from error

    @cached_property
    def model(self) -> MorphableModel:
        """The face model that motions belong to."""
        return load_face_model(self.run.face_model) if self.run.face_model else load_bundled()

    @cached_property
    def _speech_sources(self) -> list[object]:
        """Name and file of every reference clip."""
        return [(clip.name, _stamp(clip.video)) for clip in self.run.references]

    def _generate(self, pair: Pair) -> tuple[ClipFiles, dict[str, float]]:
        """Let a system generate the clip, unless its cached files still match."""
        assert pair.reference is not None  # a system generates from it
        folder, count = self.run.report / "systems" / pair.system / str(pair.repeat), self.run.settings.frames
        video, motion, record, frames = (
            folder / f"{pair.name}{suffix}" for suffix in (".mp4", ".npz", ".json", FRAMES_SUFFIX)
        )
        render = self.run.video and pair.system not in NETWORK_ALONE
        images = (frames if count else video) if render else None
        others = self._speech_sources if pair.system in (_SHUFFLED, *STYLED) else []
        facts = (
            pair.system,
            pair.repeat,
            self.run.weights_digests[pair.system],
            _stamp(pair.reference.video),
            others,
            count,
        )
        options = sorted(self.run.render.items()), sorted(self.run.sampling.items())
        fingerprint = _digest(code_digest(_GENERATING), *facts, *options)
        cached = _read_cached(record, fingerprint)
        if cached is None or not motion.exists() or (images and not images.exists()):
            generator, recording = self._generator(pair.system), self._recording(pair.reference, pair.system)
            numbers = choose_frames(recording.track, count) if images and count else None
            timings = generator(recording, pair.repeat, folder, video=render, numbers=numbers)
            cached = {"fingerprint": fingerprint, "timings": asdict(timings)}
            _write_json(record, cached)
        of_kind = {"frames" if count else "video": images}
        return ClipFiles(pair.name, pair.person, motion=motion, **of_kind), cached["timings"]

    def _generator(self, system: str) -> ClipGenerator:
        if system not in self._generators:
            references = self.run.references if system == _SHUFFLED else ()
            recordings = [self._recording(clip, system) for clip in references]
            self._generators[system] = ClipGenerator(
                system,
                weights=self.run.weights,
                recordings=recordings,
                render=self.run.render,
                sampling=SamplingOptions(**self.run.sampling),
                photos=self._photos,
            )
        return self._generators[system]

    def _recording(self, reference: ClipFiles, system: str) -> Recording:
        reader = ClipReader(reference, self.model, self.run.tracks)
        audio = reader.speech
        if audio is None:
            if system not in WITHOUT_SPEECH:
                raise InputError(f"{reference.video}: no audio to generate from")
            audio = np.zeros(0, np.float32)  # silence in the video
        assert reference.video is not None  # `read_rows` requires one
        style = self._style_source(reference, system) if system in STYLED else None
        return Recording(reference.name, reference.person, reference.video, audio, reader.track, style)

    def _style_source(self, reference: ClipFiles, system: str) -> Motion | None:
        """Motion of the person that the clip's style is read from, if there is any."""

        def motion(clip: ClipFiles) -> Motion:
            return motion_from_track(self.model, ClipReader(clip, self.model, self.run.tracks).track)

        own = motion(reference)
        if system == "diffposetalk-own-style":
            return own
        clips = [c for c in self.run.references if c.person == reference.person and c.name != reference.name]
        return style_source(own, [motion(clip) for clip in clips if clip.video is not None])

    def _fingerprint(self, pair: Pair, wanted: Sequence[str]) -> str:
        run, clips = self.run, [pair.generated, pair.reference]
        return _digest(
            code_digest(_MEASURING),
            sorted(wanted),
            asdict(replace(run.settings, phones={})),
            run.settings.phones.get(pair.name),
            sorted(run.digests.items()),
            self.model.fingerprint,
            [_stamp(path) for clip in clips if clip for path in (clip.video, clip.frames, clip.motion, clip.audio)],
        )

    def _store(
        self, path: Path, fingerprint: str, pair: Pair, scores: ClipScores, timings: dict[str, float] | None
    ) -> dict[str, Any]:
        path.parent.mkdir(parents=True, exist_ok=True)
        record = {
            "fingerprint": fingerprint,
            "system": pair.system,
            "repeat": pair.repeat,
            "clip": pair.name,
            "person": pair.person,
            "frames": scores.frames,
            "fps": scores.fps,
            "values": {key: value if np.isfinite(value) else None for key, value in scores.values.items()},
            "curves": scores.curves,
            "notes": scores.notes,
            "arrays": sorted(scores.arrays),
            "timings": timings,
        }
        if scores.still is not None:
            still = path.with_suffix(".jpg")
            with atomic_output(still, overwrite=True) as temporary:
                Image.fromarray(scores.still).save(temporary, quality=85)
            record["still"] = still.relative_to(self.run.report).as_posix()
        if scores.arrays:
            save_arrays(path.with_suffix(".npz"), **scores.arrays)
        _write_json(path, record)
        return record


_worker: Worker | None = None


def start(run: Run) -> None:
    """Set up this process; called once in each."""
    global _worker
    _worker = Worker(run)


def work(pair: Pair, wanted: Sequence[str]) -> dict[str, Any]:
    """Call this process's `Worker`."""
    assert _worker is not None  # `start` has set it
    return _worker(pair, wanted)


def read_arrays(report: Path, record: dict[str, Any]) -> dict[str, np.ndarray]:
    """Return the arrays that a clip left for metrics over several clips."""
    path = report / "clips" / record["system"] / str(record["repeat"]) / f"{record['clip']}.npz"
    if not path.exists():
        return {}
    with np.load(path, allow_pickle=False) as file:
        return dict(file)


def _digest(*facts: object) -> str:
    return hashlib.sha256(json.dumps(facts, default=str).encode()).hexdigest()


def _stamp(path: Path | None) -> list[object] | None:
    if path is None:
        return None
    stat = check_input(path).stat()
    return [str(path.resolve()), stat.st_size, stat.st_mtime_ns]


def _read_cached(path: Path, fingerprint: str) -> dict[str, Any] | None:
    """What `_write_json` wrote, if it has this fingerprint."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) and content.get("fingerprint") == fingerprint else None


def _write_json(path: Path, content: dict[str, Any]) -> None:
    with atomic_output(path, overwrite=True) as temporary:
        temporary.write_text(json.dumps(content), encoding="utf-8")
