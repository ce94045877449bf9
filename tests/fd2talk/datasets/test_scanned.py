import numpy as np
import pytest
from data_set_trees import speech_meshes

from fd2talk.datasets.scanned import points_of_meshes, speech_at_16_khz
from shared.errors import InputError
from shared.face_model import load_bundled
from shared.face_model.measures import lip_gap
from shared.tracking import Track, motion_from_track

SIXTIETHS = np.arange(120) / 60


def test_the_face_moves_as_the_meshes_do():
    """A mouth that opens and closes twice a second, of a face that our own model drew, in FLAME's topology."""
    face = load_bundled()
    meshes, template, opening = speech_meshes()
    points = points_of_meshes(meshes, SIXTIETHS, template)
    motion = motion_from_track(face, Track.from_frames(list(points)))
    gap = lip_gap(face.vertices(motion.identity, motion.expression))
    true = lip_gap(face.vertices(np.zeros(face.num_identity), opening[:, None] * 12 * face.extra["open"]))
    wanted = np.interp(np.arange(50) / 25, SIXTIETHS, true)
    assert np.corrcoef(gap, wanted)[0, 1] > 0.99
    assert np.ptp(gap) == pytest.approx(np.ptp(wanted), rel=0.15)
    # The head of the meshes does not move, and looks at the camera.
    assert np.abs(motion.rotation).max() < np.radians(2.5) and np.abs(np.diff(motion.rotation, axis=0)).max() < 0.01
    assert np.ptp(motion.translation, axis=0).max() < 0.02
    # Upright: brows above the chin, the person's left on the right, the nose towards the camera.
    first = points[0]
    assert first[105, 1] < first[152, 1] and first[263, 0] > first[33, 0] and first[4, 2] < first[234, 2] - 20


def test_the_neutral_mesh_does_not_matter_to_the_movement():
    meshes, template, _ = speech_meshes(0.5)
    times = np.arange(len(meshes)) / 60
    one = points_of_meshes(meshes, times, template)
    moved = points_of_meshes(meshes + [0.3, 0, 0.1], times, template + [0.3, 0, 0.1])
    assert np.abs(one - moved).max() < 0.05


def test_one_mesh_and_what_is_no_mesh():
    meshes, template, _ = speech_meshes(0.1)
    assert points_of_meshes(meshes[:1], np.zeros(1), template).shape == (1, 478, 3)
    for wrong, neutral, saying in [
        (meshes[:, :100], template, r"meshes have shape \[100, 3\]"),
        (meshes[:0], template, "there are no meshes"),
        (meshes, template[:7], r"the neutral mesh has shape \[7, 3\]"),
    ]:
        with pytest.raises(InputError, match=saying):
            points_of_meshes(wrong, np.arange(len(wrong)) / 60, neutral)
    meshes[2, 3533] = np.nan
    with pytest.raises(InputError, match="not finite"):
        points_of_meshes(meshes, np.arange(len(meshes)) / 60, template)


def test_sound_keeps_pitch_and_size():
    time = np.arange(22000) / 22000
    sound = speech_at_16_khz((np.sin(2 * np.pi * 1000 * time) * 16383).astype(np.int16), 22000)
    assert sound.dtype == np.float32 and len(sound) == 16000
    assert np.abs(np.fft.rfft(sound)).argmax() == 1000 and np.abs(sound[100:-100]).max() == pytest.approx(0.5, abs=0.01)
    with pytest.raises(InputError, match="expected"):
        speech_at_16_khz(np.zeros((2, 5), np.int16), 16000)


@pytest.mark.parametrize("rate", [0, -16000, 999, 2**40 + 1])
def test_rates_that_would_ask_for_any_memory(rate):
    with pytest.raises(InputError, match="is not a rate of sound"):
        speech_at_16_khz(np.ones(100, np.int16), rate)


def test_samples_that_are_no_numbers():
    for samples in (np.array([0.1, np.nan]), np.array([1, "x"], dtype=object), np.array([1j])):
        with pytest.raises(InputError, match="not finite numbers"):
            speech_at_16_khz(samples, 16000)
