import sys
from pathlib import Path

import numpy as np
import pytest

# Scripts import each other from their own folder, which Python adds to its path when it runs one.
sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))


@pytest.fixture(scope="session")
def photo():
    from shared.face_model import load_bundled
    from shared.media import read_image
    from shared.photo_fit import PhotoFit
    from shared.weights import bundled

    return PhotoFit.fit(read_image(bundled("demo/portrait_woman.jpg")), load_bundled())


@pytest.fixture(scope="session")
def still(photo):
    """Number of frames -> a motion in which nothing moves."""
    from shared.motion import Motion

    own = (photo.expression, photo.rotation, photo.translation)
    return lambda frames: Motion(*(np.tile(values, (frames, 1)) for values in own), photo.model.fingerprint)


@pytest.fixture
def results():
    """Results of two people, a frame of each group; `learned` gains dB over the warp and halves its distance."""
    from renderer_tables import Results

    def results(**gains):
        rows = []
        for person in ("a", "b"):
            for mouth in ("opened", "closed", "unchanged"):
                facts = {"person": person, "frame": 5, "mouth": mouth, "moved": 3.0, "turned": 1.0}
                rows.append({**facts, "system": "real", "identity": 0.9})
                own = gains.get(mouth, 2)
                for name, gain, distance in (("still", -3, 0.5), ("warp", 0, 0.4), ("learned", own, 0.2)):
                    values = {"psnr": 24 + gain, "ssim": 0.8 + gain / 100, "distance": distance}
                    parts = {f"{part}{key}": v for part in ("", "mouth_", "eyes_") for key, v in values.items()}
                    rows.append({**facts, "system": name, **parts, "identity": 0.85, "sharpness": 0.9})
        return Results(rows, {"still": [0.0], "warp": [0.0], "learned": [0.1, 0.4]})

    return results
