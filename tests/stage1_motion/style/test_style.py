"""A style is a small file."""

import numpy as np
import pytest

from shared.errors import InputError, UsageError
from stage1_motion.style import Style


def test_round_trip(tmp_path):
    style = Style(np.arange(4, dtype=np.float32), "0123456789abcdef", source="clip.mp4", terms="research only")
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
    np.savez(
        tmp_path / "nan.npz", style=np.array([np.nan]), encoder=np.array("x"), source=np.array(""), terms=np.array("")
    )
    with pytest.raises(InputError, match="finite"):
        Style.load(tmp_path / "nan.npz")
