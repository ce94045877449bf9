import numpy as np
import pytest
from material import portrait
from media_files import write_video

from fd2talk.commands.inputs import driving_photo, fit_photo, load_motion
from fd2talk.options import FaceChoice
from shared.errors import InputError
from shared.face_model import load_bundled
from shared.media import read_image


def test_errors_name_the_photo_and_boxes_are_in_pixels_of_the_file(photo):
    image = read_image(photo)
    with pytest.raises(InputError, match=f"{photo}: "):
        fit_photo(load_bundled(), str(photo), image, FaceChoice(index=3))
    reduced = image[::2, ::2]  # as `read_image` reduces very large photos
    fitted = fit_photo(load_bundled(), str(photo), reduced, FaceChoice(box=(50.0, 40.0, 190.0, 220.0)))
    assert 40 < fitted.crop.center_x < 80


@pytest.mark.situation(
    "Drivers",
    "a video or photo in the place of a motion file",
    "it is tracked, with a note",
)
def test_videos_and_photos_in_the_place_of_a_motion_are_tracked(photo, motion_file, audio, tmp_path):
    model = load_bundled()
    assert len(load_motion(str(motion_file), model)) == 10
    clip = write_video(tmp_path / "clip.mp4", [np.asarray(portrait(200).rotate(i)) for i in range(3)])
    with pytest.warns(UserWarning, match="clip.mp4 is a video, no motion file"):
        assert len(load_motion(str(clip), model)) == 3
    with pytest.warns(UserWarning, match="photo.png is a photo, no motion file"):
        motion = load_motion(str(photo), model)
    np.testing.assert_allclose(
        motion.rotation[0], fit_photo(model, str(photo), read_image(photo), FaceChoice()).rotation
    )
    (tmp_path / "text.npz").write_text("no archive")
    with pytest.raises(InputError, match="text.npz: not a motion file .it is no .npz archive"):
        load_motion(str(tmp_path / "text.npz"), model)
    (tmp_path / "curves.txt").write_text("Timecode;BlendshapeCount;EyeBlinkLeft;JawOpen")
    with pytest.raises(InputError, match="curves.txt is a table of curves, no motion file.*`fd2talk import`"):
        load_motion(str(tmp_path / "curves.txt"), model)
    with pytest.raises(InputError, match="not a motion file.*no video"):
        load_motion(str(audio), model)


def test_an_upside_down_photo_drives_as_the_right_way_up(tmp_path):
    """A head that leans to one side leans to the same side, not the other, and not upside down."""
    upright = portrait(300, "portrait_man").rotate(12, fillcolor="grey")
    upright.save(tmp_path / "upright.png")
    upright.rotate(180).save(tmp_path / "down.png")
    model = load_bundled()
    expected = driving_photo(str(tmp_path / "upright.png"), model, FaceChoice())
    with pytest.warns(UserWarning, match="upside down"):
        got = driving_photo(str(tmp_path / "down.png"), model, FaceChoice())
    assert abs(expected.rotation[0, 2]) > 0.1
    np.testing.assert_allclose(got.rotation, expected.rotation, atol=0.03)
    np.testing.assert_allclose(got.translation, expected.translation, atol=0.03)
