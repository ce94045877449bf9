"""Stage one with the bundled weights on the bundled recordings: short, but what a user gets."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from safetensors.torch import load_file, save_file
from tiny_diffposetalk import write_diffposetalk

from shared.checkpoint import save_checkpoint
from shared.errors import InputError, UsageError
from shared.face_model.measures import gaze, lid_gap, lip_gap
from shared.media import frame_count, read_audio, read_image
from shared.metrics.lips import best_lag_correlation
from shared.photo_fit import PhotoFit
from shared.weights import bundled
from stage1_motion.interface import SamplingOptions
from stage1_motion.pipeline import MotionPipeline
from stage1_motion.postprocessing import PostProcessing
from stage1_motion.postprocessing.rest import REST_GAP
from stage1_motion.streaming.stream import joined
from stage1_motion.windowed_sampling import seams

SPEECH = "demo/sense_and_sensibility_01_austen_64kb-0880.wav"


@pytest.fixture(scope="module")
def pipeline():
    return MotionPipeline.from_pretrained()


@pytest.fixture(scope="module")
def audio():
    return read_audio(bundled(SPEECH))


@pytest.fixture(scope="module")
def photo(pipeline):
    return PhotoFit.fit(read_image(bundled("demo/portrait_man.jpg")), pipeline.face_model)


@pytest.fixture(scope="module")
def motion(pipeline, photo, audio):
    return pipeline(audio, photo=photo, seed=3)


def gaps(photo, motion):
    return lip_gap(photo.vertices(motion.expression))


def test_shape_and_contract(pipeline, photo, audio, motion):
    assert len(motion) == frame_count(len(audio)) and motion.fps == 25
    assert motion.face_model == pipeline.face_model.fingerprint
    assert np.array_equal(motion.identity, photo.identity) and np.array_equal(motion.audio, audio)


def test_the_mouth_talks_and_never_turns_inside_out(photo, motion):
    gap = gaps(photo, motion)
    assert gap.std() > 1.5 and gap.max() < 35.0  # mm
    assert gap.min() > -0.6


def test_lips_follow_loudness_of_vowels(photo, motion, audio):
    """Not lip sync as such, but nothing that is out of sync passes."""
    blocks = np.pad(audio, (0, len(motion) * 640 - len(audio))).reshape(-1, 640)
    loudness = np.convolve(np.sqrt(np.square(blocks).mean(1)), np.ones(3) / 3, "same")
    right = best_lag_correlation(gaps(photo, motion), loudness)[0]
    wrong = best_lag_correlation(np.roll(gaps(photo, motion), len(motion) // 2), loudness)[0]
    assert right > 0.25 and right > wrong + 0.2


def test_same_seed_same_bytes_other_seed_other_head(pipeline, photo, audio, motion):
    again, other = pipeline(audio, photo=photo, seed=3), pipeline(audio, photo=photo, seed=4)
    for name in ("expression", "rotation", "translation"):
        assert np.array_equal(getattr(again, name), getattr(motion, name))
    assert np.degrees(np.abs(other.rotation - motion.rotation)).mean() > 0.2
    # Another seed, the same words: lips agree.
    assert np.corrcoef(gaps(photo, other), gaps(photo, motion))[0, 1] > 0.8


def test_still_keeps_the_head_and_the_words(pipeline, photo, audio, motion):
    still = pipeline(audio, photo=photo, seed=3, still=True)
    assert np.abs(still.rotation - photo.rotation).max() < 1e-5
    assert np.array_equal(still.expression, motion.expression)


def test_scales(pipeline, photo, audio, motion):
    small = pipeline(audio, photo=photo, seed=3, options=SamplingOptions(expression_scale=0.5, pose_scale=2.0))
    assert gaps(photo, small).std() < 0.75 * gaps(photo, motion).std()
    turn = np.abs(motion.rotation - photo.rotation).mean()
    assert np.abs(small.rotation - photo.rotation).mean() == pytest.approx(2 * turn, rel=0.1)


@pytest.mark.parametrize("kind", ["silence", "noise", "hum"])
def test_without_speech_the_mouth_is_closed_and_still(pipeline, photo, kind):
    time = np.arange(16000 * 3) / 16000
    sound = {
        "silence": np.zeros_like(time),
        "noise": np.random.default_rng(0).normal(0, 0.01, len(time)),
        "hum": 0.1 * np.sin(2 * np.pi * 50 * time),
    }[kind]
    gap = gaps(photo, pipeline(sound.astype(np.float32), photo=photo))
    assert gap.max() < 1.5 and gap.std() < 0.2


def test_a_pause_inside_speech_rests_the_mouth(pipeline, photo, audio):
    padded = np.concatenate([np.zeros(16000, np.float32), audio, np.zeros(32000, np.float32)])
    gap = gaps(photo, pipeline(padded, photo=photo))
    assert gap[:12].max() < 1.5 and gap[-30:].max() < 1.5 and gap[30:-60].std() > 1.5


@pytest.mark.parametrize("samples", [1, 100, 1600, 5000])
def test_very_short_sound(pipeline, samples):
    motion = pipeline(0.1 * np.sin(np.arange(samples) / 5).astype(np.float32))
    assert len(motion) == frame_count(samples) and np.isfinite(motion.expression).all()


def test_eyes_blink_in_a_longer_recording(pipeline, photo, audio):
    motion = pipeline(np.tile(audio, 7), photo=photo, seed=1)
    lids = lid_gap(photo.vertices(motion.expression))
    count = (np.diff((lids < 0.5 * np.median(lids)).astype(int)) == 1).sum()
    assert 8 <= count / (len(motion) / 25 / 60) <= 30


def test_no_seams(pipeline, photo, audio):
    """Steps at the seams of windows are no larger than the largest percent elsewhere."""
    motion = pipeline(np.tile(audio, 5), photo=photo, seed=0)
    step = np.linalg.norm(np.diff(motion.rotation, axis=0), axis=1)
    at = np.array(seams(pipeline.model.pose.network.config, len(motion))) - 1
    assert len(at) >= 4
    assert step[at].max() <= np.percentile(np.delete(step, at), 99) * 1.05


def test_folders_that_are_no_weights(tmp_path):
    with pytest.raises(InputError, match="not a folder of motion model weights"):
        MotionPipeline.from_pretrained(tmp_path)
    (tmp_path / "model.yaml").write_text(yaml.safe_dump({"model": "unheard of", "speech_encoder": "bundled"}))
    with pytest.raises(InputError, match="there is no motion model 'unheard of'"):
        MotionPipeline.from_pretrained(tmp_path)
    (tmp_path / "model.yaml").write_text(yaml.safe_dump({"model": "fd2talk", "speech_encoder": "bundled"}))
    with pytest.raises(InputError, match="should hold the weights of a motion transformer"):
        MotionPipeline.from_pretrained(tmp_path)


def test_each_postprocessing_step_has_its_switch(pipeline, photo, audio):
    sound = np.concatenate([audio, np.zeros(48000, np.float32)])

    def off(**steps):
        return pipeline(sound, photo=photo, seed=1, postprocessing=PostProcessing(**steps))

    every, blinkless, still_eyes = off(), off(blinks=False), off(blinks=False, gaze=False)
    lids = [lid_gap(photo.vertices(motion.expression)) for motion in (every, blinkless)]
    assert lids[0].min() < 0.5 * np.median(lids[0]) < lids[1].min()
    look, fixed = (gaze(photo.vertices(motion.expression)) for motion in (blinkless, still_eyes))
    assert np.ptp(look[:, 0]) > 2 * np.ptp(fixed[:, 0])
    bilabials = pipeline.frontend(sound).events.bilabials == 1
    closed, free = (gaps(photo, motion)[bilabials] for motion in (every, off(lip_closure=False)))
    assert bilabials.any() and closed.max() < 0.5 < free.max()
    rested, restless = (gaps(photo, motion)[-40:] for motion in (every, off(rest=False)))
    assert rested.std() < 0.2 and np.abs(restless - rested).max() > 0.5


def test_a_video_begins_where_the_photo_is_and_ends_there_in_silence(pipeline, photo, audio):
    sound = np.concatenate([audio[:48000], np.zeros(32000, np.float32)])
    ease, jump = (pipeline(sound, photo=photo, seed=1, postprocessing=PostProcessing(ease=on)) for on in (True, False))
    for frame in (0, -1):
        for name in ("expression", "rotation", "translation"):
            assert np.allclose(getattr(ease, name)[frame], getattr(photo, name), atol=1e-5)
        assert np.degrees(np.abs(jump.rotation[frame] - photo.rotation)).max() > 0.3
    spoken = slice(8, 75)
    assert np.allclose(ease.expression[spoken], jump.expression[spoken], atol=1e-5)
    assert np.allclose(ease.rotation[spoken], jump.rotation[spoken], atol=1e-6)


def test_heads_neither_grow_nor_shrink_while_they_begin(pipeline):
    """Without the ease: a tracker that warms up teaches heads to grow (by 2 % in the first second)."""
    growth = []
    for number in ("0870", "0880", "0890"):
        audio = read_audio(bundled(SPEECH.replace("0880", number)))[:19200]
        for seed in range(20):
            scale = np.exp(pipeline(audio, seed=seed, postprocessing=PostProcessing(ease=False)).translation[:, 2])
            growth.append(scale[20:25].mean() / scale[:5].mean() - 1)
    assert abs(np.mean(growth)) < 0.01
    assert np.std(growth) > 0.002  # the head does move


def test_options_reach_the_network_that_they_are_for(pipeline, photo, audio, motion):
    def run(**options):
        return pipeline(audio, photo=photo, seed=3, options=SamplingOptions(**options))

    def changes(other):
        return [not np.array_equal(getattr(other, name), getattr(motion, name)) for name in ("expression", "rotation")]

    assert changes(run(steps=6, pose_steps=8)) == [False, False]  # what the bundled weights were tuned for
    assert changes(run(pose_steps=2)) == [False, True]
    assert changes(run(guidance=1.0)) == [True, False]
    assert changes(run(steps=4)) == [True, True]
    assert not np.array_equal(run(steps=4, eta=1.0).expression, run(steps=4).expression)
    assert run(steps=4, eta=0.5).source == "fd2talk, seed 3, steps 4, eta 0.5"


@pytest.mark.parametrize(
    "settings",
    ["", "- a", "a: [", "model: fd2talk", "model: fd2talk\nspeech_encoder: 3", "model: fd2talk\nspeech_encoder:",
     "model: fd2talk\nspeech_encoder: bundled\nlayer: x", "model: fd2talk\nspeech_encoder: bundled\nlayers: 3",
     "model: fd2talk\nspeech_encoder: bundled\nstyle: [a]", "model: os.path\nspeech_encoder: none",
     "model: motion_models\nspeech_encoder: none"],
)  # fmt: skip
def test_settings_that_are_none_are_said_in_one_line(tmp_path, settings):
    (tmp_path / "model.yaml").write_text(settings)
    with pytest.raises(InputError, match="model.yaml: ") as caught:
        MotionPipeline.from_pretrained(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("header", [{}, {"config": {"unknown": 1}}, {"config": {}, "std": "x"}])
def test_headers_that_lack_something(tmp_path, header):
    (tmp_path / "model.yaml").write_text("model: fd2talk\nspeech_encoder: bundled")
    save_checkpoint(tmp_path / "expression.safetensors", "motion transformer", {}, **header)
    with pytest.raises(InputError, match="not the weights of a motion transformer"):
        MotionPipeline.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    "options",
    [{"steps": 0}, {"steps": 1.5}, {"steps": True}, {"pose_steps": 1001}, {"guidance": -1}, {"guidance": float("nan")},
     {"eta": 1.5}, {"eta": True}, {"eta": np.True_}, {"steps": np.True_}, {"steps": np.float64(3)},
     {"articulation": 4}, {"expression_scale": -1}, {"pose_scale": float("inf")}],
)  # fmt: skip
def test_options_out_of_range(pipeline, audio, options):
    with pytest.raises(UsageError, match=f"{next(iter(options))} is a number from"):
        pipeline(audio, options=SamplingOptions(**options))


@pytest.mark.parametrize(
    "sound", [np.zeros(0, np.float32), np.zeros(9, np.int16), np.full(9, np.nan), np.zeros((9, 2))]
)
def test_audio_that_is_none(pipeline, sound):
    with pytest.raises(InputError, match="the audio must be"):
        pipeline(sound)
    with pytest.raises(UsageError, match="a seed is a number"):
        pipeline(np.zeros(9, np.float32), seed=-1)


@pytest.mark.parametrize("seed", [-1, 2**63, 1.5, True, np.float64(1), "1", None])
def test_seeds_that_are_none(pipeline, seed):
    for generate in (pipeline, pipeline.stream, lambda *_, **options: pipeline.idle(1, **options)):
        with pytest.raises(UsageError, match="a seed is a number from 0"):
            generate(*([np.zeros(9, np.float32)] if generate is pipeline else []), seed=seed)


def test_numbers_of_numpy_are_numbers(pipeline, audio):
    short = audio[:16000]
    plain = pipeline(short, seed=3, options=SamplingOptions(steps=2, pose_steps=3, guidance=1.5, eta=0.5))
    numbers = {"steps": np.int64(2), "pose_steps": np.uint8(3), "guidance": np.float32(1.5), "eta": np.float64(0.5)}
    motion = pipeline(short, seed=np.int64(3), options=SamplingOptions(**numbers))
    assert np.array_equal(motion.expression, plain.expression) and motion.source == plain.source
    assert len(pipeline.idle(np.float32(0.4), seed=np.uint32(3), options=SamplingOptions(**numbers))) == 10
    assert len(pipeline.idle(np.int64(1))) == 25
    stream = pipeline.stream()
    assert len(joined([stream.idle(np.int64(10)), stream.flush()])) == 10
    for frames in (True, 1.0, np.float32(1), -1):
        with pytest.raises(UsageError, match="whole number of frames"):
            pipeline.stream().idle(frames)
    for seconds in (True, "1", np.nan, None):
        with pytest.raises(UsageError, match="idles"):
            pipeline.idle(seconds)


@pytest.fixture(scope="module")
def styled(tmp_path_factory):
    return MotionPipeline.from_pretrained(write_diffposetalk(tmp_path_factory.mktemp("styled")))


@pytest.mark.parametrize("style", ["calm", "", Path("calm.npz"), np.ones(128) / 3, 0])
def test_what_is_no_style_object_is_refused(styled, audio, style):
    for generate in (lambda **o: styled(audio, **o), styled.stream, lambda **o: styled.idle(1, **o)):
        with pytest.raises(UsageError, match="style takes a Style, not .*named_style and Style.load") as caught:
            generate(style=style)
        assert "\n" not in str(caught.value)


def test_the_source_of_a_motion_names_its_style(styled, audio):
    short, calm = audio[:16000], styled.named_style("calm")
    assert styled(short, style=calm).source == "diffposetalk, seed 0, style calm"
    assert (
        styled(short, style=calm, options=SamplingOptions(steps=2)).source
        == "diffposetalk, seed 0, steps 2, style calm"
    )
    assert styled(short, style=replace(calm, name="")).source == "diffposetalk, seed 0, style nobody"
    assert styled.idle(1, style=calm).source == "diffposetalk, seed 0, style calm, streamed"
    assert styled(short).source == "diffposetalk, seed 0"


def test_options_without_effect_are_refused(styled, pipeline, audio):
    ridge = MotionPipeline.from_pretrained(bundled("ridge"))
    for model, options in ((styled, {"pose_steps": 3}), (ridge, {"steps": 3}), (ridge, {"eta": 0.0})):
        with pytest.raises(UsageError, match=f"{next(iter(options))} has no effect on the motion model {model.name}"):
            model(audio, options=SamplingOptions(**options))
    for options in (SamplingOptions(style_guidance=4), SamplingOptions(style_guidance=0)):
        with pytest.raises(UsageError, match="style_guidance .--style-scale. needs a style"):
            styled(audio, options=options)
        with pytest.raises(UsageError, match="needs a style"):
            styled.stream(options=options)


def test_a_style_that_weights_bring_is_checked(styled, tmp_path):
    calm = styled.named_style("calm")
    folder = write_diffposetalk(tmp_path)
    settings = {"model": "diffposetalk", "speech_encoder": "bundled", "style": "own.npz"}
    (folder / "model.yaml").write_text(yaml.safe_dump(settings))
    calm.save(folder / "own.npz")
    assert MotionPipeline.from_pretrained(folder).style.source == "nobody"
    replace(calm, encoder="another").save(folder / "own.npz", overwrite=True)
    with pytest.raises(InputError, match="own.npz: the style was made by another style encoder"):
        MotionPipeline.from_pretrained(folder)


def test_noise_is_added_at_each_step_but_the_last(pipeline, audio):
    """One step returns the prediction, whatever eta, also in the windows after the first."""
    long, once = np.tile(audio, 2), SamplingOptions(steps=1, pose_steps=1)
    noisy = pipeline(long, options=replace(once, eta=1.0))
    assert np.array_equal(noisy.expression, pipeline(long, options=once).expression)


def test_a_folder_of_weights_may_bring_its_speech_encoder(pipeline, audio, tmp_path):
    shutil.copytree(bundled("fd2talk"), tmp_path / "own")
    shutil.copytree(bundled("speech_encoder"), tmp_path / "own" / "ears")
    path = tmp_path / "own" / "ears" / "model.safetensors"
    save_file({name: 0.9 * value for name, value in load_file(path).items()}, path, metadata={"format": "pt"})
    (tmp_path / "own" / "model.yaml").write_text("model: fd2talk\nspeech_encoder: ears\n")
    own = MotionPipeline.from_pretrained(tmp_path / "own")
    assert own.name == "fd2talk" and own.frontend.encoder.size == pipeline.frontend.encoder.size
    short = audio[:16000]
    assert not np.allclose(own.frontend(short).features, pipeline.frontend(short).features, atol=0.1)


@pytest.mark.situation(
    "Sound", "a recording in which nothing is spoken (silence, hum, hiss)", "the mouth rests, and a note says why"
)
@pytest.mark.parametrize("kind", ["silence", "hum", "hiss", "one sample"])
def test_a_note_when_nothing_is_spoken(kind, pipeline, photo):
    time = np.arange(32000) / 16000
    sound = {
        "silence": np.zeros(32000),
        "hum": 0.2 * np.sin(2 * np.pi * 50 * time),
        "hiss": 0.05 * np.random.default_rng(0).standard_normal(32000),
        "one sample": np.zeros(1),
    }[kind]
    with pytest.warns(UserWarning, match="nothing is spoken"):
        motion = pipeline(sound.astype(np.float32), photo=photo)
    assert np.ptp(gaps(photo, motion)) < 1.0  # mm


def test_no_note_for_speech(pipeline, photo, audio, recwarn):
    pipeline(audio[8000:14400], photo=photo)  # 0.4 s
    pipeline(np.concatenate([np.zeros(48000, np.float32), audio[:32000]]), photo=photo)
    assert not [w for w in recwarn.list if "spoken" in str(w.message)]


@pytest.mark.parametrize("frames", [8, 14])
def test_the_mouth_closes_in_a_short_silence_at_the_end(pipeline, photo, audio, monkeypatch, frames):
    """Too short for a pause, which models bridge with lips that stay parted."""
    ends = np.concatenate([audio[: int(2.4 * 16000)], np.zeros(frames * 640, np.float32)])
    gap = gaps(photo, pipeline(ends, photo=photo, seed=3))
    assert gap[-1] == pytest.approx(REST_GAP, abs=0.15) and gap[10:-frames].max() > 4  # mm
    detect = pipeline.frontend.detect
    monkeypatch.setattr(pipeline.frontend, "detect", lambda *heard: replace(detect(*heard), settled=None))
    left = gaps(photo, pipeline(ends, photo=photo, seed=3))
    spoken = slice(8, -frames - 1)  # the silence before the first word is short, too
    assert left[-1] > 1.2 and np.allclose(left[spoken], gap[spoken], atol=1e-3)


def test_the_mouth_stays_closed_in_a_short_silence_before_the_first_word(pipeline, photo, audio, monkeypatch):
    later = np.concatenate([np.zeros(6400, np.float32), audio])  # 10 frames, and some of the recording's own
    gap = gaps(photo, pipeline(later, photo=photo, seed=3))
    detect = pipeline.frontend.detect
    monkeypatch.setattr(pipeline.frontend, "detect", lambda *heard: replace(detect(*heard), settled=None))
    left = gaps(photo, pipeline(later, photo=photo, seed=3))
    assert gap[:6].max() < 0.5 and left[:10].max() > 2  # mm
    assert np.allclose(left[18:-20], gap[18:-20], atol=1e-3)
