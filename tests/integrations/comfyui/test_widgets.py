"""Widgets are the options of the command line."""

import click
import pytest

from fd2talk import cli_options as common
from fd2talk.cli import cli
from shared.errors import UsageError


@pytest.fixture
def inputs(nodes, host):
    return {
        name: {**node.INPUT_TYPES()["required"], **node.INPUT_TYPES().get("optional", {})}
        for name, node in nodes.NODE_CLASS_MAPPINGS.items()
    }


def test_ranges_defaults_and_help_are_those_of_the_command_line(inputs):
    options = {one.name: one for one in cli.commands["generate"].params if isinstance(one, click.Option)}
    motion, render = inputs["Fd2talkSpeechToMotion"], inputs["Fd2talkRender"]
    assert motion["model"][0] == ["fd2talk", "diffposetalk", "diface", "facepolicy"]
    assert motion["expression_scale"][1]["max"] == options["expression_scale"].type.max == 10
    assert motion["expression_scale"][1]["default"] == 1.0
    assert render["max_size"] == (
        "INT", {"default": 1280, "min": 64, "max": 4096, "step": 1, "tooltip": options["max_size"].help}
    )  # fmt: skip
    assert set(render["renderer"][0]) == {"geometry", "repair", "diffusion"}
    assert render["renderer"][1]["default"] == "repair"
    assert motion["steps"][1]["default"] == -1 and "-1: not given" in motion["steps"][1]["tooltip"]
    assert motion["seed"][1]["control_after_generate"] and motion["seed"][1]["max"] == 2**53 - 1
    # All options of generated motion are there, but for those that are inputs or that files would be named in.
    wanted = {
        name for name in options if name not in ("output", "weights", "style", "pose_from", "overwrite", "config")
    }
    offered = {*motion, *render, *inputs["Fd2talkPhoto"]}
    assert wanted - offered <= {"models", "c2pa_certificate", "c2pa_key", "c2pa_timestamp"}


def test_values_go_through_the_parser(part):
    widgets = part("widgets").Widgets(common.motion)
    read = widgets.read
    plain = read({})["motion_options"]
    assert read({"steps": -1, "solver": "", "seed": 0, "ease": True, "still": False})["motion_options"] == plain
    chosen = read({"steps": 3, "seed": 5, "still": True, "ease": False, "no_blinks": True, "guidance": 0.0})[
        "motion_options"
    ]
    assert (chosen.seed, chosen.still, chosen.options.steps, chosen.options.guidance) == (5, True, 3, 0.0)
    assert not chosen.postprocessing.ease and not chosen.postprocessing.blinks and chosen.postprocessing.gaze
    for values, saying in [({"steps": 0}, "--steps"), ({"guidance": -0.5}, "--guidance"), ({"seed": -3}, "--seed")]:
        with pytest.raises(UsageError, match=saying):
            read(values)


def test_only_some_of_them(part):
    widgets = part("widgets").Widgets(common.motion, only=("seed", "steps"), basic=("seed",))
    assert set(widgets.inputs()) == {"seed", "steps"}
    assert widgets.inputs()["steps"][1]["advanced"] and "advanced" not in widgets.inputs()["seed"][1]
    assert widgets.read({"seed": 4, "still": True})["motion_options"].still is False
