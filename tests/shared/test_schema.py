"""Sections become typed, and whatever does not fit is one line."""

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import pytest

from shared.config import Config
from shared.errors import InputError
from shared.schema import Arguments, build


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


def read(tmp_path, text):
    path = tmp_path / "a.yaml"
    path.write_text(text)
    config = Config.load(path)
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
    ],
)
def test_what_does_not_fit_is_one_line_with_file_section_and_key(tmp_path, text, message):
    with pytest.raises(InputError) as caught:
        read(tmp_path, ("" if "output" in text or text == "steps: 3" else "output: x\n") + text)
    assert message in str(caught.value) and str(tmp_path / "a.yaml") in str(caught.value)
    assert "\n" not in str(caught.value)
