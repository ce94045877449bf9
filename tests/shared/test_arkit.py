import numpy as np
import pytest
from material import nodding_motion

from shared.arkit import NAMES, UNSEEN, load_arkit_map, neutral_expression
from shared.errors import InputError
from shared.face_model import load_bundled
from shared.face_model.measures import lid_gap, lip_gap
from shared.motion import Motion


@pytest.fixture(scope="module")
def model():
    return load_bundled()


@pytest.fixture(scope="module")
def motion():
    return nodding_motion()


def by_name(curves):
    return dict(zip(NAMES, curves.T, strict=True))


def test_curves_follow_mouth_and_eyes(motion, model):
    curves = by_name(load_arkit_map().fit(motion)[0])
    opening = lip_gap(model.vertices(motion.identity, motion.expression))
    assert np.corrcoef(opening, curves["jawOpen"])[0, 1] > 0.85
    assert np.ptp(curves["jawOpen"]) > 0.05
    for side in ("Left", "Right"):
        blink = curves[f"eyeBlink{side}"]
        assert blink.argmax() in (19, 20, 21) and blink.max() > blink[:10].max() + 0.2
    assert not any(curves[name].any() for name in UNSEEN)


def test_a_face_at_rest_has_no_curves_whoever_it_is(model):
    random = np.random.default_rng(1)
    expression = random.normal(0, 0.8, model.num_expression) + np.outer(
        np.r_[np.zeros(30), np.full(30, 9.0)], model.extra["open"]
    )
    pose = np.zeros((60, 3))
    motion = Motion(expression, pose, pose, model.fingerprint, identity=random.normal(0, 1, model.num_identity))
    arkit = load_arkit_map()
    assert arkit.scores(motion.expression[0], motion.identity).max() > 0.2  # the teacher's scores are not 0
    curves, start = arkit.fit(motion)
    assert curves[:30].max() < 0.05 < by_name(curves)["jawOpen"][30:].min()
    np.testing.assert_allclose(start - motion.expression[0], np.zeros(64), atol=0.7)


@pytest.mark.parametrize("smile", [0.6, 0.0])
def test_a_smile_of_the_resting_face_is_kept_on_request(model, smile):
    arkit = load_arkit_map()
    given = np.zeros((20, len(NAMES)))
    for side in ("Left", "Right"):
        given[:, NAMES.index(f"mouthSmile{side}")] = smile
    given[10:, NAMES.index("jawOpen")] = 0.4
    pose = np.zeros((20, 3))
    motion = Motion(arkit.decode(given), pose, pose, model.fingerprint)
    without, kept = by_name(arkit.fit(motion)[0]), by_name(arkit.fit(motion, keep_expression=True)[0])
    assert max(curve[0] for curve in without.values()) < 0.05
    assert without["mouthSmileLeft"].max() < 0.1 and without["jawOpen"][-1] > 0.3
    if smile:
        assert kept["mouthSmileLeft"][0] > 0.35 and kept["mouthSmileRight"][0] > 0.35
    else:
        assert max(curve[0] for curve in kept.values()) < 0.05


@pytest.mark.parametrize("keep", [False, True])
def test_shapes_times_curves_are_the_motion(motion, model, keep):
    arkit = load_arkit_map()
    curves, start = arkit.fit(motion, keep_expression=keep)
    again = model.vertices(motion.identity, start + curves @ arkit.shapes)
    wanted = model.vertices(motion.identity, motion.expression)
    assert np.linalg.norm(again - wanted, axis=-1).mean() < 0.5
    assert np.abs(lip_gap(again) - lip_gap(wanted)).mean() < 0.3


def test_the_average_face_at_rest_has_closed_lips_and_a_blink_of_1_shuts_its_eyes(model):
    arkit = load_arkit_map()

    def face(**values):
        curves = np.array([[values.get(name, 0.0) for name in NAMES]])
        return model.vertices(np.zeros(model.num_identity), arkit.decode(curves))[0]

    assert lip_gap(face()) == pytest.approx(0, abs=0.05) and 5 < lid_gap(face()) < 10
    assert lid_gap(face(eyeBlinkLeft=1, eyeBlinkRight=1)) == pytest.approx(0, abs=0.1)
    one = face(eyeBlinkLeft=1) - face()
    assert one[386, 1] < 2 * one[159, 1] < 0  # upper lids; the person's left and right
    assert lip_gap(face(jawOpen=1)) > 15 and face(jawOpen=1)[152, 1] < face()[152, 1] - 10
    corners = face(mouthSmileLeft=1, mouthSmileRight=1)[[61, 291]] - face()[[61, 291]]
    assert (corners[:, 1] > 2).all()  # up
    assert face(mouthPucker=1)[291, 0] < face()[291, 0] - 1  # narrower


def test_shapes_of_the_sides_are_mirror_images(model):
    arkit = load_arkit_map()
    shapes = np.tensordot(arkit.shapes, model.exp_basis, 1)
    for name in ("eyeBlink", "mouthSmile", "browDown", "mouthLowerDown"):
        left, right = (shapes[NAMES.index(f"{name}{side}")] for side in ("Left", "Right"))
        np.testing.assert_allclose(left[291] * [-1, 1, 1], right[61], atol=0.05)
        np.testing.assert_allclose(left[386] * [-1, 1, 1], right[159], atol=0.05)


def test_rest_is_the_median_of_the_frames_with_the_closest_lips(motion, model):
    def gap(expression):
        return lip_gap(model.vertices(np.zeros(model.num_identity), expression))

    gaps = gap(motion.expression)
    closest = sorted(range(len(motion)), key=lambda frame: gaps[frame])[: len(motion) // 10]
    middle, rest = np.median(motion.expression[closest], 0), neutral_expression(motion)
    assert gap(rest) == pytest.approx(gap(middle) - np.clip(gap(middle), -0.8, 2), abs=1e-3)  # a slit counts as closed
    np.testing.assert_allclose(np.cross((rest - middle)[:2], model.extra["open"][:2]), 0, atol=1e-5)
    wide = motion.at(4)
    wide.expression = wide.expression + (9 - gap(wide.expression)) * model.extra["open"] / gap(model.extra["open"])
    assert gap(neutral_expression(wide)) == pytest.approx(7, abs=0.05)  # an open mouth does not


def test_a_slit_between_the_lips_is_no_curve(model):
    arkit = load_arkit_map()
    expression = np.tile(arkit.rest, (10, 1)) + 1.9 * model.extra["open"] / lip_gap(
        np.tensordot(model.extra["open"], model.exp_basis, 1)
    )
    pose = np.zeros((10, 3))
    assert 0 < arkit.fit(Motion(expression, pose, pose, model.fingerprint))[0].max() < 0.05


def test_motion_of_another_face_model_is_refused(motion):
    foreign = motion.at(0)
    foreign.face_model = "flame:0000000000000000"
    with pytest.raises(InputError, match="flame:0000000000000000"):
        load_arkit_map().fit(foreign)
