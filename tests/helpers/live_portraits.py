"""Live portraits without networks: pictures that tell how loud the sound is that their motion has heard."""

from __future__ import annotations

import ast
import asyncio
import re
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from fd2talk.live.portrait import LivePortrait
from shared.face_model import load_bundled
from shared.face_model.camera import project
from shared.faces.crop import Crop
from shared.media import FPS, SAMPLE_RATE
from shared.motion import Motion
from shared.photo_fit import PhotoFit
from stage1_motion.streaming.stream import AHEAD, HOP

FRAME = round(SAMPLE_RATE / FPS)


class TellingStream:
    """As a `MotionStream`; the first number of a frame's rotation is the root mean square of its sound."""

    def __init__(self):
        self.sound, self.frames, self.heard = np.zeros(0, np.float32), 0, []

    def push(self, samples):
        self.sound = np.concatenate([self.sound, samples])
        parts = []
        while len(self.sound) >= (HOP + AHEAD) * FRAME:
            level = np.sqrt(np.square(self.sound[: HOP * FRAME].reshape(HOP, FRAME)).mean(1))
            parts.append(level)
            self.sound, self.frames = self.sound[HOP * FRAME :], self.frames + HOP
        return telling(np.concatenate(parts)) if parts else None

    def listen(self, samples):
        self.heard.append(samples)

    def interrupt(self, unseen=None):
        self.sound = np.zeros(0, np.float32)
        return None if unseen is None else telling(np.zeros(len(unseen)))


def telling(levels):
    rotation = np.zeros((len(levels), 3), np.float32)
    rotation[:, 0] = levels
    sound = np.zeros(FRAME * len(levels), np.float32)
    return Motion(np.zeros((len(levels), 1), np.float32), rotation, 0 * rotation, "telling", audio=sound)


class TellingRenderer:
    """A picture whose pixels are 250 times the number that `TellingStream` has left in the motion."""

    def __init__(self, size):
        self.width, self.height = size, size // 2

    def __call__(self, motion):
        shape = (self.height, self.width, 3)
        return [np.full(shape, round(250 * float(level)), np.uint8) for level in motion.rotation[:, 0]]


def telling_portrait(sound_rate=16000, size=64):
    """A `LivePortrait` and its stream."""
    stream = TellingStream()
    motion = SimpleNamespace(stream=lambda *_, **__: stream)
    render = SimpleNamespace(live=lambda *_, max_size, **__: TellingRenderer(max_size))
    return LivePortrait(None, motion, render, size=size, sound_rate=sound_rate), stream


def late_frames(portrait):
    """A list that grows with the frames that are taken late, with another picture, as on a busy machine."""
    late, take = [], portrait.frame

    def taken(*patience):
        frame = take(*patience)
        if frame.late:
            late.append(frame.index)
        return frame

    portrait.frame = taken
    return late


async def stood_still(work):
    """The result of a coroutine, and for how many seconds its event loop was held up at most meanwhile."""
    longest = 0.0

    async def watch():
        nonlocal longest
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.01)
            longest = max(longest, time.monotonic() - before - 0.01)

    watching = asyncio.create_task(watch())
    try:
        return await work, longest
    finally:
        watching.cancel()


def undisturbed(run, tries=4):
    """What `run` returns with the time of `stood_still`, from a run in which no other program kept the processor.

    Where sound has run dry it stays late, and pictures that do not wait for it are apart from it: it says nothing.
    """
    for _ in range(tries):
        result, longest = run()
        if longest < 0.05:
            return result
    return pytest.skip("the machine is too busy to compare times")


def onsets(sound, rate):
    """Seconds at which sound that goes in steps becomes louder than a half."""
    loud = sound > 0.5
    return np.flatnonzero(loud[1:] & ~loud[:-1]) / rate + 1 / rate


def drawn_photo(size=192):
    """The fit of a drawn average face, which needs no face tracker."""
    model = load_bundled()
    crop = Crop(size / 2, size / 2, size)
    mesh = crop.to_pixels(project(model.mean, np.zeros(3), np.array([0.0, -0.18, -0.32])))
    image = np.empty((size, size, 3), np.uint8)
    image[:] = np.linspace(90, 200, size)[:, None, None]
    return PhotoFit.from_landmarks(image, mesh, model)


def steps(rate, levels, seconds=0.2):
    """float32 sound whose loudness goes in steps: levels of `seconds` each."""
    return np.repeat(np.asarray(levels, np.float32), round(rate * seconds))


def level_of(image):
    """What a picture tells."""
    return float(np.median(image)) / 250


def imports_of_the_docs(framework):
    """What the example of docs/integrations.md for a framework imports, as a dictionary of the names."""
    page = (Path(__file__).parents[2] / "docs" / "integrations.md").read_text(encoding="utf-8")
    [example] = [code for code in re.findall(r"```python\n(.*?)```", page, re.S) if f"integrations.{framework}" in code]
    imports = [node for node in ast.parse(example).body if isinstance(node, (ast.Import, ast.ImportFrom))]
    names: dict = {}
    exec(compile(ast.Module(imports, []), page[:20], "exec"), names)
    return names
