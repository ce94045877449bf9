"""Parts of a driver: cuts, zooms, other people and frames without a face."""

import numpy as np
import pytest

from shared.driver import driver_motion
from shared.face_model import load_bundled
from shared.face_model.camera import project
from shared.face_model.measures import lip_gap
from shared.faces.crop import Crop
from shared.tracking import Track, motion_from_track

MODEL = load_bundled()
PICTURE = Crop(160.0, 150.0, 250.0)


def opening(frames):
    """A mouth that opens and closes twice a second, [T, D]."""
    beat = 1 - np.cos(2 * np.pi * 2 * np.arange(frames) / 25)
    return (2 * beat[:, None] * MODEL.extra["open"]).astype(np.float32)


def filmed(yaw, *, shift=(0.0, 0.0), zoom=1.0, person=0.0):
    """Landmarks [T, 478, 3] in pixels of a talking person whose head turns by these angles in degrees."""
    yaw = np.asarray(yaw, np.float32)
    identity = np.zeros(MODEL.num_identity, np.float32)
    identity[:4] = person
    rotation = np.radians(yaw)[:, None] * np.array([0.0, 1.0, 0.0])
    zooms = np.log(0.7 * np.broadcast_to(zoom, yaw.shape))
    translation = np.stack([np.full(len(yaw), shift[0]), np.full(len(yaw), shift[1]), zooms], axis=1)
    return PICTURE.to_pixels(project(MODEL.vertices(identity, opening(len(yaw))), rotation, translation))


def track_of(*parts, gaps=()):
    """A track of parts that follow each other with cuts; in frames `gaps` no face is seen."""
    points = list(np.concatenate(parts))
    for gap in gaps:
        points[gap] = None
    changes = np.full(len(points) - 1, 1.0)
    for edge in np.cumsum([len(part) for part in parts])[:-1]:
        changes[edge - 1] = 40.0
    return Track.from_frames(points, None, changes, least=0.05)


def degrees(motion):
    return np.degrees(motion.rotation)[:, 1]


def opened(motion):
    """Gap between the lips of the mean face in mm, less the smallest, [T]."""
    gaps = lip_gap(MODEL.vertices(0 * motion.identity, motion.expression))
    return gaps - gaps.min()


def test_one_shot_is_what_the_tracker_gives():
    track = track_of(filmed(np.linspace(-5, 5, 30)))
    motion, found = driver_motion(MODEL, track, source="clip")
    expected = motion_from_track(MODEL, track, source="clip")
    assert found == [] and motion.source == "clip"
    for name in ("expression", "rotation", "translation", "identity", "confidence"):
        np.testing.assert_allclose(getattr(motion, name), getattr(expected, name), atol=1e-4)


@pytest.mark.situation(
    "Drivers",
    "a driver with cuts, dissolves, jump zooms or fast zooms",
    "each part counts from its own rest, eased between them; a note lists the times",
)
def test_a_jump_zoom_does_not_move_the_head():
    parts = filmed(np.linspace(-4, 4, 40)), filmed(np.linspace(10, 18, 35), zoom=1.7, shift=(0.2, -0.3))
    motion, found = driver_motion(MODEL, track_of(*parts))
    assert found == ["cut, zoom or gap at 1.60 s: each part counts from its own rest"]
    assert np.ptp(motion.translation, axis=0).max() < 0.05
    yaw = degrees(motion)
    assert yaw[19:21].mean() == pytest.approx(yaw[57], abs=0.5)  # the rests of both parts
    assert np.abs(np.diff(yaw)).max() < 1.0  # eased: of 8 degrees at the cut
    # Away from the cut the movement is untouched.
    np.testing.assert_allclose(np.diff(yaw[50:70]), 8 / 34, atol=0.05)
    assert np.corrcoef(opened(motion)[44:], opening(35)[4:] @ MODEL.extra["open"])[0, 1] > 0.98


