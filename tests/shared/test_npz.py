"""Archives of another kind, and damaged ones."""

import zipfile

import numpy as np
import pytest

from shared.errors import InputError
from shared.npz import read_npz

CONTENT = {"a": np.arange(6.0), "b": np.array("text")}


def refused(path, match, **arguments):
    with pytest.raises(InputError, match=match) as caught:
        read_npz(path, "thing", **arguments)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 300


def test_all_arrays_or_those_that_are_named(tmp_path):
    np.savez(tmp_path / "x.npz", **CONTENT)
    assert read_npz(tmp_path / "x.npz", "thing").keys() == {"a", "b"}
    (only,) = read_npz(tmp_path / "x.npz", "thing", ("a",)).values()
    assert np.array_equal(only, CONTENT["a"])
    refused(tmp_path / "x.npz", "not a thing .it lacks c, d", names=("d", "a", "c"))


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_damage_anywhere_is_one_line(tmp_path, save):
    path = tmp_path / "x.npz"
    save(path, **CONTENT)
    whole, found = path.read_bytes(), set()
    for at in range(len(whole)):
        for value in (0, 1, 9, 255):  # 1: encrypted; 9: another version or method
            path.write_bytes(whole[:at] + bytes([whole[at] ^ value]) + whole[at + 1 :])
            try:
                read_npz(path, "thing")
            except InputError as error:
                assert "\n" not in str(error)
                found.add(str(error).partition("thing")[2][:20])
    assert len(found) > 5


def test_what_is_no_array_of_numbers(tmp_path):
    path = tmp_path / "x.npz"
    for value in (np.array([1j]), np.array([b"x"]), np.array(["2026"], "datetime64")):
        np.savez(path, a=value)
        refused(path, "a is no array of numbers or text")
    np.savez(path, a=np.array([{}]))
    refused(path, "no .npz archive")
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("a.npy", b"none")
    refused(path, "a is no array")
    np.save(tmp_path / "x.npy", np.zeros(3))
    refused(tmp_path / "x.npy", "a single array")
    refused(tmp_path, "not a thing")
    refused(tmp_path / "none.npz", "no such file")
