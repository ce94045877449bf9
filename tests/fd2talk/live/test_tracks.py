"""One clock for sound and pictures."""

import asyncio

import numpy as np
import pytest

pytest.importorskip("aiortc", reason="the extra live is not installed")

from aiortc.mediastreams import MediaStreamError
from flashing import FlashRender, clicks, flashing

from fd2talk.live.tracks import Player


async def played(portrait, seconds):
    """What both tracks gave, and the player."""
    player = Player(portrait)
    running = asyncio.create_task(player.run())
    got = {"sound": [], "pictures": []}

    async def receive(name):
        while True:
            got[name].append(await getattr(player, name).recv())

    tasks = [asyncio.create_task(receive(name)) for name in got]
    await asyncio.sleep(seconds)
    for task in (running, *tasks):
        task.cancel()
    await asyncio.gather(running, *tasks, return_exceptions=True)
    player.stop()
    return got["sound"], got["pictures"], player


def test_sound_and_pictures_carry_the_time_of_their_frame():
    with flashing(sound_rate=48000) as portrait:
        portrait.speak(clicks(3, 0.4, 48000))
        sounds, pictures, player = asyncio.run(played(portrait, 2.5))
    assert 22 <= player.fps <= 27
    assert [sound.pts for sound in sounds] == [960 * number for number in range(len(sounds))]
    assert all(sound.samples == 960 and sound.sample_rate == 48000 for sound in sounds)
    assert len(sounds) >= 110
    loud = {sound.pts // 1920 for sound in sounds if np.abs(sound.to_ndarray()).max() > 16000}
    white = {picture.pts // 3600 for picture in pictures if picture.to_ndarray(format="gray").max() > 200}
    assert loud == white and len(loud) >= 4


def test_sound_leaves_in_time_while_pictures_are_missing():
    with flashing(FlashRender(seconds=1.0), size=512, sound_rate=48000, notify=lambda note: None) as portrait:
        portrait.frame()  # the first one is waited for
        sounds, pictures, player = asyncio.run(played(portrait, 2.0))
    assert len(sounds) >= 85 and np.diff([sound.pts for sound in sounds]).max() == 960
    assert len(pictures) < 30 and np.all(np.diff([picture.pts for picture in pictures]) > 0)
    assert np.median(player.lateness) < 0.06  # waiting for a picture would take a second


def test_a_track_that_ends_ends_its_reader():
    async def check():
        player = Player(None)
        waiting = asyncio.create_task(player.sound.recv())
        await asyncio.sleep(0)
        player.stop()
        with pytest.raises(MediaStreamError):
            await waiting

    asyncio.run(check())
