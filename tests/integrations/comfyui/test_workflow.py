"""The example workflow, and ComfyUI's rules for nodes."""

import copy
import json
import logging
import sys
from pathlib import Path

import comfyui
import numpy as np
import pytest
import torch

from shared.errors import Fd2TalkError
from shared.media import read_audio, read_video, video_info

FOLDER = Path(__file__).parents[3] / "integrations" / "comfyui"
EXAMPLE = json.loads((FOLDER / "example_workflows" / "talking_portrait.json").read_text(encoding="utf-8"))


def changed(number, **inputs):
    workflow = copy.deepcopy(EXAMPLE)
    for name, value in inputs.items():
        workflow[number]["inputs"][name] = value
    return workflow


def test_classes(all_nodes, nodes):
    for node in nodes.NODE_CLASS_MAPPINGS.values():
        comfyui.check_class(node)
        assert node.DESCRIPTION and node.CATEGORY == "fd2talk"
    assert set(nodes.NODE_DISPLAY_NAME_MAPPINGS) == set(nodes.NODE_CLASS_MAPPINGS)
    assert {step["class_type"] for step in EXAMPLE.values()} <= set(all_nodes)


def test_without_the_package_one_line_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "fd2talk", None)
    with pytest.raises(ImportError, match="need the package fd2talk"):
        comfyui.load(FOLDER)


def test_the_example_is_complete_and_has_the_widgets_defaults(all_nodes):
    assert comfyui.errors(EXAMPLE, all_nodes) == []
    chosen = {"model", "seed", "name", "keep", "max_size", "format", "filename_prefix", "image", "audio"}
    for number, step in EXAMPLE.items():
        inputs = all_nodes[step["class_type"]].INPUT_TYPES()["required"]
        for name, value in step["inputs"].items():
            if name not in chosen and not isinstance(value, list) and name in inputs:
                kind, settings = inputs[name]
                assert value == settings["default"], (number, name)


def test_what_comfyui_refuses(all_nodes):
    def refused(number, **inputs):
        return comfyui.errors(changed(number, **inputs), all_nodes)

    assert refused("5", seed=-1) == ["5: seed: -1 is smaller than 0"]
    assert "is not in" in refused("5", model="other")[0]
    assert refused("5", audio=["3", 0]) == ["5: audio: FD2TALK_PHOTO is not AUDIO"]
    assert refused("7", max_size=63) == ["7: max_size: 63 is smaller than 64"]
    assert "'sad' is not in" in refused("4", name="sad")[0]


def test_photo_to_motion_to_edit_to_frames_and_files(executor, host):
    workflow = changed("7", max_size=128, renderer="repair")
    results = executor.run(workflow)
    motion, edited = results["5"][0], results["6"][0]
    assert len(motion) == len(edited) == 40 and "style lively" in motion.source
    np.testing.assert_array_equal(edited.expression[:25], motion.expression[:25])  # 0:1 stays
    assert np.abs(edited.expression[27:] - motion.expression[27:]).max() > 0.1

    images, audio, fps = results["7"]
    assert tuple(images.shape) == (40, 128, 128, 3) and fps == 25.0
    assert 0 <= images.min() and images.max() <= 1 and images.std() > 0.05
    assert tuple(audio["waveform"].shape) == (1, 1, 25600) and audio["sample_rate"] == 16000
    assert np.abs(np.diff(images.numpy(), axis=0)).max() > 0.05, "nothing moves"

    video, mesh, curves = (Path(results[number][0]) for number in ("8", "9", "10"))
    assert video.parent == mesh.parent == curves.parent == host.folder / "output" / "fd2talk"
    info = video_info(video)
    assert (info.width, info.height, info.frames, info.has_audio) == (128, 128, 40, True)
    shown = np.stack([*read_video(video)])
    assert np.abs(shown / 255 - images.numpy()).mean() < 0.02
    assert abs(len(read_audio(video)) - 25600) < 50
    assert mesh.read_bytes()[:4] == b"glTF"
    assert curves.read_text().splitlines()[0].startswith("Timecode,BlendShapeCount,EyeBlinkLeft")
    assert len(curves.read_text().splitlines()) == 41
    assert executor.ui["8"]["images"] == [{"filename": video.name, "subfolder": "fd2talk", "type": "output"}]
    assert "52 ARKit morph targets" in executor.ui["9"]["text"][0]

    # Bars of the motion, the edit and the frames, each of which reached its end.
    assert len(host.bars) == 3 and all(steps[-1][0] == steps[-1][1] for _, steps in host.bars)

    # The same again runs nothing; another seed everything behind it, with the models that are there.
    executor.run(workflow)
    assert executor.ran == []
    workflow["6"]["inputs"]["seed"] = 9
    again = executor.run(workflow)
    assert set(executor.ran) == {"6", "7", "8", "9", "10"}
    assert Path(again["8"][0]) != video and video.exists()


