"""Configuration files: bases, overrides, the root of the data, and where a message says that a fault is."""

from dataclasses import dataclass, field

import pytest

from shared.config import Config
from shared.errors import InputError, UsageError
from shared.schema import build


@dataclass
class Loss:
    rate: float = 0.5


@dataclass
class Whole:
    output: str = "x"
    steps: int = 10
    loss: Loss = field(default_factory=Loss)


def load(tmp_path, text, *overrides):
    (tmp_path / "a.yaml").write_text(text)
    return Config.load(tmp_path / "a.yaml", overrides)


def check(tmp_path, text, *overrides):
    config = load(tmp_path, text, *overrides)
    return build(config, Whole, config.resolved())


def test_a_base_is_changed_section_by_section(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "root.yaml").write_text(
        "output: x\nsteps: 1\nnetwork: {parts: [1], size: 2}\nloss: {rate: 2}\n"
    )
    (tmp_path / "deep" / "middle.yaml").write_text("base: root.yaml\nsteps: 2\nnetwork: {size: 4, parts: [3, 4]}\n")
    base = "base: deep/middle.yaml\n"
    assert load(tmp_path, base + "loss: {decay: null}\nmore: {a: 1}\n").values == {
        "output": "x",
        "steps": 2,
        "network": {"parts": [3, 4], "size": 4},  # a list is replaced
        "loss": {"rate": 2, "decay": None},
        "more": {"a": 1},
    }
    # Null removes a section, and a key at the top; within a section it is a value.
    assert load(tmp_path, base + "network: null\nsteps: null\nloss: {rate: null}\n").values == {
        "output": "x",
        "loss": {"rate": None},
    }


def test_overrides_come_last_and_are_yaml(tmp_path):
    overrides = ["steps=7", "loss.rate=1e-3", "names=[c, 2]", "network=null", "network.kind=large", "output=a=b", "k="]
    values = load(tmp_path, "output: x\nnetwork: {kind: small, size: 3}\n", *overrides).values
    assert values == {
        "output": "a=b", "steps": 7, "loss": {"rate": "1e-3"}, "names": ["c", 2], "network": {"kind": "large"}
    }  # fmt: skip
    for override in ("steps", "=3", "loss..rate=3", "steps=[", ".steps=2"):
        with pytest.raises(UsageError, match="override"):
            load(tmp_path, "output: x\n", override)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("setps=3", "override setps=3: unknown section or key `setps` (did you mean `steps`?"),
        ("loss.rat=3", "override loss.rat=3: section `loss`: unknown key `rat` (did you mean `rate`?"),
        ("los.rate=3", "override los.rate=3: unknown section or key `los` (did you mean `loss`?"),
        ("steps=many", "override steps=many: `steps` must be an integer, not 'many'"),
    ],
)
def test_a_faulty_override_is_named(tmp_path, override, message):
    with pytest.raises(InputError) as caught:
        check(tmp_path, "output: x\n", override)
    assert str(caught.value).startswith(message)


def test_messages_name_the_file_of_a_chain_that_has_the_fault(tmp_path):
    (tmp_path / "b.yaml").write_text("los: {rate: 2}\n")
    with pytest.raises(InputError, match=r"b.yaml: unknown section or key `los` \(did you mean `loss`"):
        check(tmp_path, "base: b.yaml\nsteps: 3\n")
    (tmp_path / "b.yaml").write_text("loss: {rate: 2}\n")
    with pytest.raises(InputError, match="a.yaml: section `loss`: unknown key `rat`"):
        check(tmp_path, "base: b.yaml\nloss: {rat: 3}\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("base: nowhere.yaml", "a.yaml: `base`: cannot read .*nowhere.yaml"),
        ("base: [b.yaml]", "a.yaml: `base` must be the name of a file"),
        ("base: b.yaml", r"`base` leads in a circle: .*a.yaml -> .*b.yaml -> .*a.yaml"),
        ("loss: {rate: 1}\nloss: {rate: 2}", "cannot read .*a.yaml.*`loss` is given twice"),
        ("loss: {rate: 1, rate: 2}", "`rate` is given twice.*line 1"),
        ("[1, 2]", "a.yaml: not a configuration"),
        ("a: [", "cannot read .*a.yaml"),
        ("a: 2024-13-45", "cannot read .*a.yaml: month must be in 1..12"),
        ("a: !!int foo", "cannot read .*a.yaml"),
        ("a: !!timestamp foo", "cannot read .*a.yaml"),
        ("a: &a {b: *a}", "cannot read .*a.yaml"),
        ("a: " + "[" * 3000, "cannot read .*a.yaml: its values are nested too deeply"),
        ('base: "b\\0c"', "a.yaml: `base` must be the name of a file"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_in_one_line(tmp_path, text, message):
    (tmp_path / "b.yaml").write_text("base: a.yaml\n")
    with pytest.raises(InputError, match=message) as caught:
        load(tmp_path, text)
    assert "\n" not in str(caught.value)


def test_paths_derive_from_the_data_root(tmp_path):
    text = "clips: ${data_root}/clips\nsection: {models: ['${data_root}/m', 3]}\n"
    assert load(tmp_path, text).resolved() == {"clips": "../shared/clips", "section": {"models": ["../shared/m", 3]}}
    assert load(tmp_path, text, "data_root=/data").resolved()["clips"] == "/data/clips"
    assert load(tmp_path, text + "data_root: here\n").resolved()["section"] == {"models": ["here/m", 3]}
    with pytest.raises(InputError, match="override data_root=3: `data_root` must be a text"):
        load(tmp_path, text, "data_root=3").resolved()
    with pytest.raises(InputError, match=r"a.yaml: section `one`: `two` refers to \$\{root\}; there is only"):
        load(tmp_path, "one: {two: '${root}/x'}\n").resolved()
