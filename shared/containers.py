"""Open files of sound and video, choose one of their tracks, and decode it."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from typing import Any

import av
import numpy as np

from shared.errors import InputError
from shared.files import check_input

# FFmpeg also guesses formats that have no header, and so "plays" raw samples, text or anything else as loud noise.
# These begin with a signature, or repeat one in every packet; besides them still images, whose formats end in "_pipe".
_FORMATS = set(
    "aa aac aax ac3 ac4 aiff amr ape apng asf ast au av1 avi caf dsf dts dtshd dv eac3 flac flv gif gxf h264 hevc hls "
    "iamf iff image2 ircam ivf live_flv loas m4v matroska,webm mjpeg mlp mov,mp4,m4a,3gp,3g2,mj2 mp3 mpc mpc8 mpeg "
    "mpegts mpegvideo mxf nistsphere nut nuv obu ogg oma paf qcp qoa rm shn smjpeg sox swf tak truehd tta vc1 voc w64 "
    "wav wsd wtv wv xwma yuv4mpegpipe".split()
)

# FFmpeg's AV_DISPOSITION_*: the track that players play, tracks beside the speech (commentary, karaoke, description for
# the blind, effects alone, a part of another track), and an album's cover, which is not a video.
_DEFAULT, _BESIDE, _COVER = 0x1, 0x8 | 0x20 | 0x100 | 0x200 | 0x80000, 0x400
# A track this much quieter than the loudest one is silent beside it: a recorder's hiss lies 40 to 60 dB below speech.
_SILENT_DB = 30
_LEVEL_SECONDS = 600  # how much of each of several tracks is heard to choose one


# Before release 19 PyAV refused files whose tags are not UTF-8, unless it was told.
_LENIENT: dict[str, Any] = {} if int(av.__version__.split(".")[0]) >= 19 else {"metadata_errors": "ignore"}


def open_media(path: str | os.PathLike) -> Any:
    """Open a file for demultiplexing; the caller closes the returned `av` input container.

    Raises:
        InputError: the file is missing, empty, of a kind that has neither sound nor pictures, or without a header.
    """
    file = check_input(path)
    try:
        # "file:" keeps a colon in a name from being read as a network address; playlists may refer to files only.
        container = av.open(f"file:{file}", options={"protocol_whitelist": "file"}, **_LENIENT)
    except (av.FFmpegError, UnicodeError) as error:
        raise InputError(f"cannot read {path}: it is not a sound or video file that can be decoded") from error
    if (name := container.format.name) in _FORMATS or name.endswith("_pipe"):
        return container
    container.close()
    if name == "tty":  # FFmpeg "plays" text files as terminal art
        raise InputError(f"cannot read {path}: it is a text file")
    raise InputError(f"cannot read {path}: no header says what it holds (raw samples need one, such as that of WAV)")


def decoded(container: av.container.InputContainer, stream: av.stream.Stream, path: str | os.PathLike) -> Iterator:
    """Yield the frames of one stream in order; a damaged packet is skipped, as in media players.

    Raises:
        InputError: the stream cannot be decoded, or at the end, most of its packets could not; `path` names the file in
            the message.
    """
    packets = damaged = 0
    try:
        for packet in container.demux(stream):
            packets += packet.size > 0
            try:
                yield from packet.decode()
            except av.InvalidDataError:
                damaged += packet.size > 0
    except av.FFmpegError as error:
        raise InputError(f"cannot read {path}: it cannot be decoded ({error.strerror})") from error
    if 2 * damaged > packets:
        kind = container.format.name.split(",")[0]
        raise InputError(f"cannot read {path}: {damaged} of its {packets} packets cannot be decoded as {kind}")


def sound_stream(container: av.container.InputContainer, path: str | os.PathLike) -> av.AudioStream:
    """Return the sound track that a player plays: of several the one marked default, unless it is silent.

    Raises:
        InputError: there is no sound track; `path` names the file.
    """
    streams = [stream for stream in container.streams.audio if stream.codec_context is not None]
    if not streams:
        raise InputError(f"cannot read {path}: it has no sound track")
    if len(streams) == 1:
        return streams[0]
    marks = {stream.index: getattr(stream, "disposition", 0) for stream in streams}
    ranked = sorted(streams, key=lambda s: (not marks[s.index] & _DEFAULT, bool(marks[s.index] & _BESIDE)))
    levels = {stream.index: _level(path, stream.index) for stream in streams}
    audible = max(levels.values()) / 10 ** (_SILENT_DB / 10)
    chosen = next(stream for stream in ranked if levels[stream.index] >= audible)
    why = "marked default" if marks[chosen.index] & _DEFAULT else "the first that is meant for everybody"
    why = why if chosen is ranked[0] else "the first with sound in it"
    number = streams.index(chosen) + 1
    warnings.warn(f"{path} has {len(streams)} sound tracks; number {number} is used, {why}", stacklevel=2)
    return chosen


def video_stream(container: av.container.InputContainer, path: str | os.PathLike) -> av.VideoStream:
    """Return the first video stream that is not an album's cover. Raises InputError when there is none."""
    for stream in container.streams.video:
        if stream.codec_context is not None and not getattr(stream, "disposition", 0) & _COVER:
            stream.thread_type = "AUTO"
            return stream
    raise InputError(f"cannot read {path}: it has no video stream")


def _level(path: str | os.PathLike, index: int) -> float:
    """Mean square of the loudest second of a sound track, of full scale 1."""
    loudness: list[tuple[float, float]] = []
    played = 0.0
    with open_media(path) as container:
        try:
            for frame in decoded(container, container.streams[index], path):
                values = frame.to_ndarray()
                if values.dtype.kind != "f":
                    top = np.iinfo(values.dtype).max
                    values = (values - (128.0 if values.dtype == np.uint8 else 0.0)) / top
                seconds = frame.samples / frame.sample_rate
                loudness.append((float(np.nan_to_num(np.square(values, dtype=np.float64)).mean()), seconds))
                played += seconds
                if played > _LEVEL_SECONDS:
                    break
        except InputError:  # a track that cannot be decoded is not chosen unless all are such
            pass
    total = heard = 0.0
    for level, seconds in sorted(loudness, reverse=True):
        part = min(seconds, 1 - heard)
        total, heard = total + level * part, heard + part
    return total
