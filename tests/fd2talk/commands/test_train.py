import numpy as np
import pytest
from material import DEMO

from fd2talk.commands.train import model_module, read_config
from shared.errors import InputError
from shared.face_model import MorphableModel, load_bundled

CONFIGS = DEMO.parents[1] / "configs"
# Protocols, and the files that say which trainings make up an ablation, have tests of their own.
TRAININGS = [p for p in sorted(CONFIGS.rglob("*.yaml")) if p.parent.name not in ("protocols", "ablations")]


@pytest.mark.parametrize("path", TRAININGS, ids=lambda p: p.relative_to(CONFIGS).as_posix())
def test_every_config_names_a_model_that_can_be_trained(path):
    module = model_module(read_config(str(path))["model"], path)
    assert callable(getattr(module, "build_task", None) or module.run)


def test_face_model_is_learned_from_a_prepared_folder(tmp_path, run, refused):
    """Faces that the bundled model draws give a model that draws them."""
    bundled = load_bundled()
    rng = np.random.default_rng(0)
    out = tmp_path / "out"
    (out / "tracks").mkdir(parents=True)
    index = []
    for k in range(6):
        identity = rng.normal(size=bundled.num_identity)
        expression = np.zeros((30, bundled.num_expression))
        expression[:, :3] = rng.normal(size=(30, 3))
        points = bundled.vertices(identity, expression) * [1, -1, -1] + [200, 200, 0]
        np.savez(
            out / "tracks" / f"p{k}.npz",
            landmarks=points.astype(np.float32),
            confidence=np.ones(30, np.float32),
            crop=np.array([200.0, 200.0, 300.0]),
        )
        index.append(f"p{k},p{k},{'val' if k == 5 else 'train'}")
    (out / "index.csv").write_text("name,person,split\n" + "\n".join(index) + "\n")
    stills = bundled.vertices(rng.normal(size=(8, bundled.num_identity)), np.zeros((8, bundled.num_expression)))
    np.savez(
        out / "portraits.npz",
        names=np.array([str(i) for i in range(8)]),
        splits=np.array(["train"] * 6 + ["val"] * 2),
        points=(stills * [1, -1, -1] + [200, 200, 0]).astype(np.float32),
        crops=np.tile([200.0, 200.0, 300.0], (8, 1)),
    )
    config = tmp_path / "face.yaml"
    settings = f"model: face_model\nprepared: {out}\noutput: {tmp_path / 'run'}\n"
    config.write_text(settings + "num_identity: 8\nnum_expression: 4\n")
    code, printed, err = run("train", config)
    assert code == 0, err
    model = MorphableModel.load(tmp_path / "run" / "best" / "model.safetensors")
    assert (model.num_identity, model.num_expression) == (8, 4)
    assert "lip residual of val clips" in printed
    assert model.fingerprint in (tmp_path / "run" / "best" / "README.md").read_text()

    config.write_text(settings.replace("prepared", "prepped"))
    refused("train", config, folder=tmp_path, saying="prepared")
    config.write_text("model: frog\n")
    refused("train", config, folder=tmp_path, saying="frog")
    config.write_text("nothing")
    refused("train", config, folder=tmp_path, saying="model: NAME")
    refused("train", tmp_path / "none.yaml", folder=tmp_path, saying="no such file")


def test_motion_models_are_trained_by_their_name_or_package():
    ridge = model_module("ridge", "a.yaml")
    assert model_module("stage1_motion.models.ridge", "a.yaml") is ridge and callable(ridge.run)
    for name in ("frog", "no.such.package"):
        with pytest.raises(InputError, match=f"a.yaml: there is no model '{name}' to train .*fd2talk.*ridge.*unet"):
            model_module(name, "a.yaml")
