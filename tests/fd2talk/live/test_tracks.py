"""One clock for sound and pictures."""

import asyncio
import threading
import time

import numpy as np
import pytest

pytest.importorskip("aiortc", reason="the extra live is not installed")

from aiortc.mediastreams import MediaStreamError
from flashing import FlashRender, clicks, flashing

from fd2talk.live.tracks import Player


async def played(portrait, is_enough):
    """What both tracks gave until it was enough of both, all frames that were played, and the player."""
    frames, got = [], {"sound": [], "pictures": []}
    player = Player(portrait, frames.append)
    running = asyncio.create_task(player.run())

    async def receive(name):
        while True:
            got[name].append(await getattr(player, name).recv())

    tasks = [asyncio.create_task(receive(name)) for name in got]
    until = time.monotonic() + 60
    while not is_enough(got["sound"], frames) and time.monotonic() < until and not running.done():
        await asyncio.sleep(0.02)
    for task in (running, *tasks):
        task.cancel()
    await asyncio.gather(running, *tasks, return_exceptions=True)
    player.stop()
    return got["sound"], got["pictures"], frames, player


def is_loud(sound):
    return np.abs(sound.to_ndarray()).max() > 16000


def test_sound_and_pictures_carry_the_time_of_their_frame():
    def is_enough(sounds, frames):
        clicking = [frame for frame in frames if np.abs(frame.sound).max() > 0.5 and not frame.late]
        return len(sounds) >= 120 and len(clicking) >= 5

    begun = time.monotonic()
    with flashing(sound_rate=48000) as portrait:
        portrait.speak(clicks(20, 0.4, 48000))
        sounds, pictures, frames, player = asyncio.run(played(portrait, is_enough))
    assert len(sounds) >= 120 and time.monotonic() - begun > 2.3  # of 2.4 s; never faster than they are heard
    assert [sound.pts for sound in sounds] == [960 * number for number in range(len(sounds))]
    assert all(sound.samples == 960 and sound.sample_rate == 48000 for sound in sounds)
    late = {frame.index for frame in frames if frame.late}  # on a busy machine: they show another frame
    loud = {sound.pts // 1920 for sound in sounds if is_loud(sound)}
    white = {picture.pts // 3600 for picture in pictures if picture.to_ndarray(format="gray").max() > 200}
    last = frames[-1].index  # of which not both may have been received
    assert loud - late - {last} == white - late - {last} and len(white - late) >= 4


def test_only_pictures_of_the_last_second_count(monkeypatch):
    player = Player(None)
    player._sent_at.extend([1.0, 1.9, 2.0, 2.5])
    monkeypatch.setattr("fd2talk.live.tracks.monotonic", lambda: 2.9)
    assert player.fps == 3


def test_sound_leaves_in_time_while_pictures_are_missing():
    """All but the first ones, which never come."""
    render = FlashRender(go=threading.Event())
    with flashing(render, size=512, sound_rate=48000, notify=lambda note: None) as portrait:
        portrait.frame()  # the first one is waited for
        sounds, pictures, _, player = asyncio.run(played(portrait, lambda sounds, frames: len(sounds) >= 85))
        render.go.set()
    assert len(sounds) >= 85 and set(np.diff([sound.pts for sound in sounds])) == {960}
    assert len(pictures) <= 4 and np.all(np.diff([picture.pts for picture in pictures]) > 0)
    assert 0.015 < np.median(player.lateness) < 0.5  # for a moment a picture is waited for


def test_a_track_that_ends_ends_its_reader():
    async def check():
        player = Player(None)
        waiting = asyncio.create_task(player.sound.recv())
        await asyncio.sleep(0)
        player.stop()
        with pytest.raises(MediaStreamError):
            await waiting

    asyncio.run(check())
