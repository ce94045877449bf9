"""A style is a small file."""

import numpy as np
import pytest

from shared.errors import InputError, UsageError
from stage1_motion.style import Style


def test_round_trip(tmp_path):
    style = Style(np.array([0.6, 0, 0.8], np.float32), "0123456789abcdef", source="clip.mp4", terms="research only")
    style.save(tmp_path / "s.npz")
    again = Style.load(tmp_path / "s.npz")
    assert np.array_equal(again.vector, style.vector)
    assert (again.encoder, again.source, again.terms) == ("0123456789abcdef", "clip.mp4", "research only")
    with pytest.raises(UsageError, match="exists"):
        style.save(tmp_path / "s.npz")


@pytest.mark.parametrize("content", [b"", b"nothing", b"PK\x03\x04"])
def test_other_files_are_refused(tmp_path, content):
    (tmp_path / "s.npz").write_bytes(content)
    with pytest.raises(InputError, match="not a style file"):
        Style.load(tmp_path / "s.npz")


@pytest.mark.parametrize(
    "vector",
    [[np.nan], [], [0.0, 0.0], [1.0, 1.0], [0.99, 0.0], [[1.0]], 1.0, [1j], [True], ["1"], [np.inf, 0]],
)
def test_vectors_that_are_no_style(tmp_path, vector):
    np.savez(tmp_path / "s.npz", style=np.array(vector), encoder="x", source="", terms="")
    with pytest.raises(InputError, match="length one|no array of numbers") as caught:
        Style.load(tmp_path / "s.npz")
    assert "\n" not in str(caught.value)


def test_rounding_is_no_other_length(tmp_path):
    np.savez(tmp_path / "s.npz", style=np.array([1.0005, 0]), encoder="x", source="", terms="")
    assert Style.load(tmp_path / "s.npz").vector.dtype == np.float32
