"""Sound and pictures belong together, whatever the pace, the rate, an interruption or a machine that is too slow."""

import threading
import time
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
from flashing import FlashRender, FlashStream, clicks, flashing, made_ahead, wait_for
from material import SPEECH, fitted_portrait

from fd2talk.live import portrait as live_portrait
from fd2talk.live.maker import _WAIT
from fd2talk.live.portrait import LivePortrait
from shared.errors import InputError, UsageError
from shared.face_model.measures import lip_gap
from shared.media import read_audio
from stage1_motion.pipeline import MotionPipeline
from stage2_render.pipeline import RenderPipeline


@pytest.fixture(scope="module")
def photo():
    return fitted_portrait()


@pytest.fixture(scope="module")
def pipelines():
    return MotionPipeline.from_pretrained(), RenderPipeline.from_pretrained(renderer="geometry")


@pytest.fixture(scope="module")
def voice():
    return read_audio(SPEECH)


def taken(portrait, count, timeout=None):
    return [portrait.frame(timeout) for _ in range(count)]


def paced(portrait, count, patience=0.02):
    """Frames at 25 a second, and how late each was."""
    start, frames, late = time.monotonic(), [], []
    for index in range(count):
        time.sleep(max(0, start + index / 25 - time.monotonic()))
        frames.append(portrait.frame(patience))
        late.append(time.monotonic() - start - index / 25)
    return frames, late


def sound_of(frames):
    return np.concatenate([frame.sound for frame in frames])


