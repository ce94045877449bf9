import numpy as np

from shared.face_model import load_bundled
from shared.motion import Motion


def test_motion_is_that_of_the_photo_or_of_an_average_face(run, sine, tmp_path, photo, audio, speech):
    assert run("motion", audio, "--photo", photo, "-o", tmp_path / "photo.npz")[0] == 0
    code, printed, err = run("motion", audio, "-o", tmp_path / "new" / "average.npz")
    assert (code, printed.strip(), err) == (0, str(tmp_path / "new" / "average.npz"), "")
    fingerprint = load_bundled().fingerprint
    own, average = (Motion.load(p, face_model=fingerprint) for p in (tmp_path / "photo.npz", printed.strip()))
    assert len(own) == len(average) == 10 and own.identity.any() and not average.identity.any()
    np.testing.assert_allclose(average.audio, speech, atol=1e-4)
