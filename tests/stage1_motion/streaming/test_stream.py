"""A stream against the motion of the whole recording, with the bundled weights."""

import numpy as np
import pytest
from remembered import remembering_pipeline

from shared.errors import InputError, UsageError
from shared.face_model.measures import lid_gap, lip_gap
from shared.media import frame_count, read_audio
from shared.metrics.lips import best_lag_correlation
from shared.weights import bundled
from stage1_motion.interface import SamplingOptions
from stage1_motion.pipeline import MotionPipeline
from stage1_motion.postprocessing import NO_RULES, PostProcessing
from stage1_motion.streaming.stream import AHEAD, HOP, _filled, crossfaded, joined, smoothed

ARRAYS = ("expression", "rotation", "translation")
SECOND = 16000


@pytest.fixture(scope="module")
def pipeline():
    return remembering_pipeline()


@pytest.fixture(scope="module")
def audio():
    """A second of silence, 6 s of two recordings, 2 s of silence."""
    name = "demo/sense_and_sensibility_01_austen_64kb-08{}0.wav"
    speech = [read_audio(bundled(name.format(number)))[: 3 * SECOND] for number in (8, 7)]
    return np.concatenate([np.zeros(SECOND, np.float32), *speech, np.zeros(2 * SECOND + 123, np.float32)])


