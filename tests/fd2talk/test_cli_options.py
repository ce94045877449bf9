"""Options reach the stages as they were given, from the command line and from a config file."""

import pytest
from media_files import grey_frames, write_video

from shared.faces.face_alignment_tracker import _detector
from shared.media import read_video
from stage1_motion.interface import SamplingOptions
from stage1_motion.postprocessing import PostProcessing


def test_config_sets_defaults_and_the_command_line_wins(run, refused, sine, tmp_path, photo, audio):
    config = tmp_path / "c.yaml"
    config.write_text("max-size: 100\ncrop: false\nstill: true\n")
    base = ("generate", photo, audio, "-o", tmp_path / "o.mp4", "--overwrite", "--config", config)
    assert run(*base)[0] == 0
    assert next(read_video(tmp_path / "o.mp4")).shape == (100, 100, 3)
    assert run(*base, "--max-size", 120)[0] == 0
    assert next(read_video(tmp_path / "o.mp4")).shape == (120, 120, 3)
    for text, saying in [
        ("sead: 1", "sead"),
        ("seed: many", "--seed"),
        ("steps: 0", "--steps"),
        ("blinks: often", "blinks takes true or false, not 'often'"),
        ("crop: maybe", "crop takes true or false, not 'maybe'"),
        ("crops: true", ", crop, device, ease, "),
        ("no_seed: true", "no option no_seed"),
        ("seed: 2024-01-01", "seed takes one value, as text or a number, not datetime.date(2024, 1, 1)"),
        ("seed: 2024-13-45", "c.yaml: month must be in 1..12"),
        ("style: 2024-01-01 10:00:00", "style takes one value"),
        ("model: no", "model takes text (in quotes), not False"),
        ("guidance: yes", "guidance takes a number, not True"),
        (f"guidance: {'9' * 400}", "none of so many digits"),
        ("seed: !!binary aaaa", "seed takes one value"),
        ("- 1", "option: value"),
        ("a: [", "cannot"),
        ("no_blinks: 3", "takes true or false"),
        ("steps: [1]", "takes one value"),
        ("seed: {a: 1}", "takes one value"),
        ("steps: 4.7", "takes a whole number"),
        ("steps: true", "takes a whole number"),
    ]:
        config.write_text(text)
        refused(*base, folder=tmp_path, saying=saying)


EVERYTHING = {
    "seed": 7,
    "steps": 5,
    "pose-steps": 11,
    "guidance": 2.5,
    "style-scale": 3.0,
    "eta": 0.5,
    "expression-scale": 1.25,
    "pose-scale": 0.75,
    "articulation": 1.5,
    "blink-rate": 20.0,
    "still": True,
    "no-rest": True,
    "no-lip-closure": True,
    "no-blinks": True,
    "no-gaze": True,
    "no-ease": True,
}


@pytest.mark.parametrize("command", ["generate", "motion"])
@pytest.mark.parametrize("given", ["on the command line", "in a config"])
def test_every_motion_option_reaches_stage_one(command, given, run, sine, tmp_path, photo, audio):
    if given == "in a config":
        (tmp_path / "c.yaml").write_text("".join(f"{name}: {value}\n" for name, value in EVERYTHING.items()))
        options = ["--config", tmp_path / "c.yaml"]
    else:
        options = [part for name, value in EVERYTHING.items() for part in (f"--{name}", value) if part is not True]
    inputs = (photo, audio, "--renderer", "geometry") if command == "generate" else (audio,)
    code, _, err = run(command, *inputs, "-o", tmp_path / ("o.mp4" if command == "generate" else "m.npz"), *options)
    assert code == 0, err
    assert sine.last == {
        "seed": 7,
        "options": SamplingOptions(5, 11, 2.5, 3.0, 0.5, 1.25, 0.75, 1.5, 20.0),
        "postprocessing": PostProcessing(False, False, False, False, False),
        "still": True,
    }


def test_without_options_stage_one_decides(run, sine, tmp_path, audio):
    assert run("motion", audio, "-o", tmp_path / "m.npz")[0] == 0
    defaults = {"seed": 0, "options": SamplingOptions(), "postprocessing": PostProcessing(), "still": False}
    assert sine.last == defaults


def test_a_config_may_name_what_is_left_on(run, sine, tmp_path, audio):
    (tmp_path / "c.yaml").write_text("blinks: false\nrest: true\n")
    assert run("motion", audio, "-o", tmp_path / "m.npz", "--config", tmp_path / "c.yaml")[0] == 0
    assert sine.last["postprocessing"] == PostProcessing(blinks=False)


