"""Options by name mean what they mean on the command line."""

import click
import pytest

from fd2talk import request
from fd2talk.request import OPTIONS, request_from
from shared.errors import UsageError


def on_the_command_line(*arguments):
    @click.command()
    @click.argument("photo")
    @click.argument("audio")
    @request.options
    def command(photo, audio, **values):
        return request.Request(photo, audio, **values)

    return command.main(["p.png", "a.wav", *arguments], standalone_mode=False)


@pytest.mark.parametrize(
    ("values", "arguments"),
    [
        ({}, []),
        ({"seed": "3", "still": "true", "max-size": "256"}, ["--seed", "3", "--still", "--max-size", "256"]),
        ({"seed": 3, "still": True, "max_size": 256}, ["--seed", "3", "--still", "--max-size", "256"]),
        ({"crop": True, "no-ease": True, "no_rest": "yes"}, ["--crop", "--no-ease", "--no-rest"]),
        ({"full": "false", "pose_scale": "0.5"}, ["--crop", "--pose-scale", "0.5"]),
        ({"model": "diffposetalk", "style": "calm"}, ["--model", "diffposetalk", "--style", "calm"]),
        ({"face_box": "1,2,30,40"}, ["--face-box", "1,2,30,40"]),
        ({"renderer": "diffusion", "render-steps": "4"}, ["--renderer", "diffusion", "--render-steps", "4"]),
        ({"pose-from": "m.npz"}, ["--pose-from", "m.npz"]),
        ({"crop": "true", "no_ease": "0", "seed": "7.0", "style": None}, ["--crop", "--ease", "--seed", "7"]),
    ],
)
def test_values_by_name_are_the_options_of_the_command_line(values, arguments):
    assert request_from("p.png", "a.wav", values) == on_the_command_line(*arguments)


def test_values_reach_their_places():
    made = request_from("p.png", "a.wav", {"seed": "7", "guidance": "2.5", "no-blinks": True, "face-index": 1})
    assert (made.photo, made.audio, made.motion_options.seed) == ("p.png", "a.wav", 7)
    assert made.motion_options.options.guidance == 2.5 and not made.motion_options.postprocessing.blinks
    assert made.face.index == 1 and made.framing.full


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"sed": 1}, "there is no option sed"),
        ({"output": "x.mp4"}, "there is no option output"),
        ({"weights": "folder"}, "there is no option weights"),
        ({"models": "folder"}, "there is no option models"),
        ({"seed": "many"}, "^seed: 'many' is no whole number from 0 on$"),
        ({"seed": -1}, "^seed: -1 is no whole number from 0 on$"),
        ({"seed": "7.5"}, "seed: '7.5' is no whole number"),
        ({"max-size": "9"}, "^max-size: 9 is no whole number from 64 to 4096$"),
        ({"pose_scale": "big"}, "^pose-scale: 'big' is no number from 0 to 10$"),
        ({"crop": "maybe"}, "^crop takes true or false, not 'maybe'$"),
        ({"style": True}, "style takes text"),
        ({"seed": 1.5}, "takes a whole number"),
        ({"still": "perhaps"}, "^still: 'perhaps' is neither true nor false$"),
        ({"still": 2}, "takes true or false"),
        ({"model": "none"}, "^model: 'none' is not one of"),
        ({"pose_scale": "nan"}, "^pose-scale: 'nan' is no number"),
        ({"seed": [1]}, "takes one value"),
        ({"face_box": "1,2"}, "is not LEFT,TOP,RIGHT,BOTTOM"),
        ({"render-steps": 3}, "--render-steps is for --renderer diffusion"),
        ({"face-index": 0, "face-box": "1,2,3,4"}, "exclude each other"),
        ({"still": True, "pose-from": "m.npz"}, "--still and --pose-from exclude each other"),
    ],
)
def test_what_the_command_line_refuses_is_refused(values, sentence):
    with pytest.raises(UsageError, match=sentence) as raised:
        request_from("p.png", "a.wav", values)
    assert "\n" not in str(raised.value)


def test_options_are_listed_once_and_without_files_of_the_server():
    names = [option.name for option in OPTIONS]
    assert len(names) == len(set(names)) > 20
    assert {"seed", "style", "max_size", "face_index"} <= set(names)
    assert not {"output", "overwrite", "weights", "models", "config", "device"} & set(names)
