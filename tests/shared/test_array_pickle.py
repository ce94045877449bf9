import pickle

import numpy as np
import pytest

from shared.array_pickle import as_array, read_pickle
from shared.errors import InputError


def written(tmp_path, value, protocol=2):
    (tmp_path / "data.pkl").write_bytes(pickle.dumps(value, protocol=protocol))
    return tmp_path / "data.pkl"


@pytest.mark.parametrize("protocol", range(6))
def test_dictionaries_of_arrays(tmp_path, protocol):
    value = {"a": {"b": np.arange(6, dtype=np.int16).reshape(2, 3), 3: np.float64(0.5)}, "c": [1, "text", None]}
    read = read_pickle(written(tmp_path, value, protocol), "table", "a table")
    assert np.array_equal(as_array(read["a"]["b"]), value["a"]["b"]) and read["a"][3] == 0.5
    assert read["c"] == [1, "text", None]


@pytest.mark.parametrize("function", [eval, exec, print, np.load, np.fromfile, getattr])
def test_nothing_is_called(tmp_path, function):
    class Evil:
        def __reduce__(self):
            return (function, ("1",))

    with pytest.raises(InputError, match="data.pkl: not a table .*which is not allowed in a thing"):
        read_pickle(written(tmp_path, {"x": Evil()}), "table", "a thing")


def test_other_files(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_pickle(tmp_path / "none.pkl", "table", "a table")
    with pytest.raises(InputError, match="cannot be read"):
        read_pickle(tmp_path, "table", "a table")
    with pytest.raises(InputError, match="contains no dictionary"):
        read_pickle(written(tmp_path, [1]), "table", "a table")
    (tmp_path / "data.pkl").write_bytes(b"\x80\x02garbage")
    with pytest.raises(InputError, match="not a table"):
        read_pickle(tmp_path / "data.pkl", "table", "a table")
