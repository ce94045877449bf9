"""A request over HTTP takes what the command line takes, and no paths."""

import click
import pytest

from fd2talk.request import OPTIONS
from fd2talk.service.errors import Refused
from fd2talk.service.options import VideoRequest, checked, form_schema, from_form

UPLOAD = "upload_" + "0" * 32
FILES = {"photo": UPLOAD, "audio": UPLOAD}
SCHEMA = VideoRequest.model_json_schema()


def kind_of(name):
    """The schema of an option, without what says that it may be left out."""
    field = SCHEMA["properties"][name]
    return next((one for one in field.get("anyOf", [field]) if one.get("type") != "null"), field)


def test_every_option_of_the_command_line_is_offered_but_folders_and_the_slow_renderer():
    names = {option.name for option in OPTIONS}
    assert set(SCHEMA["properties"]) - {"photo", "audio"} == names - {"person", "render_steps"}
    assert kind_of("renderer")["enum"] == ["geometry", "repair"]
    assert SCHEMA["required"] == ["photo", "audio"] and SCHEMA["additionalProperties"] is False
    assert set(form_schema()["properties"]) == set(SCHEMA["properties"])


@pytest.mark.parametrize("option", [one for one in OPTIONS if one.name not in ("person", "render_steps")])
def test_ranges_choices_and_help_are_the_command_line_s(option):
    kind, field = kind_of(option.name), SCHEMA["properties"][option.name]
    if option.name not in ("style", "pose_from"):
        assert field["description"] == option.help
    if option.is_flag:
        assert kind["type"] == "boolean" and field["default"] == (option.default is True)
    elif isinstance(option.type, click.Choice) and option.name != "renderer":
        assert kind["enum"] == list(option.type.choices)
    elif isinstance(option.type, (click.IntRange, click.FloatRange)):
        assert kind["type"] == ("integer" if isinstance(option.type, click.IntRange) else "number")
        assert (kind.get("minimum"), kind.get("maximum")) == (option.type.min, option.type.max)


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"seed": 3, "still": True, "max_size": 256, "pose_scale": 0.5, "guidance": 2},
        {"model": "diffposetalk", "style": "wide-mouth"},
        {"style": UPLOAD, "pose_from": UPLOAD},
        {"face_box": "1,2,30.5,40"},
        {"solver": "dpm-solver++"},
    ],
)
def test_what_fits_is_passed_on_as_it_is(values):
    assert checked(FILES | values) == FILES | values


def test_a_whole_number_may_be_written_as_json_allows():
    assert checked(FILES | {"max_size": 128.0})["max_size"] == 128
    with pytest.raises(Refused, match="max_size: "):
        checked(FILES | {"max_size": 128.5})


def test_a_hyphen_is_as_good():
    assert checked(FILES | {"max-size": 128})["max_size"] == 128


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"sed": 1}, "sed: there is no such option"),
        ({"seed": "3"}, "seed: "),
        ({"crop": 1}, "crop: give true or false"),
        ({"crop": True, "full": False}, "crop: full is given, too"),
        ({"solver": "nonsense"}, "solver: give ddim, renoise, dpm-solver"),
        ({"face_box": "1,2"}, "face_box: give left, top, right and bottom"),
        ({"seed": True}, "seed: "),
        ({"seed": -1}, "greater than or equal to 0"),
        ({"seed": 1.5}, "seed: "),
        ({"pose_scale": 11}, "less than or equal to 10"),
        ({"pose_scale": float("nan")}, "pose_scale"),
        ({"still": 1}, "still: "),
        ({"model": "none"}, "model: "),
        ({"renderer": "diffusion"}, "renderer: "),
        ({"render_steps": 3}, "there is no such option"),
        ({"person": "folder"}, "there is no such option"),
        ({"weights": "folder"}, "there is no such option"),
        ({"style": "../secret.npz"}, "style: give the name of a style"),
        ({"style": "/etc/passwd"}, "style: "),
        ({"pose_from": "m.npz"}, "pose_from: "),
        ({"photo": "photo.jpg"}, "photo: send a file .-F photo=@photo.jpg. or the id of an upload"),
        ({"photo": None}, "photo: "),
    ],
)
def test_what_does_not_fit_is_refused_in_one_sentence(values, sentence):
    with pytest.raises(Refused, match=sentence) as raised:
        checked(FILES | values)
    assert raised.value.status == 422 and "\n" not in raised.value.message
    assert "pattern" not in raised.value.message


@pytest.mark.parametrize("name", SCHEMA["properties"])
@pytest.mark.parametrize("value", ["$ nonsense", "x" * 200, None, {}])
def test_no_sentence_is_a_regular_expression(name, value):
    try:
        checked(FILES | {name: value})
    except Refused as refused:
        assert refused.message.startswith(f"{name}: ") and "pattern" not in refused.message and "^" not in str(refused)


def test_switches_have_the_opposites_of_the_command_line():
    assert checked(FILES | {"crop": True, "no-ease": True}) == FILES | {"full": False, "ease": False}
    assert checked(FILES | from_form({"crop": "false", "rest": "true"})) == FILES | {"full": True, "no_rest": False}
    for option in OPTIONS:
        for name in option.secondary_opts:
            assert checked(FILES | {name.lstrip("-"): True})[option.name] is False


def test_what_is_missing_is_named():
    with pytest.raises(Refused, match="audio: it is missing: send a file"):
        checked({"photo": UPLOAD})
    with pytest.raises(Refused, match="photo: it is given twice"):
        checked(FILES, {"photo": 1})
    assert checked({"seed": 1}, {"photo": 1, "audio": 1}) == {"seed": 1}


def test_a_form_is_text_that_means_what_json_means():
    given = {"seed": "7", "still": "true", "ease": "false", "pose-scale": "0.5", "model": "diface", "guidance": "3"}
    assert from_form(given) == {
        "seed": 7, "still": True, "ease": False, "pose_scale": 0.5, "model": "diface", "guidance": 3.0
    }  # fmt: skip


@pytest.mark.parametrize(
    "given",
    [{"seed": "x"}, {"seed": "1.0"}, {"seed": ""}, {"still": "1"}, {"pose_scale": "nan"}, {"guidance": "1e999"}],
)
def test_text_of_another_kind_is_refused(given):
    with pytest.raises(Refused):
        checked(from_form(FILES | given))


def test_a_name_that_is_written_in_two_ways_is_one_name():
    with pytest.raises(Refused, match="max_size: it is given twice"):
        from_form({"max_size": "64", "max-size": "64"})