@pytest.mark.parametrize("rate", [16000, 22050, 24000, 48000])
def test_the_flash_is_in_the_frame_of_the_click_at_every_rate(rate):
    sound = clicks(4, 0.4, rate)
    with flashing(sound_rate=rate) as portrait:
        portrait.speak(sound)
        portrait.end_of_speech()
        frames = taken(portrait, 120)
    heard = sound_of(frames)
    at = np.flatnonzero([frame.speaking for frame in frames])
    assert np.array_equal(heard[at[0] * rate // 25 :][: len(sound)], sound)  # as it is, and complete
    assert np.array_equal(at, np.arange(at[0], at[0] + 100))
    assert [frame.index for frame in frames] == list(range(120))
    clicking = [np.abs(frame.sound).max() > 0.5 for frame in frames]
    assert sum(clicking) == 9 and clicking == [frame.image.max() == 255 for frame in frames]


def test_sound_in_real_time_comes_out_within_half_a_second(monkeypatch):
    """Of a clock that goes on when a frame is taken, on a machine that makes each hop of motion in time."""
    sound, now = clicks(2.4, 0.4, 16000), 100.0
    monkeypatch.setattr(live_portrait, "time", SimpleNamespace(monotonic=lambda: now))
    frames = []
    with flashing() as portrait:
        portrait._maker.speech._clock = lambda: now
        taken(portrait, 8)
        for index in range(75):
            wait_for(lambda: len(portrait._maker.plan) > _WAIT)
            now = 100 + index / 25
            for piece in np.split(sound[index * 640 : (index + 1) * 640], 2):
                portrait.speak(piece)
            frames.append(portrait.frame())
        delay = portrait.figures.delay
    heard = sound_of(frames)
    first = np.flatnonzero(np.abs(heard) > 0.5)[0]
    waited = (first - np.flatnonzero(np.abs(sound) > 0.5)[0]) / 16000
    assert 0.3 < waited < 0.6
    assert -0.161 < delay - waited < 0.001  # up to a hop less: what waits behind other sound is due behind it
    assert np.array_equal(heard[np.abs(heard) > 0.5], sound[np.abs(sound) > 0.5][: np.sum(np.abs(heard) > 0.5)])


def test_an_interruption_is_silent_within_100_ms_and_the_next_words_are_said():
    with flashing() as portrait:
        portrait.speak(np.full(32000, 0.8, np.float32))
        before = taken(portrait, 30)
        assert before[-1].speaking and before[-1].image.max() == 255
        portrait.interrupt()
        portrait.interrupt()  # nothing is left to stop
        after = taken(portrait, 30)
        assert portrait.queued == 0
        portrait.speak(np.full(6400, 0.8, np.float32))
        portrait.end_of_speech()
        again = taken(portrait, 40)
    assert np.all(np.diff(after[0].sound) <= 0) and after[0].sound[-1] == 0  # fades out
    assert not sound_of(after[1:]).any() and not any(frame.speaking for frame in after[1:])
    assert max(frame.image.max() for frame in after[1:]) == 0  # the mouth too
    assert np.sum(sound_of(again) != 0) == 6400 and sum(frame.image.max() == 255 for frame in again) == 10
    assert [frame.index for frame in [*before, *after, *again]] == list(range(100))


@pytest.mark.parametrize("seed", range(3))
def test_interruptions_at_any_moment_leave_no_frame_behind(seed):
    """The caller takes frames while motion and pictures of others are being made anew."""
    random = np.random.default_rng(seed)
    with flashing(FlashRender(seconds=0.02), FlashStream(seconds=0.003)) as portrait:
        caller = threading.Thread(target=lambda: [frames.append(portrait.frame()) for _ in range(200)])
        frames = []
        caller.start()
        while caller.is_alive():
            portrait.speak(np.full(random.integers(1, 12000), 0.8, np.float32))
            time.sleep(random.uniform(0, 0.03))
            portrait.interrupt()
        caller.join(20)
    assert [frame.index for frame in frames] == list(range(200))


def test_an_idle_portrait_is_not_interrupted():
    with flashing() as portrait:
        taken(portrait, 8)
        made_ahead(portrait)
        painted = portrait._pipeline.painted
        portrait.interrupt()
        time.sleep(0.1)
        assert portrait._pipeline.painted == painted


def test_the_mouth_of_a_real_portrait_closes_without_a_jump(photo, pipelines, voice):
    with LivePortrait(photo, *pipelines, size=64, seed=1) as portrait:
        plan, motions = portrait._maker.plan, []
        take = plan.take
        plan.take = lambda: (motions.append(plan.frames[0].motion), take())[1]
        made_ahead(portrait)  # so that it is always the same word that is interrupted
        portrait.speak(voice)
        taken(portrait, 52)
        portrait.interrupt()
        at = len(motions)
        frames = taken(portrait, 40)
    gaps = np.concatenate([lip_gap(photo.model.vertices(one.identity, one.expression)) for one in motions])
    assert max(gaps[at - 10 : at + 1]) > 2  # mm: in mid-word
    assert max(gaps[at + 3 :]) < 1
    assert np.abs(np.diff(gaps[at - 1 : at + 8])).max() < 0.6 * max(gaps[at - 10 : at + 1])
    assert not sound_of(frames[1:]).any()


def test_real_pictures_move_with_the_speech(photo, pipelines, voice):
    with LivePortrait(photo, *pipelines, size=128, seed=1) as portrait:
        still = taken(portrait, 10)
        portrait.speak(voice[:16000])
        frames = taken(portrait, 45)
    assert still[0].image.shape == (128, 128, 3) and still[0].image.dtype == np.uint8

    def movement(frames):
        mouths = np.stack([frame.image[80:110, 40:90] for frame in frames]).astype(float)
        return np.abs(np.diff(mouths, axis=0)).mean()

    spoken = [frame for frame in frames if frame.speaking]
    assert 25 <= len(spoken) <= 26 and movement(spoken) > 3 * movement(still)


def test_a_slow_machine_drops_pictures_and_becomes_smaller_but_sound_is_in_time():
    notes, render = [], FlashRender(seconds=0.2)
    with flashing(render, size=512, notify=notes.append) as portrait:
        portrait.speak(clicks(5, 0.4, 16000))
        frames, late = paced(portrait, 125)
    # Whatever keeps each frame longer than 40 ms makes the next ones later and later; while another program keeps the
    # processor a few are late.
    assert np.median(late) < 0.3
    assert np.array_equal([frame.index for frame in frames], np.arange(125))
    assert any(frame.late for frame in frames)
    assert render.sizes[:2] == [512, 384] and frames[-1].image.shape[0] < 512
    assert len(notes) == len(render.sizes) - 1 and "too slow for 512 pixels: frames are 384" in notes[0]
    # Pictures that are in time show what is heard.
    assert all((np.abs(f.sound).max() > 0.5) == (f.image.max() == 255) for f in frames if not f.late)


def test_a_fast_machine_keeps_its_size():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with flashing(FlashRender(seconds=0.02), size=512) as portrait:
            frames = []
            for _ in range(60):
                made_ahead(portrait)  # fast, whatever else this one does
                frames.append(portrait.frame(0.02))
            assert portrait.size == 512 and portrait.figures.late == sum(frame.late for frame in frames) == 0


def test_another_size_does_not_interrupt_the_sound():
    sound = clicks(3, 0.4, 16000)
    with flashing(size=256) as portrait:
        portrait.speak(sound)
        frames = taken(portrait, 30)
        portrait.resize(128)
        frames += taken(portrait, 60)
        assert (portrait.figures.width, portrait.size) == (128, 128)
    heard = sound_of(frames)
    first = np.flatnonzero(np.abs(heard))[0] - np.flatnonzero(sound)[0]
    assert np.array_equal(heard[first:][: len(sound)], sound)
    assert {frame.image.shape[0] for frame in frames} == {256, 128}


def test_the_other_speaker_is_heard_by_the_motion():
    stream = FlashStream()
    with flashing(stream=stream) as portrait:
        taken(portrait, 4)
        portrait.listen(np.full(640, 0.5, np.float32))
        taken(portrait, 16)  # more than are ahead
        assert np.concatenate(stream.heard).sum() == 320
        for _ in range(300):  # nobody takes frames: what is kept is bounded
            portrait.listen(np.zeros(640, np.float32))
        assert sum(map(len, portrait._maker._heard)) <= 5 * 16000


@pytest.mark.parametrize("samples", [np.zeros(4), np.zeros((2, 2), np.float32), np.array([np.nan], np.float32), b"ab"])
def test_what_is_no_sound_is_refused(samples):
    with flashing() as portrait:
        for method in (portrait.speak, portrait.listen):
            with pytest.raises(InputError, match="float32"):
                method(samples)


def test_a_closed_portrait_says_so_and_its_threads_end():
    def threads():
        return sorted(thread.name for thread in threading.enumerate() if thread.name.startswith("live"))

    assert threads() == []
    portrait = flashing()
    assert threads() == ["live_generate", "live_paint", "live_paint"]
    portrait.close()
    portrait.close()
    assert threads() == []
    with pytest.raises(UsageError, match="closed"):
        taken(portrait, 100)
    with pytest.raises(UsageError, match="closed"):
        portrait.speak(np.zeros(4, np.float32))


def test_what_goes_wrong_in_a_thread_is_raised_to_the_caller():
    class Broken(FlashStream):
        def push(self, samples):
            raise InputError("a motion that cannot be made")

    with flashing(stream=Broken()) as portrait, pytest.raises(InputError, match="cannot be made"):
        portrait.frame()


def test_renderers_and_models_that_are_not_for_this_are_refused(photo, pipelines, renderer_weights):
    motion, render = pipelines
    with pytest.raises(UsageError, match="too slow for live"):
        LivePortrait(photo, motion, RenderPipeline.from_pretrained(renderer_weights, renderer="diffusion"))
    with pytest.raises(UsageError, match="at least 64"):
        LivePortrait(photo, motion, render, size=16)
    with pytest.raises(UsageError, match="multiple of 25"):
        LivePortrait(photo, motion, render, sound_rate=16001)


def test_the_caller_may_use_his_arrays_again():
    stream = FlashStream()
    with flashing(stream=stream) as portrait:
        buffer = np.full(6400, 0.8, np.float32)
        portrait.speak(buffer)
        portrait.end_of_speech()
        portrait.listen(buffer)
        buffer[:] = 0
        assert np.sum(sound_of(taken(portrait, 30)) != 0) == 6400
        assert np.concatenate(stream.heard).min() > 0.7


def test_of_a_large_piece_the_last_seconds_are_heard():
    with flashing() as portrait:
        taken(portrait, 4)
        made_ahead(portrait)  # and nothing is taken from now on
        sound = np.arange(10 * 16000, dtype=np.float32) / 16000
        portrait.listen(sound)
        portrait.listen(sound[:100])
        heard = np.concatenate(portrait._maker._heard)
    assert np.array_equal(heard, np.r_[sound, sound[:100]][-5 * 16000 :])


def test_an_interruption_says_whether_there_was_anything_to_stop():
    with flashing() as portrait:
        taken(portrait, 4)
        assert not portrait.interrupt()
        portrait.speak(np.full(32000, 0.8, np.float32))
        assert portrait.interrupt() and not portrait.interrupt()  # before its first frame
        portrait.speak(np.full(32000, 0.8, np.float32))
        taken(portrait, 30)
        assert portrait.interrupt() and not portrait.interrupt()


def test_an_utterance_is_over_when_all_that_was_given_is_spoken():
    with flashing() as portrait:
        portrait.speak(np.full(6400, 0.8, np.float32))
        assert portrait.end_of_speech() == 6400
        frames = taken(portrait, 30)
        last = max(frame.index for frame in frames if frame.speaking)
        assert frames[last].spoken == 6400 and frames[last - 1].spoken < 6400
        portrait.speak(np.full(3200, 0.8, np.float32))
        assert portrait.end_of_speech() == 9600


def test_after_close_every_call_says_so_at_once():
    portrait = flashing()
    taken(portrait, 4)
    portrait.close()
    calls = [
        portrait.frame,
        portrait.end_of_speech,
        portrait.interrupt,
        lambda: portrait.listen(np.zeros(1, np.float32)),
        lambda: portrait.resize(128),
    ]
    for call in calls:
        with pytest.raises(UsageError, match="closed"):
            call()


@pytest.mark.parametrize("size", ["256", 256.0, None, True, [256]])
def test_a_size_is_a_whole_number(size):
    with flashing() as portrait, pytest.raises(UsageError, match="whole number"):
        portrait.resize(size)