def test_models_are_loaded_once(part):
    from fd2talk.options import MotionModelOptions, RendererOptions

    engine = part("engine")
    engine._motion.cache_clear()
    wanted, renderer = MotionModelOptions("diface", None), RendererOptions("geometry", "auto", None)
    with torch.inference_mode():  # as ComfyUI runs nodes
        pipeline = engine.motion_pipeline(wanted)
    assert engine.motion_pipeline(wanted) is pipeline
    assert engine.render_pipeline(renderer) is engine.render_pipeline(renderer)
    networks = [one for of in (pipeline.model, pipeline.frontend.encoder) for one in vars(of).values()]
    weights = [weight for one in networks if isinstance(one, torch.nn.Module) for weight in one.parameters()]
    assert weights and not any(weight.is_inference() for weight in weights)


def test_stop(executor, host):
    host.stop_after = 3
    with pytest.raises(comfyui.Interrupted):
        executor.run(changed("7", max_size=64))
    assert not [path for path in (host.folder / "output").rglob("*") if path.is_file()]


@pytest.fixture(scope="module")
def kept():
    """Results of the steps before the one that fails."""
    return {}


@pytest.mark.parametrize(
    "number, inputs, saying",
    [
        ("3", {"face_index": 7}, "face"),
        ("3", {"face_box": "1,2"}, "LEFT,TOP,RIGHT,BOTTOM"),
        ("5", {"steps": 0}, "for 'steps'"),
        ("5", {"model": "fd2talk"}, "takes no style"),
        ("5", {"device": "toaster"}, "toaster"),
        ("6", {"keep": "1-2"}, "is not FROM:TO"),
        ("6", {"part": "nose"}, "nose"),
        ("6", {"keep": ":"}, "everything is kept"),
        ("6", {"cut": "9:10"}, "9"),
        ("7", {"render_steps": 3}, "^render_steps is for renderer diffusion"),
        ("9", {"curves": "visemes"}, "^curves is for .csv"),
        ("10", {"photo": ["3", 0]}, "^photo is for .glb"),
        ("9", {"filename_prefix": "../../x"}, "outside"),
    ],
)
def test_errors_are_the_engines_own_line(all_nodes, kept, host, number, inputs, saying):
    workflow = changed("7", max_size=64)
    for name, value in inputs.items():
        workflow[number]["inputs"][name] = value
    last = number if number in ("9", "10") else None
    for other in ("8", "9", "10"):  # only what is asked about, which is fast
        if last is not None and other != last or last is None and other != "8":
            del workflow[other]
    with pytest.raises(Exception, match=saying) as caught:
        comfyui.Executor(all_nodes, kept).run(workflow)
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, Fd2TalkError) or number == "9"
    assert not [path for path in (host.folder / "output").rglob("*") if path.is_file()]


def test_notes_are_lines_of_the_log(part, host, caplog):
    import warnings

    with caplog.at_level(logging.WARNING, "fd2talk"), part("host").noted():
        warnings.warn_explicit("a  note", UserWarning, sys.modules["shared.media"].__file__, 1, "shared.media")
    assert [record.getMessage() for record in caplog.records] == ["fd2talk: note: a note"]


def test_the_registry_s_file_has_the_version_of_the_package():
    import fd2talk

    text = (FOLDER / "pyproject.toml").read_text(encoding="utf-8")
    assert f'version = "{fd2talk.__version__}"' in text and "[tool.comfy]" in text
