import numpy as np
from material import portrait, sine_motion

from shared.face_model import load_bundled
from shared.photo_fit import PhotoFit
from shared.retarget import is_of, onto_photo


def test_foreign_motion_starts_from_the_photos_own_face():
    model = load_bundled()
    fitted = PhotoFit.fit(np.asarray(portrait().convert("RGB")), model)
    foreign = sine_motion(np.zeros(16000, np.float32))
    foreign.expression += 0.5
    assert not is_of(foreign, fitted) and is_of(sine_motion(np.zeros(16000, np.float32), fitted), fitted)
    moved = onto_photo(foreign, fitted)
    np.testing.assert_allclose(moved.rotation[0], fitted.rotation, atol=1e-6)
    np.testing.assert_allclose(moved.translation[0], fitted.translation, atol=1e-6)
    resting = np.argmin(foreign.expression @ model.extra["open"])
    np.testing.assert_allclose(moved.expression[resting], fitted.expression, atol=0.3)
    assert is_of(moved, fitted)
