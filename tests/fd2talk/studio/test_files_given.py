"""Files that visitors give reach the studio as paths, unread."""

from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("gradio", reason="needs fd2talk[studio]")

from fd2talk.studio import files_given
from fd2talk.studio.files_given import AnyFile, ImageFile, SoundFile


@pytest.mark.parametrize("kind, name", [(ImageFile, "image"), (SoundFile, "audio"), (AnyFile, "file")])
def test_what_gradio_makes_anew_after_an_update_does_not_read_the_file_either(kind, name, tmp_path):
    (tmp_path / "text.jpg").write_text("this is text")
    one = kind(label="File", type="filepath", render=False)
    again = one.__class__(**{**one.constructor_args, "render": False, "visible": False})
    for component in (one, again):
        assert component.preprocess(SimpleNamespace(path=str(tmp_path / "text.jpg"))) == str(tmp_path / "text.jpg")
        assert component.preprocess(None) is None and component.get_block_name() == name
    assert again.label == "File" and again.visible is False
    assert not Path(files_given.__file__).with_suffix(".pyi").exists()