def test_a_fast_zoom_is_a_new_part():
    zoom = 1 + 0.7 * np.clip((np.arange(60) - 26) / 8, 0, 1)
    motion, found = driver_motion(MODEL, track_of(filmed(np.zeros(60), zoom=zoom)))
    assert len(found) == 1 and "zoom" in found[0]
    assert np.ptp(motion.translation[:, 2]) < 0.05


@pytest.mark.situation(
    "Drivers",
    "a driver in which another person appears behind a cut",
    "fitted as a person of its own, counts from its own rest; a note says in how many frames",
)
def test_the_frames_of_a_dissolve_are_not_motion():
    """In them the tracked points wander from one face to the other; with half of its mouth open."""
    one, other = filmed(np.full(40, -3.0)), filmed(np.full(40, 9.0), zoom=1.4, shift=(0.2, -0.1))
    blend = np.linspace(0, 1, 14)[1:-1, None, None]
    wandering = (1 - blend) * one[-1] + blend * other[0]
    points = [*one, *wandering, *other]
    track = Track.from_frames(points, None, np.ones(len(points) - 1), dissolves=[(40, 52)])
    motion, found = driver_motion(MODEL, track)
    assert found == ["cut, zoom or gap at 1.84 s: each part counts from its own rest"]
    assert np.ptp(degrees(motion)) < 0.5 and np.ptp(motion.translation, axis=0).max() < 0.02
    without, _ = driver_motion(MODEL, Track.from_frames(points, None, np.ones(len(points) - 1)))
    assert np.ptp(degrees(without)) > 5


def test_another_persons_shape_is_not_motion():
    one, other = filmed(np.zeros(40)), filmed(np.zeros(30), person=2.5)
    motion, found = driver_motion(MODEL, track_of(one, other))
    assert len(found) == 1 and "perhaps another person in 30 of 70 frames" in found[0]
    # Fitted with one identity for both, the difference of the shapes would move the whole face.
    alone, _ = driver_motion(MODEL, track_of(one))
    np.testing.assert_allclose(motion.identity, alone.identity, atol=1e-5)
    offset = motion.expression[45:].mean(0) - motion.expression[5:35].mean(0)
    joint = motion_from_track(MODEL, track_of(one, other)).expression
    assert np.linalg.norm(offset) < 0.3 * np.linalg.norm(joint[45:].mean(0) - joint[5:35].mean(0))


@pytest.mark.situation(
    "Drivers",
    "a driver without a face for some of its time (title, gap, walks out)",
    "the motion rests; a note says in how many frames",
)
def test_without_a_face_the_motion_comes_to_rest():
    yaw = np.concatenate([np.zeros(25), np.linspace(0, 12, 15), np.zeros(35)])
    motion, found = driver_motion(MODEL, track_of(filmed(yaw), gaps=range(40, 75)))
    assert found == ["no face in 35 of 75 frames, in which the motion rests"]
    assert motion.confidence.sum() == 40
    np.testing.assert_allclose(degrees(motion)[40:], np.median(yaw[:40]), atol=0.6)
    assert np.abs(np.diff(degrees(motion))).max() < 2.5
    np.testing.assert_allclose(motion.expression[40:], motion.expression[40:41].repeat(35, 0), atol=1e-6)
    assert opened(motion)[40:].max() < 0.5


def test_a_title_and_a_gap_in_the_middle():
    motion, found = driver_motion(MODEL, track_of(filmed(np.full(95, 6.0)), gaps=[*range(30), *range(50, 70)]))
    assert found[0].startswith("no face in 50 of 95 frames") and len(found) == 2
    assert np.abs(opened(motion)[:30]).max() < 0.5 < opened(motion)[40:].max()
    assert np.abs(np.diff(motion.expression, axis=0)).max() < np.abs(np.diff(opening(30), axis=0)).max() * 1.5


def test_a_short_gap_is_bridged():
    track = track_of(filmed(np.linspace(0, 10, 40)), gaps=range(20, 26))
    motion, found = driver_motion(MODEL, track)
    assert found == ["no face in 6 of 40 frames"]
    np.testing.assert_allclose(np.diff(degrees(motion)), 10 / 39, atol=0.1)
