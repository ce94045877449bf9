import numpy as np
import pytest
import torch
from material import short_speech, sine_motion

from shared.errors import InputError


def audio(samples):
    return {"waveform": torch.from_numpy(samples)[None, None], "sample_rate": 16000}


@pytest.fixture
def edit(part, host):
    def edit(motion, **values):
        values = {"model": "diface", "keep": "", "every": -1, "part": "", "cut": "", **values}
        with torch.inference_mode():
            return part("speech").Edit().edit(motion, **values)[0]

    return edit


def test_parts_cuts_and_inserted_sound(edit):
    speech = np.tile(short_speech(), 3)  # 1.2 s
    motion = sine_motion(speech)
    lips = edit(motion, part="lips, eyes")
    np.testing.assert_array_equal(lips.rotation, motion.rotation)  # the head is none of them
    assert np.abs(lips.expression - motion.expression).max() > 0.1

    shorter = edit(motion, cut="0.4:0.8")
    assert len(shorter) == len(motion) - 10 and len(shorter.audio) == len(speech) - 6400
    np.testing.assert_array_equal(shorter.expression[:5], motion.expression[:5])

    longer = edit(motion, insert=audio(short_speech()), insert_at=0.4)
    assert len(longer) == len(motion) + 10
    np.testing.assert_array_equal(longer.audio[6400:12800], short_speech())


def test_other_speech_and_a_kept_head(edit):
    motion = sine_motion(np.tile(short_speech(), 2))
    new = np.tile(short_speech(), 4)
    longer = edit(motion, audio=audio(new), keep="0:0.4", still=True)
    assert len(longer) == 40
    np.testing.assert_array_equal(longer.expression[:10], motion.expression[:10])


def test_no_sound(edit):
    motion = sine_motion(short_speech())
    motion.audio = None
    with pytest.raises(InputError, match="no sound"):
        edit(motion)
    assert len(edit(motion, unconditional=True)) == len(motion)


def test_the_style_of_a_motion(part, host):
    read = part("speech").StyleOf().read
    motion = sine_motion(np.tile(short_speech(), 4))
    (named,), (found,) = read("calm"), read("calm", motion=motion)
    assert named.name == "calm" and np.abs(named.vector - found.vector).max() > 0.01
    with pytest.raises(InputError, match="too few"):
        read("calm", motion=motion.slice(0, 10))


def test_which_face(part, host):
    from material import portrait

    group = np.concatenate([np.asarray(portrait(240, name)) for name in ("portrait_woman", "portrait_man")], 1)
    image = torch.from_numpy(group.astype(np.float32) / 255)[None]
    fit = part("speech").Photo().fit
    centres = [fit(image, face_index=index)[0].landmarks[:, 0].mean() for index in (0, 1)]
    assert centres[0] < 240 < centres[1]
