import numpy as np
import pytest
from material import nodding_motion

from shared.arkit import NAMES, load_arkit_map
from shared.errors import InputError
from shared.face_model import load_bundled
from shared.face_model.measures import lid_gap, lip_gap
from stage1_motion.editing.face_curves import CURVES, ORDER, Rest, amount, direction, read_curve

MODEL = load_bundled()
MOTION = nodding_motion(60)
REST = Rest.of(MOTION, MODEL)


def exported(expression, *names):
    """The curves as `fd2talk export` writes them, of a face whose rest is known."""
    weights = load_arkit_map().weights(expression[None], REST.expression, REST.identity)[0]
    return np.mean([weights[NAMES.index(name)] for name in names])


@pytest.mark.parametrize("frame", [0, 8, 20, 45])
@pytest.mark.parametrize("value", [0.0, 0.3, 0.9])
def test_a_smile_is_that_of_the_exported_curves_and_leaves_lips_and_lids(frame, value):
    before = MOTION.expression[frame]
    after = before + amount("smile", value, before, REST, MODEL) * direction("smile", REST, MODEL)
    assert exported(after, "mouthSmileLeft", "mouthSmileRight") == pytest.approx(value, abs=0.005)
    meshes = [MODEL.vertices(REST.identity, expression) for expression in (before, after)]
    assert lip_gap(meshes[1]) == pytest.approx(lip_gap(meshes[0]), abs=1e-3)
    assert lid_gap(meshes[1]) == pytest.approx(lid_gap(meshes[0]), abs=1e-2)


def test_a_smile_raises_and_spreads_the_corners_and_brows_go_up():
    before = MOTION.expression[0]
    smiling = before + amount("smile", 0.8, before, REST, MODEL) * direction("smile", REST, MODEL)
    right, left = MODEL.vertices(REST.identity, np.stack([before, smiling]))[:, [61, 291]].transpose(1, 0, 2)
    assert left[1, 0] > left[0, 0] + 2 and right[1, 0] < right[0, 0] - 2 and left[1, 1] > left[0, 1] + 1
    for value, sign in ((0.6, 1), (-0.6, -1)):
        moved = before + amount("brows", value, before, REST, MODEL) * direction("brows", REST, MODEL)
        heights = MODEL.vertices(REST.identity, np.stack([before, moved]))[:, MODEL.groups["brows"], 1].mean(1)
        assert sign * (heights[1] - heights[0]) > 1
        names = ("browInnerUp", "browOuterUpLeft", "browOuterUpRight"), ("browDownLeft", "browDownRight")
        up, down = (exported(moved, *each) for each in names)
        assert up - down == pytest.approx(value, abs=0.005)


def test_heights_are_met_exactly():
    before = MOTION.expression[20]  # in a blink
    for name, value in (("gap", 9.0), ("closed", 0.25)):
        after = before + amount(name, value, before, REST, MODEL) * direction(name, REST, MODEL)
        assert read_curve(name, after[None], REST, MODEL)[0] == pytest.approx(value, abs=1e-3)


def test_all_curves_of_a_face_at_once():
    expression = MOTION.expression[5].copy()
    wanted = {"gap": 7.0, "closed": 0.5, "smile": 0.6, "brows": 0.4}
    for name in ORDER:
        expression += np.float32(amount(name, wanted[name], expression, REST, MODEL)) * direction(name, REST, MODEL)
    found = {name: read_curve(name, expression[None], REST, MODEL)[0] for name in CURVES}
    assert found == pytest.approx(wanted, abs=0.05)


def test_values_that_no_amount_gives():
    with pytest.raises(InputError, match="smile=1.4 is more than this face can do"):
        amount("smile", 1.4, MOTION.expression[0], REST, MODEL)
