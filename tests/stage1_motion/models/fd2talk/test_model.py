"""The two transformers behind the interface."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from shared.errors import InputError, UsageError
from shared.face_model import load_bundled
from shared.media import read_audio
from shared.weights import bundled
from stage1_motion.interface import SamplingOptions, Subject, Tail
from stage1_motion.models.fd2talk.model import FD2Talk, Part, load
from stage1_motion.pipeline import MotionPipeline


def test_half_of_a_pair_is_refused():
    part = Part.load(bundled("fd2talk") / "expression.safetensors")
    with pytest.raises(InputError, match="64 coefficients, not 64 and 6"):
        FD2Talk(load_bundled(), part)


def test_it_has_no_weights_of_single_persons(tmp_path):
    with pytest.raises(UsageError, match="no weights of single persons"):
        load(bundled("fd2talk"), load_bundled(), person=tmp_path)


def test_renoising_takes_the_steps_of_training_unless_told(monkeypatch):
    steps = []

    def windows(network, speech, **settings):
        steps.append(settings["steps"])
        return torch.zeros(len(speech), network.config.coefficients)

    monkeypatch.setattr("stage1_motion.models.fd2talk.model.generate_windows", windows)
    pipeline = MotionPipeline.from_pretrained()
    audio = np.zeros(16000, np.float32)
    speech, subject = pipeline.frontend(audio), Subject.of(None, pipeline.face_model)
    for options in (SamplingOptions(solver="renoise"), SamplingOptions(solver="renoise", steps=3), SamplingOptions()):
        pipeline.model.sample(speech, subject, options=options, generator=torch.Generator().manual_seed(0))
    trained = [part.network.config.train_timesteps for part in pipeline.model.parts]
    own = [part.steps for part in pipeline.model.parts]
    assert steps == [*trained, 3, 3, *own] and min(trained) >= 100


def test_a_second_recording_continues_the_first():
    """What is generated with a tail begins where the tail ended; the tail's raw features are those of the encoder."""
    pipeline = MotionPipeline.from_pretrained()
    audio = read_audio(bundled("demo/sense_and_sensibility_01_austen_64kb-0880.wav"))[:48000]
    subject = Subject.of(None, pipeline.face_model)
    first, second = (pipeline.frontend(part) for part in (audio[:24320], audio[24320:]))

    def run(speech, seed, tail=None):
        return pipeline.model.sample(speech, subject, tail=tail, generator=torch.Generator().manual_seed(seed))

    before = run(first, 0)
    tail = Tail(before.expression[-24:], before.pose[-24:], first.features[-24:])
    alone, continued = run(second, 1), run(second, 1, tail)
    assert continued.pose.shape == alone.pose.shape == (len(second), 6)
    step = np.abs(np.diff(before.pose, axis=0)).mean()
    assert np.abs(continued.pose[0] - before.pose[-1]).mean() < 2 * step
    assert np.abs(alone.pose[0] - before.pose[-1]).mean() > 5 * step
    # Features of another scale than the encoder's would change what follows.
    scaled = run(second, 1, Tail(tail.expression, tail.pose, 10 * tail.speech))
    assert np.abs(scaled.expression - continued.expression).max() > 1e-3


def test_speech_that_is_cut_off_does_not_go_on_in_one_sound_for_the_head(monkeypatch):
    """Beyond the end the head hears the mean of what was said; the lips, and what ends in silence, as before."""
    beyond = []

    def windows(network, speech, **settings):
        beyond.append(settings["beyond"])
        return torch.zeros(len(speech), network.config.coefficients)

    monkeypatch.setattr("stage1_motion.models.fd2talk.model.generate_windows", windows)
    pipeline = MotionPipeline.from_pretrained()
    audio = read_audio(bundled("demo/sense_and_sensibility_01_austen_64kb-0880.wav"))[:32000]
    subject = Subject.of(None, pipeline.face_model)

    def heard(audio, **changes):
        beyond.clear()
        speech = replace(pipeline.frontend(audio), **changes)
        pipeline.model.sample(speech, subject, generator=torch.Generator().manual_seed(0))
        lips, head = beyond
        assert lips is None
        return head

    assert torch.equal(heard(audio), torch.zeros(256))
    assert heard(np.concatenate([audio, np.zeros(8000, np.float32)])) is None
    assert heard(audio, streamed=True) is None  # its windows end in mid-speech always
