"""Closed form, and the choice of the penalty."""

import numpy as np
import torch
from synthetic_prepared import write_prepared

from fd2talk.commands.train import train_config
from stage1_motion.models.ridge.model import CONTEXT, with_context
from stage1_motion.models.ridge.training import Moments
from stage1_motion.pipeline import MotionPipeline
from stage1_motion.speech_frontend import LogMel
from stage1_motion.training.clips import Clip


def test_closed_form_finds_a_linear_rule_and_a_penalty_shrinks_it():
    rng = np.random.default_rng(0)
    rule = rng.normal(size=(LogMel.size, 3))
    clips = []
    for person in "ab":
        speech = rng.normal(size=(900, LogMel.size)).astype(np.float32)
        before = speech[np.maximum(np.arange(900) - 2, 0)]
        made = (before @ rule + 5).astype(np.float32)  # what was heard 80 ms before, and a constant
        clips.append(Clip(person, person, None, speech, made, made[:, :2], 1.0, 1.0))
    moments = Moments(clips)
    exact, shrunk = moments.solve(1e-6), moments.solve(1.0)
    x = with_context(torch.from_numpy(clips[0].speech))
    np.testing.assert_allclose(exact(x)[:, :3], clips[0].expression, atol=0.01)
    weight = exact.weight.view(5, 2 * CONTEXT + 1, LogMel.size)
    np.testing.assert_allclose(weight[:3, CONTEXT - 2], rule.T, atol=0.01)
    assert 0.3 < shrunk.weight.norm() / exact.weight.norm() < 0.7
    # The constant is not shrunk.
    np.testing.assert_allclose(shrunk(x).mean(0), 5, atol=0.5)


def test_training_from_a_prepared_folder(tmp_path, capsys):
    """People open their mouths as loud as they are; the trained folder is one that the pipeline loads."""
    prepared = write_prepared(tmp_path / "prepared")
    config = tmp_path / "ridge.yaml"
    config.write_text(f"model: ridge\nprepared: {prepared}\noutput: {tmp_path / 'run'}\n")
    result = train_config(str(config))
    assert result["validation"]["r of val people"] > 0.8
    assert str(tmp_path / "run" / "best") in capsys.readouterr().out
    loaded = MotionPipeline.from_pretrained(tmp_path / "run" / "best")
    assert len(loaded(np.zeros(6400, np.float32))) == 10
