"""Settings that are measured, and figures of samples that are known."""

import numpy as np
import pytest
from demo import demo_speech
from evaluate_sampling import Measure, Samples, Take, at, grid
from held_out_clips import HeldOut, load_model

from stage1_motion.interface import SamplingOptions


@pytest.fixture(scope="module")
def pipelines():
    return {name: load_model(name) for name in ("fd2talk", "diffposetalk")}


@pytest.fixture(scope="module")
def take(pipelines):
    pipeline = pipelines["diffposetalk"]
    motion = pipeline(demo_speech())
    return Take(pipeline, HeldOut("clip", "person", motion, motion.slice(0, 40), first=40))


def test_grid_of_settings(pipelines):
    settings = list(grid(pipelines["diffposetalk"].model, (1, 4), (), (1.0, 2.0), (0.0, 1.0), ("ddim", "renoise")))
    found = [(s.solver, s.steps, s.style_guidance, s.eta) for s in settings]
    ddim = [("ddim", 1, 1, 0), ("ddim", 1, 2, 0), *[("ddim", 4, style, eta) for style in (1, 2) for eta in (0, 1)]]
    assert found == [*ddim, *[("renoise", steps, style, None) for steps in (1, 4) for style in (1, 2)]]
    (paper,) = grid(pipelines["diffposetalk"].model, (), (), (2.0,), (), ("renoise",))
    assert (paper.solver, paper.steps) == ("renoise", 500)  # those of training, unless it is told
    (own,) = grid(pipelines["fd2talk"].model, (), (), (1.0, 2.0), (), ())
    part = pipelines["fd2talk"].model.expression
    assert (own.steps, own.guidance, own.style_guidance) == (part.steps, part.guidance_scale, None)


def test_figures_of_samples(take):
    measure = Measure({"clip": take}, [take.clip], [], {}, None)
    real = take.real()
    perfect = measure.figures({"clip": real})
    assert real.expression.shape[1] == len(take.clip.motion) - 40
    ones = ("r_one", "r_mean", "spread", "speed", "acceleration", "head_speed", "head_std")
    assert [perfect[name] for name in ones] == pytest.approx([1] * len(ones)) and perfect["lve"] == 0
    moved = np.zeros(real.expression.shape[-1])
    moved[3] = 2.0
    model = take.model.space.model
    lips = np.linalg.norm(2 * model.exp_basis[3][model.groups["lips"]], axis=1).max()
    made = Samples(np.concatenate([real.expression, real.expression + moved]), np.repeat(0.5 * real.rotation, 2, 0))
    found = measure.figures({"clip": made})
    assert found["lve"] == pytest.approx(lips / 2, rel=1e-4)
    assert (found["between"], found["head_speed"]) == pytest.approx((1, 0.5))


def test_samples_differ_and_are_timed(take):
    made = take.samples(SamplingOptions(steps=2), 2)
    assert made.expression.shape == (2, *take.real().expression.shape[1:]) and made.rotation.shape[-1] == 3
    assert np.abs(made.expression[0] - made.expression[1]).max() > 1e-3 and made.seconds > 0


def test_phones_count_from_the_first_measured_frame(take):
    spoken = {"clip": [("B", 0.4), ("M", 2.0), ("AA", 2.1)]}
    np.testing.assert_allclose(at(take.clip, spoken, "closed"), [2.0 - 40 / 25])
