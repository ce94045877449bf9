"""What the systems are made of."""

import pytest
import yaml

from fd2talk.evaluation import system_names
from fd2talk.evaluation.system_names import MOTION_MODELS, NETWORK_ALONE, STYLED, SYSTEMS, motion_model, motion_weights
from fd2talk.evaluation.weights_digest import weights_digest
from shared.errors import InputError
from shared.weights import bundled
from stage1_motion.registry import MODELS


def test_every_motion_model_of_the_registry_is_a_system():
    assert {"fd2talk", *MOTION_MODELS} >= {*MODELS}
    assert all({model, f"{model}-network"} <= {*SYSTEMS} for model in MOTION_MODELS)
    assert {*STYLED} <= {*SYSTEMS} >= {*NETWORK_ALONE} and {n for of in NETWORK_ALONE.values() for n in of} <= {
        *SYSTEMS
    }


def test_systems_have_the_motion_model_that_they_are_called_after():
    found = {name: motion_model(name) for name in SYSTEMS}
    assert {name for name, model in found.items() if model == "bundled"} == {
        "bundled", "warp", "shuffled-audio", "bundled-network",
    }  # fmt: skip
    assert found["diffposetalk-own-style"] == "diffposetalk" and found["diface-network"] == "diface"
    assert found["static"] is found["ground-truth"] is found["driven-diffusion"] is None


def test_a_folder_of_weights_is_for_systems_of_its_model(tmp_path):
    other = str(tmp_path)
    assert motion_weights("bundled", other) == other and motion_weights("driven", other) is None
    assert motion_weights("ridge", other) == str(bundled("ridge"))  # the folder has a renderer alone
    (tmp_path / "model.yaml").write_text(yaml.safe_dump({"model": "ridge", "speech_encoder": "bundled"}))
    assert motion_weights("ridge", other) == motion_weights("ridge-network", other) == other
    assert motion_weights("diffposetalk", other) == motion_weights("diffposetalk-no-style", "bundled")


def test_a_system_depends_on_its_own_weights(tmp_path, monkeypatch):
    """New weights of one motion model leave the clips of the others as they are."""
    ridge = tmp_path / "ridge"
    ridge.mkdir()
    (ridge / "weights").write_text("old")
    monkeypatch.setattr(system_names, "bundled", lambda name: ridge if name == "ridge" else bundled(name))
    names = ("bundled", "diffposetalk", "ridge", "ridge-network")
    before = {name: weights_digest([name], "bundled") for name in names}
    (ridge / "weights").write_text("newer")
    after = {name: weights_digest([name], "bundled") for name in names}
    assert [name for name in names if before[name] != after[name]] == ["ridge", "ridge-network"]
    assert before["ridge"] == before["ridge-network"] and len({*before.values()}) == 3
    assert weights_digest(["bundled", "ridge"], "bundled") != before["bundled"]
    with pytest.raises(InputError, match="no such folder"):
        weights_digest(["bundled"], str(tmp_path / "none"))