@pytest.fixture(scope="module")
def streamed(pipeline, audio):
    """The motion of blocks of 100 ms."""
    return in_blocks(pipeline.stream(seed=3), audio, SECOND // 10)


def in_blocks(stream, audio, size):
    parts = [stream.push(audio[start : start + size]) for start in range(0, len(audio), size)]
    return joined([*parts, stream.flush()])


def gaps(pipeline, motion):
    return lip_gap(pipeline.face_model.vertices(motion.identity, motion.expression))


def speed(values):
    return np.linalg.norm(np.diff(values, axis=0), axis=1)


def test_as_many_frames_as_the_recording_covers_with_its_sound(streamed, audio):
    assert len(streamed) == frame_count(len(audio))
    assert np.array_equal(streamed.audio, audio)


@pytest.mark.parametrize("size", [SECOND // 50, SECOND, 7777])
def test_blocks_of_any_size_give_the_same_motion(pipeline, audio, streamed, size):
    short = audio[: 3 * SECOND]
    motion = in_blocks(pipeline.stream(seed=3), short, size)
    assert len(motion) == 75
    for name in ARRAYS:  # the last hops have heard other sound after them
        assert np.array_equal(getattr(motion, name)[: 75 - AHEAD - HOP], getattr(streamed, name)[: 75 - AHEAD - HOP])


def test_a_frame_comes_within_the_look_ahead(pipeline, audio):
    stream, frames = pipeline.stream(), 0
    for start in range(0, 2 * SECOND, 320):
        motion = stream.push(audio[start : start + 320])
        if motion is not None:
            assert (start + 320) / SECOND - frames / 25 <= 0.34  # of its first frame
            frames += len(motion)
    assert frames > 40


def test_lips_are_those_of_the_whole_recording_in_every_second(pipeline, audio, streamed):
    """The wrong sound after the first chunk would show as a lag, or as no correlation at all."""
    whole, stream = gaps(pipeline, pipeline(audio, seed=3)), gaps(pipeline, streamed)
    assert np.corrcoef(whole, stream)[0, 1] > 0.75
    assert abs(best_lag_correlation(stream, whole, max_lag=8)[1]) <= 1
    for start in range(25, 151, 50):
        late = best_lag_correlation(stream[start : start + 75], whole[start : start + 75], max_lag=12)
        assert late[0] > 0.5 and abs(late[1]) <= 2


def test_leading_silence_shifts_the_lips_by_its_length(pipeline, audio):
    """Two seconds that nothing is said in: the lips come two seconds later, to the frame, and are the same."""
    early = in_blocks(pipeline.stream(seed=3, postprocessing=NO_RULES), audio[: 5 * SECOND], 320)
    later = np.concatenate([np.zeros(2 * SECOND, np.float32), audio[: 5 * SECOND]])
    late = in_blocks(pipeline.stream(seed=3, postprocessing=NO_RULES), later, 320)
    shifted = gaps(pipeline, late)[50:]
    for start in (25, 70):
        r, lag = best_lag_correlation(
            shifted[start : start + 50], gaps(pipeline, early)[start : start + 50], max_lag=10
        )
        assert r > 0.6 and abs(lag) <= 1


def test_hops_leave_no_mark(streamed):
    """A cold restart at every hop would be a jump there."""
    for name in ("expression", "rotation"):
        every = speed(getattr(streamed, name))
        first = np.arange(1, len(every) + 1) % HOP == 0
        assert np.quantile(every[first], 0.97) <= np.quantile(every[~first], 0.99)
        assert every[first].mean() < 1.3 * every[~first].mean()
    turns = np.linalg.norm(np.diff(streamed.rotation, n=2, axis=0), axis=1)  # number i leads to frame i + 2
    first = np.arange(2, len(turns) + 2) % HOP == 0
    assert turns[first].mean() < 1.5 * turns[~first].mean()


def test_silence_does_not_open_the_mouth(pipeline, streamed):
    gap = gaps(pipeline, streamed)
    assert gap[:18].max() < 1.0 and gap[25:170].std() > 1.5
    rest = gap[-20:]
    assert rest.max() < 1.0 and rest.std() < 0.1


@pytest.mark.parametrize("level", [0, 3e-5])
def test_a_room_after_silence_does_not_open_the_mouth_as_words_do(pipeline, level):
    """A recording's noise before its first word is the loudest that has been heard until then."""
    speech = read_audio(bundled("demo/sense_and_sensibility_01_austen_64kb-0870.wav"))[: 2 * SECOND]
    silence = np.random.default_rng(0).normal(0, level, 3 * SECOND).astype(np.float32)
    gap = gaps(pipeline, in_blocks(pipeline.stream(seed=1), np.concatenate([silence, speech]), SECOND // 10))
    first_word = 81
    assert gap[8 : first_word - 2].max() < 12 < gap[first_word:].max()


@pytest.mark.parametrize("kind", ["noise", "hum"])
def test_neither_does_noise(pipeline, kind):
    time = np.arange(3 * SECOND) / SECOND
    noise = np.random.default_rng(0).normal(0, 0.01, len(time))
    sound = noise if kind == "noise" else 0.1 * np.sin(2 * np.pi * 50 * time)
    gap = gaps(pipeline, in_blocks(pipeline.stream(), sound.astype(np.float32), SECOND))
    assert gap[8:].max() < 1.5 and gap[8:].std() < 0.2


def test_idle_passes_into_speech_and_back_without_a_seam(pipeline, audio, streamed):
    stream = pipeline.stream(seed=1)
    motion = joined([stream.idle(50), stream.push(audio[SECOND : 4 * SECOND]), stream.idle(75), stream.flush()])
    assert len(motion) == 50 + 75 + 75

    def speeds(motion):
        return [speed(v) for v in (motion.rotation, motion.translation[:, :2], gaps(pipeline, motion)[:, None])]

    for every, elsewhere in zip(speeds(motion), speeds(streamed)):
        assert np.r_[every[42:54], every[121:140]].max() <= np.quantile(elsewhere, 0.99)


def test_an_idle_face_blinks_and_breathes_with_a_closed_mouth(pipeline):
    motion = pipeline.idle(8, seed=2)
    assert len(motion) == 200 and not motion.audio.any()
    gap = gaps(pipeline, motion)[10:]
    assert gap.max() < 1.0 and gap.std() < 0.1
    lids = lid_gap(pipeline.face_model.vertices(motion.identity, motion.expression))
    assert lids.min() < 0.3 * np.median(lids)
    assert 0.1 < np.degrees(motion.rotation.std(0)).max() < 4 and np.degrees(speed(motion.rotation)).max() < 1.5
    assert len(pipeline.idle(1e-6)) == 1
    done = []
    with_rest = pipeline.idle(1, still=True, progress=lambda *frames: done.append(frames))
    assert done and done[-1][1] == 25 and done[-1][0] <= 25
    assert np.ptp(with_rest.rotation, axis=0).max() < 1e-5


def test_renoising_takes_the_steps_of_training(pipeline):
    filled = _filled(SamplingOptions(solver="renoise"), pipeline.model.streaming)
    assert filled.steps is None and filled.pose_steps is None and filled.eta is None
    assert _filled(SamplingOptions(), pipeline.model.streaming).steps == pipeline.model.streaming.steps


def test_options_reach_the_stream(pipeline, audio):
    def motion(**arguments):
        return in_blocks(pipeline.stream(seed=3, **arguments), audio[SECOND : 3 * SECOND], SECOND)

    usual, small = motion(), motion(options=SamplingOptions(expression_scale=0.5))
    assert gaps(pipeline, small).std() < 0.75 * gaps(pipeline, usual).std()
    assert "streamed" in usual.source and "seed 3" in usual.source
    assert not np.array_equal(motion(options=SamplingOptions(steps=2)).expression, usual.expression)
    still = motion(still=True, postprocessing=PostProcessing(blinks=False, gaze=False))
    assert np.ptp(still.rotation, axis=0).max() < 1e-5


@pytest.mark.parametrize(
    "block",
    [np.zeros((2, 100), np.float32), np.zeros(100), np.zeros(100, np.int16), np.full(9, np.nan, np.float32), [0.0]],
)
def test_a_block_that_is_no_sound_is_refused_and_the_stream_goes_on(pipeline, block):
    stream = pipeline.stream()
    with pytest.raises(InputError, match="float32"):
        stream.push(block)
    stream.push(np.zeros(640, np.float32))
    assert len(stream.flush()) == 1


def test_the_end_is_the_end(pipeline):
    stream = pipeline.stream()
    assert stream.push(np.zeros(0, np.float32)) is None and stream.flush() is None
    with pytest.raises(UsageError, match="flushed"):
        stream.push(np.zeros(10, np.float32))
    with pytest.raises(UsageError, match="flushed"):
        stream.flush()


@pytest.mark.parametrize("samples", [1, 640, 641, 5000])
def test_very_short_sound(pipeline, samples):
    motion = in_blocks(pipeline.stream(), np.full(samples, 0.1, np.float32), 100)
    assert len(motion) == frame_count(samples) and len(motion.audio) == samples


def test_what_needs_a_whole_recording_is_refused(pipeline):
    with pytest.raises(UsageError, match="articulation"):
        pipeline.stream(options=SamplingOptions(articulation=1.5))
    with pytest.raises(UsageError, match="while the speech arrives"):
        MotionPipeline.from_pretrained(bundled("ridge")).stream()
    with pytest.raises(UsageError, match="seed"):
        pipeline.stream(seed=-1)
    for seconds in (0, -1, float("nan"), "3"):
        with pytest.raises(UsageError, match="idles"):
            pipeline.idle(seconds)


def test_memory_is_bounded(pipeline, monkeypatch):
    """Nothing in a stream grows with what has been heard."""
    monkeypatch.setattr(pipeline.model, "sample", lambda speech, *_, **__: zeros(pipeline, len(speech)))
    stream = pipeline.stream()
    sizes = []
    for _ in range(3):
        stream.push(np.zeros(8 * SECOND, np.float32))
        sizes.append(held(stream))
    assert sizes[1] == sizes[2] < 1e6


def zeros(pipeline, frames):
    from stage1_motion.interface import MotionSample

    return MotionSample(np.zeros((frames, pipeline.face_model.num_expression), np.float32), None)


def held(value, seen=()):
    """Bytes of the arrays that an object of the package streaming holds."""
    if isinstance(value, np.ndarray):
        return value.nbytes
    if type(value).__module__.startswith("stage1_motion.streaming") and id(value) not in seen:
        return sum(held(child, (*seen, id(value))) for child in vars(value).values())
    return 0


def test_the_head_is_smoothed_by_means_over_its_neighbours():
    rng = np.random.default_rng(0)
    before, pose = rng.normal(size=(24, 6)), rng.normal(size=(HOP + AHEAD, 6))
    weights = np.hanning(2 * AHEAD + 3)[1:-1]
    path = np.concatenate([before, pose])
    for frame, value in enumerate(smoothed(before, pose)):
        near = path[24 + frame - AHEAD : 24 + frame + AHEAD + 1]
        np.testing.assert_allclose(value, (weights[:, None] * near).sum(0) / weights.sum(), rtol=1e-5)
    np.testing.assert_allclose(smoothed(before[:0], np.ones_like(pose)), 1, rtol=1e-6)


def test_the_head_is_reached_from_what_was_foreseen():
    pose = np.ones((HOP + AHEAD, 6), np.float32)
    assert np.array_equal(crossfaded(pose[:0], pose), pose)
    faded = crossfaded(np.zeros((4, 6), np.float32), pose)
    np.testing.assert_allclose(faded[:, 2], [0, 1 / 16, 1 / 4, 9 / 16, 1, 1, 1, 1], rtol=1e-6)


def interrupted(pipeline, audio, unseen):
    """The motion of speech that is interrupted at frame 76, of which so many had not been seen: all that is seen."""
    stream, parts = pipeline.stream(seed=3), []
    start = 0
    while sum(map(len, parts)) < 76:
        motion = stream.push(audio[start : start + 640])
        parts += [] if motion is None else [motion]
        start += 640
    before = joined(parts)
    assert len(before) == 76
    last = before.slice(76 - unseen, 76) if unseen else None
    closing = stream.interrupt(last)
    seen = [before.slice(0, 76 - unseen), *([closing] if unseen else [])]
    return joined([*seen, stream.idle(50)]), before, stream


@pytest.mark.parametrize("unseen", [0, 1, 5])
def test_an_interruption_closes_the_mouth_at_once_without_a_jump(pipeline, audio, unseen):
    motion, before, _ = interrupted(pipeline, audio, unseen)
    gap, at = gaps(pipeline, motion), 76 - unseen
    assert gaps(pipeline, before)[at - 6 :].max() > 3  # mm: in mid-sentence
    assert gap[at + 2 :].max() < 1.0
    assert np.abs(np.diff(gap[at - 1 : at + 4])).max() < 0.6 * gap[at - 1] + 0.5  # in steps
    assert speed(motion.rotation)[at - 2 : at + 12].max() < 1.5 * speed(motion.rotation)[:at].max()
    assert not motion.audio[at * 640 :].any() and motion.audio[: at * 640].any()
    assert np.array_equal(motion.expression[: 76 - unseen], before.expression[: 76 - unseen])
    assert np.array_equal(motion.rotation[:76], before.rotation)


def test_speech_after_an_interruption_is_spoken(pipeline, audio):
    """The mouth moves for it from its first frame on, as it would have without anything before."""
    _, _, stream = interrupted(pipeline, audio, 5)
    stream.interrupt()  # once more: the silence pushed ahead is forgotten as well
    told = [stream.push(audio[SECOND : 3 * SECOND]), stream.idle(8)]
    gap, alone = gaps(pipeline, joined(told)), gaps(pipeline, in_blocks(pipeline.stream(seed=3), audio[SECOND:], 640))
    assert best_lag_correlation(gap[:46], alone[:46], max_lag=8)[0] > 0.7
    assert abs(best_lag_correlation(gap[:46], alone[:46], max_lag=8)[1]) <= 1


def test_what_has_been_seen_for_long_cannot_be_interrupted(pipeline, audio):
    stream = pipeline.stream()
    motion = stream.push(audio[:SECOND])
    with pytest.raises(UsageError, match="keep"):
        stream.interrupt(joined([motion, motion]))
    stream.flush()
    with pytest.raises(UsageError, match="flushed"):
        stream.interrupt()
