"""The listener alone, and in streams with the bundled weights."""

from itertools import islice

import numpy as np
import pytest
from remembered import remembering_pipeline

from shared.errors import InputError, UsageError
from shared.face_model.measures import gaze, lip_gap
from shared.media import read_audio
from shared.weights import bundled
from stage1_motion.interface import SamplingOptions
from stage1_motion.pipeline import MotionPipeline
from stage1_motion.postprocessing import NO_RULES, PostProcessing
from stage1_motion.streaming.hearing import Hearing
from stage1_motion.streaming.listening import Listening, _Follower
from stage1_motion.streaming.stream import joined

SECOND = 16000
ARRAYS = ("expression", "rotation", "translation")


def recording(number):
    return read_audio(bundled(f"demo/sense_and_sensibility_01_austen_64kb-0{number}.wav"))


def silence(seconds):
    return np.zeros(round(SECOND * seconds), np.float32)


@pytest.fixture(scope="module")
def monologue():
    """A second of silence, 7 s and 5 s of speech with pauses behind."""
    return np.concatenate([silence(1), recording(870), silence(1.2), recording(890), silence(1.2)])


class Replayed:
    """In the place of a listener's `Hearing`, which seeds do not change: what was heard in each frame of a sound."""

    def __init__(self, heard):
        self.heard = iter(heard)

    def push(self, samples):
        return list(islice(self.heard, len(samples) // 640))


def attend(sound, seed=0, speaks=None, heard=None):
    """Pitch in degrees, and all the rest, of a listener who hears a sound in blocks of a second."""
    listening, parts = Listening(np.random.default_rng(seed)), []
    if heard is not None:
        listening._hearing = Replayed(heard)
    speaks = np.zeros(len(sound) // 640) if speaks is None else speaks
    for frame in range(0, len(speaks), 25):
        listening.hear(sound[frame * 640 : (frame + 25) * 640])
        parts.append(listening.next(speaks[frame : frame + 25]))
    pose, smile, steady, look = (np.concatenate([getattr(p, n) for p in parts]) for n in vars(parts[0]))
    return np.degrees(pose[:, 0]), pose, smile, steady, look


def nods(pitch):
    """(begin, end) in frames of stretches in which the chin is down."""
    down = np.flatnonzero(np.diff((np.r_[0, pitch, 0] > 0.2).astype(int)))
    return down.reshape(-1, 2)


def test_nobody_nods_in_silence_or_noise():
    noise = np.random.default_rng(0).normal(0, 0.01, 20 * SECOND).astype(np.float32)
    for sound in (silence(20), noise):
        pitch, pose, smile, steady, look = attend(sound)
        assert np.abs(pose).max() < 1e-3 and smile.max() < 0.05 and steady.min() > 0.95 and not look.any()


@pytest.fixture(scope="module")
def heard(monologue):
    """What is heard in its frames."""
    return Hearing().push(monologue)


def test_nods_follow_cues_with_the_size_and_rhythm_of_people(monologue, heard):
    waits, sizes, count = [], [], []
    cues = [k for k, frame in enumerate(heard) if frame.low_pitch or frame.phrase_ends]
    assert np.array_equal(attend(monologue, 0, heard=heard)[1], attend(monologue, 0)[1])
    for seed in range(30):
        pitch = attend(monologue, seed, heard=heard)[0]
        cycles = nods(pitch)
        count.append(len(cycles))
        assert pitch.min() > -1e-6 and pitch[:25].max() < 1e-6
        for begin, end in cycles:
            sizes.append(pitch[begin:end].max())
            waits.append(min(begin - cue for cue in cues if cue <= begin) / 25)
            if sizes[-1] > 2:
                assert 0.2 <= (end - begin) / 25 <= 0.6  # of one cycle
    assert 3 <= np.mean(count) <= 12  # in 12 s of speech
    assert max(waits) < 2.2 and np.median(waits) < 0.8  # cycles after the first come later
    assert 2.9 < np.median(sizes) < 6 and max(sizes) < 8.0


def test_a_nod_after_the_end_of_what_was_said():
    """Most seeds nod within a second after the speech has ended."""
    sound = np.concatenate([silence(1), recording(870), silence(2)])
    end = (len(sound) - 2 * SECOND) // 640
    heard = Hearing().push(sound)
    after = [attend(sound, seed, heard=heard)[0][end - 5 : end + 25].max() > 1 for seed in range(40)]
    assert 0.4 < np.mean(after) < 0.95


def test_eyes_stay_on_the_speaker_and_wander_less(monologue):
    pitch, _, _, steady, look = attend(monologue)
    assert steady[:25].min() > 0.99 and 0.29 < steady[100:200].max() < 0.35
    # The chin goes down by an angle, the eyes up by the same.
    np.testing.assert_allclose(np.degrees(np.arcsin(look[:, 1] / 12)), pitch, atol=1e-4)
    assert not look[:, 0].any()


def test_head_turns_about_the_neck(monologue):
    pose = attend(monologue)[1]
    down, left = pose[:, 0] > 0.03, np.abs(pose[:, 2]) > 0.01
    assert (pose[down, 4] > 0).all() and left.any()  # a nod lowers the face; v points down
    assert (pose[left, 3] * pose[left, 2] < 0).all()
    assert not pose[:, [1, 5]].any() and 0.9 < np.degrees(np.abs(pose[:, 2]).max()) < 3.01


def test_smiles_are_small_and_last_seconds(monologue, heard):
    smiles = np.array([attend(monologue, seed, heard=heard)[2] for seed in range(20)])
    assert smiles.max() < 3 and 0.8 < smiles.max(1).mean() < 2.9 and smiles.min() > -1e-4
    assert np.abs(np.diff(smiles, axis=1)).max() < 0.35  # mm a frame


def test_speaking_wins(monologue):
    frames = len(monologue) // 640
    speaks = np.zeros(frames)
    speaks[100:220] = 1
    pitch, pose, smile, steady, _ = attend(monologue, 3, speaks)
    assert steady[100:125].min() < 0.95 < steady[130:220].min()
    assert np.abs(pose[140:220]).max() < 2e-3 and smile[140:220].max() < 0.05
    assert steady[240:300].min() < 0.4  # and it listens again


def test_attention_ends_some_seconds_after_the_last_word():
    sound = np.concatenate([silence(0.5), recording(880), silence(6)])
    last = 12 + len(recording(880)) // 640
    steady = attend(sound)[3]
    assert steady[last + 25] < 0.4 and steady[last + 100] > 0.97


def test_what_comes_late_or_never_is_left_out(monologue):
    late = Listening(np.random.default_rng(0))
    late.hear(monologue[: 4 * SECOND])
    for start in range(4 * SECOND, len(monologue), 640):
        late.hear(monologue[start : start + 640])
        late.next(np.zeros(1))
    assert len(late._waiting) <= 9  # 4 s had waited
    broken = Listening(np.random.default_rng(0))
    broken.hear(monologue[: 3 * SECOND])  # stops in the middle of a word
    steady = broken.next(np.zeros(300)).steady
    assert steady[75] < 0.4 and steady[-1] > 0.97
    full = Listening(np.random.default_rng(0))
    full.hear(silence(60))
    assert len(full._waiting) == 250


def test_a_follower_reaches_its_target_without_corners():
    follower = _Follower(8.0)
    path = np.array([follower(float(30 <= frame < 90)) for frame in range(150)])
    assert np.abs(path[:30]).max() == 0 and path[75:90].min() > 0.99 and path.max() <= 1 and np.abs(path[-1]) < 0.02
    # The exact solution of a step: 1 - (1 + wt) exp(-wt).
    time = np.arange(1, 61) / 25
    np.testing.assert_allclose(path[30:90], 1 - (1 + 8 * time) * np.exp(-8 * time), rtol=1e-6)


# -- in a stream ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pipeline():
    return remembering_pipeline()


@pytest.fixture(scope="module")
def conversation():
    """What the other one says, and the face: idle 2 s, listens to twice 3 s, speaks 3 s, idle 3 s."""
    other = np.concatenate([silence(2), recording(880), silence(0.8), recording(880), silence(0.4)])
    mine = np.concatenate([0 * other, recording(880), silence(3)])
    return np.concatenate([other, 0 * mine[len(other) :]]), mine


def stream(pipeline, conversation, size=1600, seed=5, listens=True, **options):
    other, mine = conversation
    motion, parts = pipeline.stream(seed=seed, **options), []
    for start in range(0, len(mine), size):
        if listens:
            motion.listen(other[start : start + size])
        parts.append(motion.push(mine[start : start + size]))
    return joined([*parts, motion.flush()])


@pytest.fixture(scope="module")
def listened(pipeline, conversation):
    return stream(pipeline, conversation)


@pytest.fixture(scope="module")
def unheard(pipeline, conversation):
    return stream(pipeline, conversation, listens=False)


def gaps(pipeline, motion):
    return lip_gap(pipeline.face_model.vertices(motion.identity, motion.expression))


def speech_begins(conversation):
    return int(np.flatnonzero(np.abs(conversation[1]) > 0.02)[0] / 640)


def test_the_listener_nods_and_the_speaker_does_not(conversation, listened, unheard):
    turn = np.degrees(listened.rotation - unheard.rotation)
    begins = speech_begins(conversation)
    assert np.abs(turn[:50]).max() < 1e-3
    assert len(nods(turn[50:begins, 0])) >= 2 and turn[50:begins, 0].max() > 2.5
    assert np.abs(turn[begins + 25 :]).max() < 0.05
    np.testing.assert_array_equal(listened.expression[:50], unheard.expression[:50])
    np.testing.assert_allclose(listened.expression[begins + 40 :], unheard.expression[begins + 40 :], atol=0.03)


def test_lips_stay_shut(pipeline, conversation, listened, unheard):
    """The network itself opens them a little before its first word."""
    until = speech_begins(conversation) - 8
    gap, at_rest = gaps(pipeline, listened)[10:until], gaps(pipeline, unheard)[10:until]
    assert np.abs(gap - at_rest).max() < 0.1 and np.abs(gap - np.median(at_rest)).max() < 0.3


def test_idle_listening_speaking_and_idle_again_without_a_jump(pipeline, conversation):
    """Speed and acceleration of every coefficient about the changes are within the 99th percentile of speech.

    Blinks and jumps of the eyes, which are no part of it, are switched off. Nods, which turn the head and lower it, are
    faster than speech moves it: they have a bound of their own.
    """
    calm = {"postprocessing": PostProcessing(blinks=False, gaze=False)}
    motion, alone = (stream(pipeline, conversation, listens=listens, **calm) for listens in (True, False))
    speech = pipeline.stream(seed=9, **calm)
    ordinary = joined([speech.push(np.concatenate([recording(870)])), speech.flush()])
    begins, ends = speech_begins(conversation), int(np.flatnonzero(np.abs(conversation[1]) > 0.02)[-1] / 640)
    changes = np.r_[50:85, begins - 20 : begins + 30, ends : ends + 65]
    for order, fastest in ((1, 1.6), (2, 0.9)):
        for name in ARRAYS:
            usual, found, own = (np.abs(np.diff(getattr(m, name), n=order, axis=0)) for m in (ordinary, motion, alone))
            bound = np.maximum(np.quantile(usual, 0.99, axis=0), own[changes].max(0) * 1.05)
            slow = found[changes].max(0) <= bound
            assert (
                slow.all() or (name == "rotation" and slow[1:].all()) or (name == "translation" and slow[[0, 2]].all())
            )
        turns = np.degrees(np.diff(motion.rotation[:, 0], n=order))
        assert 0.2 < np.abs(turns).max() < fastest  # degrees a frame, and a frame more


@pytest.mark.parametrize("size", [320, 7777, 2 * SECOND])
def test_blocks_of_any_size_give_the_same_listener(pipeline, conversation, listened, size):
    other, mine = (sound[: 7 * SECOND] for sound in conversation)
    motion = stream(pipeline, (other, mine), size)
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(motion, name)[:165], getattr(listened, name)[:165])


def test_a_seed_decides(monologue):
    pipeline = MotionPipeline.from_pretrained()
    first, again, other = (pipeline.listen(monologue[: 4 * SECOND], seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first.rotation, again.rotation) and np.array_equal(first.expression, again.expression)
    assert not np.array_equal(first.rotation, other.rotation)
    assert np.array_equal(first.audio, monologue[: 4 * SECOND])


def test_rules_and_scales_act_on_it(pipeline, conversation):
    conversation = tuple(sound[: 5 * SECOND] for sound in conversation)
    off = PostProcessing(listening=False)
    unheard = stream(pipeline, conversation, listens=False)
    assert np.array_equal(stream(pipeline, conversation, postprocessing=off).rotation, unheard.rotation)
    still = stream(pipeline, conversation, options=SamplingOptions(pose_scale=0.0))
    assert np.ptp(still.rotation, axis=0).max() < 1e-5
    assert not NO_RULES.listening
    without_gaze = PostProcessing(gaze=False, blinks=False)
    motion = stream(pipeline, conversation, postprocessing=without_gaze)
    looks = gaze(pipeline.face_model.vertices(motion.identity, motion.expression))[10:]
    assert np.ptp(looks, axis=0).max() < 0.15


def test_what_is_no_sound_is_refused(pipeline):
    stream = pipeline.stream()
    for block in (np.zeros((2, 100), np.float32), np.zeros(100), np.full(9, np.nan, np.float32)):
        with pytest.raises(InputError, match="float32"):
            stream.listen(block)
    with pytest.raises(InputError, match="audio"):
        pipeline.listen(np.zeros(0, np.float32))
    stream.flush()
    with pytest.raises(UsageError, match="listens no more"):
        stream.listen(np.zeros(100, np.float32))


@pytest.mark.parametrize("seed", range(3))
def test_a_listener_returns_to_the_photo_at_the_end_and_no_nod_is_cut_off(pipeline, seed):
    sound = np.concatenate([recording(870), silence(0.2)])  # most nods follow the end of what was said
    motion = pipeline.listen(sound, seed=seed)
    free = pipeline.listen(sound, seed=seed, postprocessing=PostProcessing(ease=False))
    for name in ("expression", "rotation", "translation"):
        values = getattr(motion, name)
        assert np.allclose(values[-1], values[0], atol=1e-5)
        assert np.allclose(values[8:-26], getattr(free, name)[8:-26], atol=1e-5)
    turns = np.degrees(np.abs(np.diff(motion.rotation, axis=0)).max(1))
    assert turns[-3:].max() < 0.5  # comes to rest