def test_a_config_may_write_truth_and_whole_numbers_as_text_and_leave_out_values(run, sine, tmp_path, audio, photo):
    config = tmp_path / "c.yaml"
    config.write_text("blinks: 'false'\nno_rest: 'no'\nseed: '7.0'\nsteps:\nmodels: []\n")
    assert run("motion", audio, "-o", tmp_path / "m.npz", "--config", config)[0] == 0
    assert sine.last["postprocessing"] == PostProcessing(blinks=False)
    assert sine.last["seed"] == 7 and sine.last["options"] == SamplingOptions()
    config.write_text("crop: 'true'\nmax-size: 64\n")
    assert run("generate", photo, audio, "-o", tmp_path / "o.mp4", "--config", config)[0] == 0
    assert next(read_video(tmp_path / "o.mp4")).shape == (64, 64, 3)


def test_options_that_make_no_sense(tmp_path, sine, refused, photo, audio, motion_file):
    base = ("generate", photo, audio, "-o", tmp_path / "o.mp4")
    for extra, saying in [
        (("--seed", "-1"), "--seed"),
        (("--steps", "0"), "--steps"),
        (("--pose-steps", "1001"), "--pose-steps"),
        (("--guidance", "-1"), "--guidance"),
        (("--eta", "1.5"), "--eta"),
        (("--eta", "nan"), "--eta"),
        (("--pose-scale", "nan"), "--pose-scale"),
        (("--expression-scale", "-2"), "--expression-scale"),
        (("--face-box", "1,2,3"), "LEFT,TOP,RIGHT,BOTTOM"),
        (("--face-box", "50,50,50,50"), "face box"),
        (("--device", "toaster"), "toaster"),
        (("--max-size", "9"), "--max-size"),
        (("--still", "--pose-from", motion_file), "exclude"),
        (("--config", tmp_path / "none.yaml"), "none.yaml"),
        (("--renderer", "toaster"), "--renderer"),
        (("--renderer", "geometry", "--render-steps", 2), "--render-steps is for"),
        (("--unknown",), "--unknown"),
    ]:
        refused(*base, *extra, folder=tmp_path, saying=saying)
    refused("generate", photo, folder=tmp_path, saying="AUDIO")
    refused("generate", photo, audio, folder=tmp_path, saying="-o")
    refused("motion", audio, "-o", tmp_path / "m.npz", "--face-index", 1, folder=tmp_path, saying="--photo")


def test_the_second_face_tracker_says_what_it_needs(run, refused, tmp_path, photo, audio, monkeypatch):
    monkeypatch.setattr("shared.faces.face_alignment_tracker.is_installed", lambda: False)
    _detector.cache_clear()
    base = ("track", photo, "-o", tmp_path / "o.npz", "--face-tracker")
    refused(*base, "face-alignment", folder=tmp_path, saying="fd2talk[faces]")
    refused(*base, "dlib", folder=tmp_path, saying="--face-tracker")
    video = write_video(tmp_path / "v.mp4", grey_frames(3))
    refused("track", video, *base[2:], "face-alignment", folder=tmp_path, saying="for photos")
    command = ("evaluate", tmp_path, "--reference", tmp_path, "-o", tmp_path / "r", "--detector", "s3fd")
    refused(*command, folder=tmp_path, saying="fd2talk[faces]")
    assert run(*base, "mediapipe")[0] == 0


def test_two_choices_of_a_face_and_a_missing_folder_of_models_are_refused(refused, tmp_path, photo, audio, motion_file):
    out = ("-o", tmp_path / "o.npz")
    commands = [
        ("generate", photo, audio, "-o", tmp_path / "o.mp4"),
        ("render", photo, motion_file, "-o", tmp_path / "o.mp4"),
        ("export", motion_file, "--photo", photo, "-o", tmp_path / "o.glb"),
        ("motion", audio, "--photo", photo, *out),
        ("track", photo, *out),
    ]
    for command in commands:
        both = ("--face-index", 0, "--face-box", "50,40,190,220")
        refused(*command, *both, folder=tmp_path, saying="--face-index and --face-box exclude each other")
    others = [("faces", photo), ("doctor",), ("prepare", tmp_path, tmp_path / "o"), ("evaluate", "-o", tmp_path / "r")]
    for command in commands + others:
        refused(*command, "--models", tmp_path / "none", folder=tmp_path, saying="none: there is no such folder")


def test_a_face_box_outside_the_picture(refused, tmp_path, photo):
    clip = write_video(tmp_path / "clip.mp4", grey_frames(3))
    for source in (photo, clip):
        for box in ("5000,10,5100,120", "10,-90,100,0"):
            track = ("track", source, "-o", tmp_path / "m.npz", "--face-box", box)
            assert source.name in refused(*track, folder=tmp_path, saying=f"{box} lies outside the picture of ")
