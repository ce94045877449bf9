import json

import numpy as np

from fd2talk.export.talking_head_json import talking_head_json
from fd2talk.export.visemes import VISEMES
from shared.arkit import NAMES


def test_half_open_mouths_are_not_silent(motion):
    weights = np.zeros((30, 15))
    weights[:, VISEMES.index("sil")], weights[:, VISEMES.index("oh")], weights[:, VISEMES.index("SS")] = 0.4, 0.35, 0.25
    assert json.loads(talking_head_json(motion, np.zeros((30, 52)), weights))["visemes"] == ["O"]


def test_content_of_speak_audio(motion):
    spoken = ["sil"] * 4 + ["PP"] * 2 + ["aa"] * 6 + ["sil"] * 3 + ["ih"] * 5 + ["ou"] * 10
    weights = np.array([[float(name == viseme) for name in VISEMES] for viseme in spoken])
    curves = np.zeros((30, 52), np.float32)
    curves[:, NAMES.index("jawOpen")] = np.linspace(0, 1, 30)
    read = json.loads(talking_head_json(motion, curves, weights))
    assert read["visemes"] == ["PP", "aa", "I", "U"]  # its own names for ih and ou; silence is left out
    assert read["vtimes"] == [160, 240, 600, 800] and read["vdurations"] == [80, 240, 200, 400]
    anim = read["anim"]
    assert anim["name"] == "blendshapes" and anim["dt"] == [40] * 30
    assert list(anim["vs"]) == ["jawOpen"]  # curves that never move are left out
    np.testing.assert_allclose(anim["vs"]["jawOpen"], curves[:, NAMES.index("jawOpen")], atol=1e-4)
