"""Whatever other nodes hand over, the answer is a sentence of ours."""

import numpy as np
import pytest
import torch

from fd2talk.provenance.marks import read_marks
from shared.errors import FaceNotFoundError, InputError, UsageError
from shared.motion import Motion


@pytest.fixture
def checks(part):
    return part("checks")


@pytest.mark.parametrize(
    ("images", "saying"),
    [
        (None, "image: nothing came from the node that is connected"),
        ({}, "image: a dict came"),
        (torch.zeros(256, 256, 3), r"not \[256 x 256 x 3\]"),
        (torch.zeros(1, 8, 8, 2), r"not \[1 x 8 x 8 x 2\]"),
        (torch.zeros(1, 8, 8, 3, dtype=torch.uint8), "of uint8"),
        (torch.zeros(1, 0, 8, 3), r"without pixels \(\[1 x 0 x 8 x 3\]"),
        (torch.zeros(0, 8, 8, 3), "no picture"),
        (torch.full((1, 8, 8, 3), torch.nan), "not finite"),
        (torch.zeros(2, 8, 8, 3), "not a batch of 2 pictures"),
    ],
)
def test_pictures(nodes, host, images, saying):
    with pytest.raises(InputError, match=saying):
        nodes.NODE_CLASS_MAPPINGS["Fd2talkPhoto"]().fit(images)


def recording(waveform=None, sample_rate=16000):
    return {"waveform": torch.zeros(1, 1, 1600) if waveform is None else waveform, "sample_rate": sample_rate}


@pytest.mark.parametrize(
    ("audio", "saying"),
    [
        (None, "audio: nothing came"),
        ({}, "this has none"),
        ({"waveform": torch.zeros(1, 1, 9)}, "sample_rate is None"),
        (recording(np.zeros((1, 1, 9))), "this has none"),
        (recording(torch.zeros(1, 1600)), r"this has \[1 x 1600\]"),
        (recording(torch.zeros(2, 1, 1600)), "not a batch of 2"),
        (recording(torch.zeros(1, 1, 0)), "no samples"),
        (recording(torch.zeros(1, 0, 9)), "no samples"),
        (recording(torch.full((1, 1, 9), torch.nan)), "not finite"),
        (recording(torch.full((1, 1, 9), -torch.inf)), "not finite"),
        *((recording(sample_rate=rate), "no rate of sound") for rate in (0, -16000, 1, 999, 1e9, "fast", float("nan"))),
    ],
)
def test_sound(nodes, host, audio, saying):
    node = nodes.NODE_CLASS_MAPPINGS["Fd2talkSpeechToMotion"]()
    with pytest.raises(InputError, match=saying):
        node.generate(audio)
    if audio is not None:  # a video may have none
        save = nodes.NODE_CLASS_MAPPINGS["Fd2talkSaveVideo"]().save
        with pytest.raises(InputError, match=saying):
            save(torch.zeros(2, 8, 8, 3), 25.0, "a", audio=audio)
        assert not list((host.folder / "output").rglob("*.mp4"))


@pytest.mark.parametrize(
    ("images", "fps", "saying"),
    [
        (None, 25.0, "images: nothing came"),
        (torch.zeros(0, 8, 8, 3), 25.0, "no picture"),
        (torch.zeros(3, 0, 0, 3), 25.0, "no picture"),
        (torch.cat([torch.zeros(2, 8, 8, 3), torch.full((1, 8, 8, 3), torch.nan)]), 25.0, "not finite"),
        (torch.zeros(2, 8, 8, 3), 0.0, "fps: 0 frames a second"),
        (torch.zeros(2, 8, 8, 3), float("nan"), "fps: nan frames a second"),
    ],
)
def test_frames_of_a_video(nodes, host, images, fps, saying):
    with pytest.raises(InputError, match=saying):
        nodes.NODE_CLASS_MAPPINGS["Fd2talkSaveVideo"]().save(images, fps, "a")
    assert not list((host.folder / "output").rglob("*"))


@pytest.mark.parametrize("channels", [1, 2, 6, 7, 8])
@pytest.mark.parametrize("rate", [1000, 12345, 384_000])
def test_sound_that_is_taken(nodes, host, channels, rate):
    sound = recording(torch.zeros(1, channels, rate // 10), rate)
    (path,) = nodes.NODE_CLASS_MAPPINGS["Fd2talkSaveVideo"]().save(torch.zeros(3, 16, 16, 3), 25.0, "a", audio=sound)[
        "result"
    ]
    assert read_marks(path).tag


@pytest.mark.parametrize(("node", "function"), [("Render", "render"), ("Export", "export"), ("Edit", "edit")])
def test_motions(nodes, host, node, function):
    given = {"Render": {"photo": None}, "Export": {"format": "glb", "filename_prefix": "a"}, "Edit": {}}[node]
    with pytest.raises(InputError, match="(photo|motion): nothing came"):
        getattr(nodes.NODE_CLASS_MAPPINGS[f"Fd2talk{node}"](), function)(motion=None, **given)


def test_messages_name_widgets(nodes, host, checks):
    with (
        pytest.raises(FaceNotFoundError, match=r"\(a frontal face works best; face_box LEFT"),
        checks.in_terms_of_widgets(),
    ):
        raise FaceNotFoundError
    with pytest.raises(UsageError, match="^steps and no_blinks, not --c2pa-key$"), checks.in_terms_of_widgets():
        raise UsageError("--steps and --no-blinks, not --c2pa-key")
    with pytest.raises(UsageError, match="max_size") as caught:
        nodes.NODE_CLASS_MAPPINGS["Fd2talkRender"]().render(
            photo=object.__new__(_photo()), motion=_motion(), max_size=1
        )
    assert "--" not in str(caught.value)


def _photo():
    from shared.photo_fit import PhotoFit

    return PhotoFit


def _motion() -> Motion:
    from material import short_speech, sine_motion

    return sine_motion(short_speech())
