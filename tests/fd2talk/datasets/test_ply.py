import numpy as np
import pytest
from data_set_trees import write_ply

from fd2talk.datasets.ply import read_ply_vertices
from fd2talk.export.ply import ply_bytes
from shared.errors import InputError

POINTS = np.random.default_rng(0).normal(size=(7, 3)).astype(np.float32)


@pytest.mark.parametrize("kind", ["ascii", "binary_little_endian", "binary_big_endian"])
def test_every_kind_of_ply(tmp_path, kind):
    assert np.array_equal(read_ply_vertices(write_ply(tmp_path / "mesh.ply", POINTS, kind)), POINTS)


def test_our_own_export(tmp_path):
    (tmp_path / "mesh.ply").write_bytes(ply_bytes(POINTS, np.array([[0, 1, 2]]), "a face"))
    np.testing.assert_allclose(read_ply_vertices(tmp_path / "mesh.ply"), POINTS, atol=1e-5)


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data[:-90],
        lambda data: b"",
        lambda data: b"solid mesh",
        lambda data: data.replace(b"element vertex 7", b"element vertex 0"),
        lambda data: data.replace(b"element vertex 7", b"element vertex many"),
        lambda data: data.replace(b"property float z", b"property float w"),
        lambda data: data.replace(b"format binary_little_endian", b"format packed"),
        lambda data: data.replace(b"element vertex", b"element thing"),
        lambda data: data.replace(b"float x", b"real x"),
    ],
)
def test_what_is_no_mesh(tmp_path, change):
    path = write_ply(tmp_path / "mesh.ply", POINTS)
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(InputError, match="not a PLY mesh"):
        read_ply_vertices(path)


def test_numbers_that_are_not_finite_and_no_file(tmp_path):
    with pytest.raises(InputError, match="not finite"):
        read_ply_vertices(write_ply(tmp_path / "mesh.ply", POINTS * np.nan))
    with pytest.raises(InputError, match="cannot read"):
        read_ply_vertices(tmp_path / "none.ply")


@pytest.mark.parametrize("kind", ["ascii", "binary_little_endian"])
def test_numbers_that_nothing_can_hold(tmp_path, kind):
    path = tmp_path / "a.ply"
    head = f"ply\nformat {kind} 1.0\nelement vertex COUNT\n" + "".join(f"property double {a}\n" for a in "xyz")
    path.write_text(head.replace("COUNT", "99999999999999999999") + "end_header\n1 2 3\n")
    with pytest.raises(InputError, match="not a PLY mesh .*too many"):
        read_ply_vertices(path)
    body = b"1e300 0 0\n" if kind == "ascii" else np.array([1e300, 0, 0], "<f8").tobytes()
    path.write_bytes((head.replace("COUNT", "1") + "end_header\n").encode() + body)
    with pytest.raises(InputError, match="not finite"):
        read_ply_vertices(path)
