"""Configuration files: bases, overrides, and one line about whatever does not fit."""

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import pytest

from shared.config import Arguments, Config, build
from shared.errors import InputError, UsageError


class Base:
    def __init__(self, data, *, rate: float = 0.1, decay: float | None = None):
        pass


class Derived(Base):
    def __init__(self, *args, depth: int = 2, **settings):
        super().__init__(*args, **settings)


@dataclass
class Small:
    kind: Literal["small"]
    size: int = 1


@dataclass
class Large:
    kind: Literal["large", "huge"]
    parts: tuple[int, ...] = ()
    size: int = 9


@dataclass
class Free:
    sizes: dict[str, Any]

    def __post_init__(self):
        if "odd" in self.sizes:
            raise ValueError("odd sizes do not go together")


@dataclass
class Whole:
    output: str
    steps: int = 10
    rate: float = 0.5
    fast: bool = False
    limit: int | None = 3
    precision: Literal["no", "bf16"] = "bf16"
    names: tuple[str, ...] = ()
    grid: list[list[int]] = field(default_factory=list)
    network: Small | Large = field(default_factory=lambda: Small("small"))
    loss: Annotated[dict[str, Any], Arguments(Derived, ("data",))] = field(default_factory=dict)
    free: Free | None = None
    tables: dict[str, Small] = field(default_factory=dict)
    place: str | int = "here"


def read(tmp_path, text, *overrides):
    path = tmp_path / "a.yaml"
    path.write_text(text)
    config = Config.load(path, overrides)
    return build(config, Whole, config.resolved())


def test_values_become_the_types_of_the_fields(tmp_path):
    text = "output: x\nrate: 1e-4\nprecision: no\nnames: [a, b]\ngrid: [[1], [2, 3]]\nplace: 5\n"
    text += "network: {kind: huge, parts: [1]}\nloss: {depth: 3, rate: 1, decay: null}\nfree: {sizes: {any: [1]}}\n"
    whole = read(tmp_path, text + "tables: {one: {kind: small}}\nfast:   true\n")
    assert (whole.rate, whole.limit, whole.precision, whole.names, whole.grid) == (
        1e-4, 3, "no", ("a", "b"), [[1], [2, 3]]
    )  # fmt: skip
    assert whole.network == Large("huge", (1,)) and whole.loss == {"depth": 3, "rate": 1.0, "decay": None}
    assert isinstance(whole.loss["rate"], float) and whole.place == 5 and whole.fast is True
    assert whole.free == Free({"any": [1]}) and whole.tables == {"one": Small("small")} and whole.steps == 10
    assert read(tmp_path, "output: x\nloss:\n").loss == {}  # a section with nothing in it


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("outptu: x", "unknown section or key `outptu` (did you mean `output`? known: output, steps, rate"),
        ("steps: 3", "`output` is missing"),
        ("output: 3", "`output` must be a text, not 3"),
        ("steps: 3.5", "`steps` must be an integer, not 3.5"),
        ("steps: true", "`steps` must be an integer, not True"),
        ("rate: fast", "`rate` must be a number, not 'fast'"),
        ("rate: [1]", "`rate` must be a number, not [1]"),
        ("fast: 1", "`fast` must be true or false, not 1"),
        ("limit: many", "`limit` must be an integer, not 'many'"),
        ("place: [x]", "`place` must be a text or an integer, not ['x']"),
        ("precision: fp8", "`precision` must be one of no, bf16, not 'fp8'"),
        ("names: abc", "`names` must be a list, each item a text, not 'abc'"),
        ("grid: [[1, x]]", "`grid` must be an integer, not 'x'"),
        ("network: 5", "`network` must be a section of `KEY: VALUE`, not 5"),
        ("network: {kind: tall}", "section `network`: `kind` must be one of small, large, huge, not 'tall'"),
        ("network: {kind: small, parts: [1]}", "section `network`: unknown key `parts` (known: kind, size)"),
        ("network: {kind: huge, size: x}", "section `network`: `size` must be an integer, not 'x'"),
        ("loss: {dept: 3}", "section `loss`: unknown key `dept` (did you mean `depth`? known: "),
        ("loss: {data: 3}", "section `loss`: unknown key `data`"),
        ("loss: {decay: x}", "section `loss`: `decay` must be a number, not 'x'"),
        ("free: {sizes: {odd: 1}}", "section `free`: odd sizes do not go together"),
        ("tables: {one: {kind: small, sise: 3}}", "section `tables.one`: unknown key `sise` (did you mean `size`?"),
        ("network: {kind: small}\nnetwork: {kind: huge}", "`network` is given twice"),
        ("names: ['${root}/x']", "`names` refers to ${root}; there is only ${data_root}"),
        ("[1, 2]", "not a configuration"),
        ("a: [", "cannot read"),
    ],
)
def test_what_does_not_fit_is_one_line_with_file_section_and_key(tmp_path, text, message):
    with pytest.raises(InputError) as caught:
        read(tmp_path, ("" if "output" in text or "[1, 2]" == text or text == "steps: 3" else "output: x\n") + text)
    assert message in str(caught.value) and str(tmp_path / "a.yaml") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_base_is_changed_section_by_section(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "root.yaml").write_text(
        "output: x\nsteps: 1\nlimit: 5\nnetwork: {kind: huge, parts: [1], size: 2}\nloss: {rate: 2, decay: 1}\n"
    )
    (tmp_path / "deep" / "middle.yaml").write_text("base: root.yaml\nsteps: 2\nnetwork: {size: 4, parts: []}\n")
    whole = read(tmp_path, "base: deep/middle.yaml\nrate: 3\nlimit: null\nloss: {decay: null}\n")
    assert (whole.output, whole.steps, whole.rate, whole.loss) == ("x", 2, 3.0, {"rate": 2.0, "decay": None})
    assert whole.network == Large("huge", (), 4) and whole.limit == 3  # null at the top: the default again
    assert read(tmp_path, "base: deep/middle.yaml\nnetwork: null\n").network == Small("small")
    assert read(tmp_path, "base: deep/middle.yaml\n", "network=null", "network.kind=small").network == Small("small")


