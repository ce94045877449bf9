from dataclasses import dataclass

import pytest
import yaml
from synthetic_prepared import write_prepared

from fd2talk.commands.train import model_module
from shared.errors import InputError
from shared.face_model import MorphableModel


def test_face_model_is_learned_from_a_prepared_folder(tmp_path, run, refused):
    """Faces that the bundled model draws give a model that draws them."""
    out = write_prepared(tmp_path / "out", people=6)
    config = tmp_path / "face.yaml"
    settings = f"model: face_model\nprepared: {out}\noutput: {tmp_path / 'run'}\n"
    config.write_text(settings + "num_identity: 8\nnum_expression: 4\n")
    code, printed, err = run("train", config)
    assert code == 0, err
    model = MorphableModel.load(tmp_path / "run" / "best" / "model.safetensors")
    assert (model.num_identity, model.num_expression) == (8, 4)
    assert "lip residual of val clips" in printed
    assert model.fingerprint in (tmp_path / "run" / "best" / "README.md").read_text()

    config.write_text(settings.replace("output", "outptu"))
    refused(
        "train", config, folder=tmp_path, saying=f"{config}: unknown section or key `outptu` (did you mean `output`?"
    )
    config.write_text("model: frog\n")
    refused("train", config, folder=tmp_path, saying="frog")
    config.write_text("nothing")
    refused("train", config, folder=tmp_path, saying="not a configuration")
    config.write_text("output: here")
    refused("train", config, folder=tmp_path, saying="model: NAME")
    refused("train", tmp_path / "none.yaml", folder=tmp_path, saying="no such file")


def test_overrides_and_a_base_change_what_is_trained(tmp_path, run, refused):
    """A motion model of another package, whose training declares no settings: only `training:` is checked."""
    values = {"model": "motion_models.continuing", "training": {"output": str(tmp_path / "run"), "max_steps": 3}}
    (tmp_path / "base.yaml").write_text(yaml.safe_dump(values))
    config = tmp_path / "own.yaml"
    config.write_text(f"base: base.yaml\nanything: {{of: its own}}\ntraining: {{output: {tmp_path / 'own'}}}\n")

    def refusal(text, saying):
        config.write_text(text)
        line = refused("train", config, folder=tmp_path, saying=saying)
        assert f"fd2talk: {config}: " in line

    code, printed, err = run("train", config, "training.max_steps=1", "training.learning_rate=1e-2")
    assert code == 0 and str(tmp_path / "own" / "best") in printed, err
    assert "\n1,train,learning_rate,0.0001\n" in (tmp_path / "own" / "log.csv").read_text()  # a step of the warm-up
    for override, saying in (
        (
            "training.max_step=1",
            "override training.max_step=1: section `training`: unknown key `max_step` (did you mean",
        ),
        ("training.max_steps=ten", "section `training`: `max_steps` must be an integer, not 'ten'"),
        ("max_steps", "'max_steps' is no override (write KEY=VALUE"),
    ):
        refused("train", config, override, folder=tmp_path, saying=saying)
    refusal(
        "base: base.yaml\ntraining: {precision: half}", "section `training`: `precision` must be one of no, bf16, auto"
    )
    refusal(
        "model: motion_models.continuing\ntrainng: {}", "the section `training` is missing (there are: model, trainng)"
    )
    refusal("base: own.yaml", "`base` leads in a circle")


def test_a_motion_model_may_declare_its_settings(tmp_path, refused, monkeypatch):
    from motion_models.sway import training

    @dataclass
    class Config:
        settings: dict[str, str]

    monkeypatch.setattr(training, "Config", Config, raising=False)
    config = tmp_path / "sway.yaml"
    config.write_text("model: motion_models.sway\nsettigns: {style: x}\ntraining: {output: x}\n")
    refused("train", config, folder=tmp_path, saying="unknown section or key `settigns` (did you mean `settings`?")
    config.write_text("model: motion_models.sway\nsettings: {style: 3}\ntraining: {output: x}\n")
    refused("train", config, folder=tmp_path, saying="section `settings`: `style` must be a text, not 3")


def test_motion_models_are_trained_by_their_name_or_package():
    ridge = model_module("ridge", "a.yaml")
    assert model_module("stage1_motion.models.ridge", "a.yaml") is ridge and callable(ridge.run)
    for name in ("frog", "no.such.package"):
        with pytest.raises(InputError, match=f"a.yaml: there is no model '{name}' to train .*fd2talk.*ridge.*unet"):
            model_module(name, "a.yaml")
