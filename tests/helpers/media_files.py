"""Media files for tests: synthetic sound and video, and unusable files."""

import os
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from scipy.io import wavfile

from shared.video_writer import VideoWriter


def tone(seconds: float, rate: int, hertz: float = 440.0) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def encode(path: Path, samples: np.ndarray, rate: int, codec: str) -> Path:
    """Write float samples [channels, n] with any of FFmpeg's codecs."""
    layout = {1: "mono", 2: "stereo", 6: "5.1"}[samples.shape[0]]
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, layout=layout)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), "fltp", layout)
        frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
        resampler = av.AudioResampler(stream.codec_context.format.name, layout, rate)
        for piece in resampler.resample(frame):
            container.mux(stream.encode(piece))
        container.mux(stream.encode(None))
    return path


def encode_tracks(path: Path, tracks: list[np.ndarray], default: int | None = 0) -> Path:
    """Write sound tracks [n] of 16 kHz into one file; the one with the index `default` is marked so."""
    with av.open(str(path), "w") as container:
        streams = [container.add_stream("aac", rate=16000, layout="mono") for _ in tracks]
        for index, stream in enumerate(streams):
            stream.disposition = av.stream.Disposition.default if index == default else av.stream.Disposition(0)
        for stream, samples in zip(streams, tracks):
            frame = av.AudioFrame.from_ndarray(np.asarray(samples, np.float32)[None], "fltp", "mono")
            frame.sample_rate, frame.pts = 16000, 0
            container.mux(stream.encode(frame))
        for stream in streams:
            container.mux(stream.encode(None))
    return path


def write_video(path: Path, frames: list[np.ndarray], **options) -> Path:
    height, width = frames[0].shape[:2]
    with VideoWriter(path, (width, height), **options) as writer:
        for frame in frames:
            writer.write(frame)
    return path


def grey_frames(count: int, level=lambda i: 128, size=(32, 48)) -> list[np.ndarray]:
    return [np.full((*size, 3), level(i), np.uint8) for i in range(count)]


def leftovers(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def assert_one_line(error: pytest.ExceptionInfo, path) -> None:
    text = str(error.value)
    assert str(path) in text and "\n" not in text and len(text) < len(str(path)) + 200


def bad_file(folder: Path, kind: str) -> Path:
    path = folder / f"{kind}.wav"
    if kind == "folder":
        path.mkdir()
    elif kind == "empty":
        path.touch()
    elif kind == "text":
        path.write_text("This is a letter, not a recording.\n" * 50)
    elif kind == "text with its own suffix":
        path = path.with_suffix(".txt")
        path.write_text("This is a letter, not a recording.\n" * 50)
    elif kind == "noise":
        path.write_bytes(np.random.default_rng(0).bytes(5000))
    elif kind == "header only":
        wavfile.write(path, 16000, np.zeros(0, np.int16))
    elif kind == "pipe":
        os.mkfifo(path)
    return path


BAD = ["missing", "folder", "empty", "text", "text with its own suffix", "noise", "pipe"]