def test_messages_name_the_file_of_a_chain_that_has_the_fault(tmp_path):
    (tmp_path / "b.yaml").write_text("output: x\nlos: {rate: 2}\n")
    with pytest.raises(InputError, match=r"b.yaml: unknown section or key `los` \(did you mean `loss`"):
        read(tmp_path, "base: b.yaml\nsteps: 3\n")
    (tmp_path / "b.yaml").write_text("loss: {rate: 2}\n")
    with pytest.raises(InputError, match="a.yaml: section `loss`: unknown key `rat`"):
        read(tmp_path, "base: b.yaml\noutput: x\nloss: {rat: 3}\n")
    for text, message in (
        ("base: nowhere.yaml", "a.yaml: `base`: cannot read .*nowhere.yaml"),
        ("base: [b.yaml]", "a.yaml: `base` must be the name of a file"),
    ):
        with pytest.raises(InputError, match=message):
            read(tmp_path, text)
    (tmp_path / "b.yaml").write_text("base: a.yaml\n")
    with pytest.raises(InputError, match=r"`base` leads in a circle: .*a.yaml -> .*b.yaml -> .*a.yaml"):
        read(tmp_path, "base: b.yaml\n")


def test_overrides_are_yaml_and_named_in_messages(tmp_path):
    overrides = ["steps=7", "rate=1e-3", "names=[c]", "network.kind=large", "network.parts=[1, 2]", "output=a=b"]
    whole = read(tmp_path, "output: x\n", *overrides)
    assert (whole.steps, whole.rate, whole.names, whole.output) == (7, 1e-3, ("c",), "a=b")
    assert whole.network == Large("large", (1, 2))
    for override, message in (
        ("setps=3", "override setps=3: unknown section or key `setps` (did you mean `steps`?"),
        ("loss.rat=3", "override loss.rat=3: section `loss`: unknown key `rat` (did you mean `rate`?"),
        ("los.rate=3", "override los.rate=3: unknown section or key `los` (did you mean `loss`?"),
        ("steps=many", "override steps=many: `steps` must be an integer, not 'many'"),
    ):
        with pytest.raises(InputError) as caught:
            read(tmp_path, "output: x\n", override)
        assert str(caught.value).startswith(message)
    for override in ("steps", "=3", "loss..rate=3", "steps=[", ".steps=2"):
        with pytest.raises(UsageError, match="override"):
            read(tmp_path, "output: x\n", override)


def test_paths_derive_from_the_data_root(tmp_path):
    def resolved(text, *overrides):
        (tmp_path / "a.yaml").write_text(text)
        return Config.load(tmp_path / "a.yaml", overrides).resolved()

    text = "clips: ${data_root}/clips\nsection: {models: ['${data_root}/m', 3]}\n"
    assert resolved(text) == {"clips": "../shared/clips", "section": {"models": ["../shared/m", 3]}}
    assert resolved(text, "data_root=/data")["clips"] == "/data/clips"
    assert resolved(text + "data_root: here\n")["section"] == {"models": ["here/m", 3]}
    with pytest.raises(InputError, match="override data_root=3: `data_root` must be a text"):
        resolved(text, "data_root=3")
