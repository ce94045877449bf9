"""Description of mouths from landmarks."""

import numpy as np

from shared.face_model.measures import lip_aperture
from shared.speech.training.mouth import MouthShape, fill_gaps, lips_without_head


def landmarks_of(opening: np.ndarray, seed: int = 0) -> np.ndarray:
    """A made-up face of 478 points whose lips open, turning and shrinking as it goes."""
    generator = np.random.default_rng(seed)
    face = generator.uniform(-50, 50, (478, 3))
    face[33], face[263], face[13], face[14] = (-45, 0, 0), (45, 0, 0), (0, 60, 0), (0, 60, 0)
    frames = np.repeat(face[None], len(opening), 0)
    frames[:, 14, 1] += 90 * opening
    for index in range(len(frames)):
        angle = 0.3 * np.sin(index / 7)
        turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
        frames[index] = (1 + 0.002 * index) * frames[index] @ turn + index
    return frames


def test_aperture_and_lips_do_not_depend_on_head_motion():
    opening = 0.2 + 0.2 * np.sin(np.arange(60) / 3)
    frames = landmarks_of(opening)
    assert np.allclose(lip_aperture(frames), opening, atol=1e-9)
    still = lips_without_head(landmarks_of(np.full(60, 0.2)))
    assert np.abs(still - still[0]).max() < 1e-9
    moving = lips_without_head(frames)
    lower = moving.reshape(60, 40, 3)[:, 25]
    assert np.corrcoef(np.linalg.norm(lower - lower[0], axis=1), np.abs(opening - opening[0]))[0, 1] > 0.99


def test_mouth_shape_and_gaps():
    frames = landmarks_of(0.2 + 0.2 * np.sin(np.arange(60) / 3))
    holes = frames.copy()
    holes[10:12] = np.nan
    assert np.isfinite(fill_gaps(holes)).all()
    assert np.allclose(fill_gaps(holes)[20], frames[20])
    assert fill_gaps(np.full((5, 478, 3), np.nan)) is None
    shape = MouthShape([fill_gaps(holes)], components=1)(frames)
    assert shape.shape == (60, 2) and abs(np.corrcoef(shape.T)[0, 1]) > 0.99
