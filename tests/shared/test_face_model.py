"""The face model: its file, its camera, its fitting, its mesh, and the bundled one on the bundled portraits."""

from collections import Counter

import numpy as np
import pytest
from safetensors.numpy import save_file

from shared.errors import InputError, UsageError
from shared.face_model import MorphableModel, load_bundled
from shared.face_model import mediapipe_mesh as mesh
from shared.face_model.camera import canonical, project, rigid_fit, rotation_matrices
from shared.face_model.fitting import fit
from shared.face_model.measures import gaze, lid_gap, lip_aperture, lip_gap
from shared.face_model.morphable import GROUPS
from shared.face_model.training.learn import mirror_index
from shared.images import read_image
from shared.photo_fit import PhotoFit
from shared.weights import bundled


@pytest.fixture(scope="module")
def model() -> MorphableModel:
    return load_bundled()


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(0)


# -- the model and its file ----------------------------------------


def test_vertices_are_linear(model, random):
    identity, expression = random.normal(size=model.num_identity), random.normal(size=(5, model.num_expression))
    vertices = model.vertices(identity, expression)
    assert vertices.shape == (5, model.num_vertices, 3)
    wanted = model.mean.astype(float)
    wanted = wanted + sum(a * b for a, b in zip(identity, model.id_basis.astype(float)))
    wanted = wanted + sum(a * b for a, b in zip(expression[2], model.exp_basis.astype(float)))
    np.testing.assert_allclose(vertices[2], wanted, atol=1e-3)
    np.testing.assert_array_equal(model.vertices(identity * 0, expression[0] * 0), model.mean)


def test_save_and_load(model, tmp_path):
    path = tmp_path / "model.safetensors"
    model.save(path)
    again = MorphableModel.load(path)
    assert again.fingerprint == model.fingerprint and again.name == model.name
    for name in ("mean", "id_basis", "exp_basis", "triangles"):
        np.testing.assert_array_equal(getattr(again, name), getattr(model, name))
    assert again.groups.keys() == model.groups.keys() and again.extra.keys() == model.extra.keys()
    for name in model.groups:
        np.testing.assert_array_equal(again.groups[name], model.groups[name])
    with pytest.raises(UsageError, match="already exists"):
        model.save(path)
    model.save(path, overwrite=True)


def test_fingerprint_tells_models_apart(model):
    name, digest = model.fingerprint.split(":")
    assert name == model.name and len(digest) == 16
    changed = model.exp_basis.copy()
    changed[3, 4, 1] += 0.01
    other = MorphableModel(**{**_fields(model), "exp_basis": changed})
    assert other.fingerprint != model.fingerprint
    assert MorphableModel(**_fields(model)).fingerprint == model.fingerprint


def _fields(model: MorphableModel) -> dict:
    names = ("name", "mean", "id_basis", "exp_basis", "triangles", "groups", "extra")
    return {name: getattr(model, name) for name in names}


def test_load_refuses_other_files(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        MorphableModel.load(tmp_path / "none.safetensors")
    (tmp_path / "text").write_text("hello")
    save_file({"mean": np.zeros((3, 3), np.float32)}, tmp_path / "other")
    save_file({"mean": np.zeros((3, 3), np.float32)}, tmp_path / "part", metadata={"morphable_model": '{"name": "x"}'})
    for name in ("text", "other", "part"):
        with pytest.raises(InputError, match="not a morphable face model"):
            MorphableModel.load(tmp_path / name)


def test_bundled_model_keeps_the_convention(model):
    right, left = (model.mean[i] for i in mesh.OUTER_EYE_CORNERS)
    # People's outer eye corners are 90 mm apart before what their expressions have in common is taken out.
    assert np.linalg.norm(left - right) == pytest.approx(90, abs=1.5) and left[0] > 0 > right[0]
    np.testing.assert_allclose((left + right) / 2, 0, atol=1.5)
    assert model.mean[10, 1] > 0 > model.mean[152, 1]  # forehead above, chin below
    assert model.mean[4, 2] > model.mean[:468, 2].max() - 1  # the tip of the nose is nearest to the camera
    mirror = mirror_index(model.mean)
    np.testing.assert_allclose(model.mean[mirror] * [-1, 1, 1], model.mean, atol=1e-2)
    for component in model.exp_basis:  # each is even or odd
        image = component[mirror] * [-1, 1, 1]
        assert (
            min(np.abs(image - component).max(), np.abs(image + component).max())
            < 0.02 + 0.02 * np.abs(component).max()
        )
    assert set(model.groups) == set(GROUPS)


# -- camera ----------------------------------------


def random_poses(random: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    rotation = random.uniform(-0.8, 0.8, (count, 3)).astype(np.float32)
    translation = random.uniform([-0.5, -0.5, -1.5], [0.5, 0.5, 0.5], (count, 3)).astype(np.float32)
    return rotation, translation


def test_projection_is_the_one_that_is_written_down(model):
    points = project(model.mean, np.zeros(3), np.array([0.1, -0.2, np.log(0.7)]))
    x, y, z = model.mean.T / 100
    np.testing.assert_allclose(points, np.stack([0.1 + 0.7 * x, -0.2 - 0.7 * y, 0.7 * z], -1), atol=1e-6)
    turned = project(model.mean, np.array([0, np.pi / 2, 0]), np.zeros(3))  # to the person's left: the nose goes right
    np.testing.assert_allclose(turned[:, 0], z, atol=1e-6)


def test_rotation_matrices(random):
    rotation, _ = random_poses(random, 20)
    matrices = rotation_matrices(rotation)
    np.testing.assert_allclose(matrices @ np.swapaxes(matrices, -1, -2), np.tile(np.eye(3), (20, 1, 1)), atol=1e-6)
    np.testing.assert_allclose(np.linalg.det(matrices), 1, atol=1e-5)


def test_canonical_undoes_project(model, random):
    rotation, translation = random_poses(random, 50)
    points = project(model.mean, rotation, translation)
    back = canonical(points, rotation, translation)
    np.testing.assert_allclose(back, np.broadcast_to(model.mean, back.shape), atol=1e-3)
    shifted = points + np.array([0, 0, 0.3], np.float32)
    back = canonical(shifted, rotation, translation, np.full(50, 0.3))
    np.testing.assert_allclose(back, np.broadcast_to(model.mean, back.shape), atol=1e-3)


def test_rigid_fit_finds_the_pose(model, random):
    rotation, translation = random_poses(random, 50)
    points = project(model.mean, rotation, translation)
    points[..., 2] += 0.25
    found_rotation, found_translation, depth = rigid_fit(np.broadcast_to(model.mean, points.shape), points)
    np.testing.assert_allclose(found_rotation, rotation, atol=1e-5)
    np.testing.assert_allclose(found_translation, translation, atol=1e-5)
    np.testing.assert_allclose(depth, 0.25, atol=1e-5)


def test_rigid_fit_obeys_weights_and_never_mirrors(model, random):
    rotation, translation = random_poses(random, 1)
    points = project(model.mean, rotation, translation)[0]
    weights = np.ones(model.num_vertices)
    weights[:100] = 0
    spoilt = points.copy()
    spoilt[:100] += 1.0
    found, _, _ = rigid_fit(model.mean, spoilt, weights)
    np.testing.assert_allclose(found, rotation[0], atol=1e-5)
    mirrored, _, _ = rigid_fit(model.mean, points * [-1, 1, 1])
    assert np.linalg.det(rotation_matrices(mirrored)) == pytest.approx(1, abs=1e-5)


# -- fitting ----------------------------------------


def test_fit_recovers_what_made_the_points(model, random):
    frames = 40
    identity = random.normal(size=model.num_identity) * 0.7
    # An identity is only told from an expression that the whole clip shares by the latter being none.
    expression = random.normal(size=(frames, model.num_expression)) * 0.7
    expression -= expression.mean(0)
    rotation, translation = random_poses(random, frames)
    truth = model.vertices(identity, expression)
    result = fit(model, project(truth, rotation, translation))
    shape = model.vertices(result.identity, result.expression)
    np.testing.assert_allclose(shape + result.residual, canonical_like(truth, shape + result.residual), atol=0.05)
    lips = model.groups["lips"]
    assert np.linalg.norm(result.residual[:, lips], axis=-1).mean() < 0.15
    assert np.linalg.norm(result.residual, axis=-1).mean() < 0.3
    gaps, found = lip_gap(truth), lip_gap(shape)
    assert np.corrcoef(gaps, found)[0, 1] > 0.995
    for k in range(8):  # the components that matter
        assert np.corrcoef(expression[:, k], result.expression[:, k])[0, 1] > 0.97, k
    assert np.degrees(np.abs(result.rotation - rotation)).mean() < 1.0


def canonical_like(shape: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """`shape` [T, N, 3] in mm laid on `reference` by a similarity: the fit's frame may be slightly off."""
    flipped = reference / 100 * [1, -1, 1]
    rotation, translation, depth = rigid_fit(shape, flipped)
    points = project(shape, rotation, translation)
    points[..., 2] += depth[:, None]
    return points * [1, -1, 1] * 100


def test_fit_with_a_known_identity_keeps_it(model, random):
    identity = random.normal(size=model.num_identity).astype(np.float32)
    expression = random.normal(size=(3, model.num_expression)) * 0.5
    points = project(model.vertices(identity, expression), *random_poses(random, 3))
    result = fit(model, points, identity=identity)
    np.testing.assert_array_equal(result.identity, identity)
    assert np.linalg.norm(result.residual, axis=-1).mean() < 0.3


@pytest.mark.parametrize("name", ["portrait_man", "portrait_man_2", "portrait_woman", "portrait_woman_2"])
def test_lips_of_the_demo_portraits_are_met(model, name):
    photo = PhotoFit.fit(read_image(bundled(f"demo/{name}.jpg")), model)
    residual = np.linalg.norm(photo.residual[model.groups["lips"]], axis=-1)
    assert residual.mean() <= 0.2
    back = photo.vertices_px(photo.expression, photo.rotation, photo.translation)
    np.testing.assert_allclose(back[:, :2], photo.landmarks[:, :2], atol=0.05)  # the photo's own mesh, to the pixel
    assert np.abs(photo.identity).max() < 5 and np.abs(photo.expression).max() < 5


# -- measures ----------------------------------------


def test_measures_follow_the_directions_that_bear_their_names(model):
    zero = np.zeros(model.num_identity)

    def at(direction: np.ndarray, amount: float) -> np.ndarray:
        return model.vertices(zero, direction * amount)

    still = model.vertices(zero, np.zeros(model.num_expression))
    opened = at(model.extra["open"], 8)
    assert lip_gap(opened) - lip_gap(still) == pytest.approx(8, abs=2)
    assert lip_aperture(opened) > lip_aperture(still) + 0.05
    assert lid_gap(at(model.extra["blink"], 4)) - lid_gap(still) == pytest.approx(-4, abs=1.5)
    # It is the upper lid that falls.
    moved = (at(model.extra["blink"], 4) - still)[:, 1]
    assert all(moved[upper] < -4 * abs(moved[lower]) for upper, lower in ((159, 145), (386, 374)))
    looked = gaze(at(model.extra["gaze"][0], 2)) - gaze(still)
    assert looked[0] == pytest.approx(2, abs=0.8) and abs(looked[1]) < 0.5
    # A blink leaves the lips alone.
    lips = model.groups["lips"]
    assert np.abs(at(model.extra["blink"], 4) - still)[lips].max() < 0.5


# -- mesh ----------------------------------------


def edges(faces: np.ndarray) -> Counter:
    """How often each edge is run along in each direction."""
    return Counter((int(face[k]), int(face[(k + 1) % 3])) for face in faces for k in range(3))


def test_mesh_is_an_oriented_manifold(model):
    faces = mesh.triangles()
    assert faces.shape == (898, 3) and faces.dtype == np.int32
    np.testing.assert_array_equal(faces, model.triangles)
    assert sorted(set(faces.ravel().tolist())) == list(range(468))  # irises are points alone
    assert len({frozenset(face) for face in faces.tolist()}) == 898
    directed = edges(faces)
    assert max(directed.values()) == 1  # neighbours run along their edge in opposite directions
    boundary = {edge for edge in directed if edge[::-1] not in directed}
    follow = dict(boundary)
    assert len(follow) == len(boundary)
    ring, at = [], next(iter(follow))
    while at not in ring:
        ring.append(at)
        at = follow[at]
    assert len(ring) == len(boundary) and set(ring) == set(mesh.FACE_OVAL)  # the only border is the face's contour
    undirected = {frozenset(edge) for edge in directed}
    assert 468 - len(undirected) + len(faces) == 1  # Euler: a disc


def test_mesh_faces_the_camera(model):
    a, b, c = (model.mean[mesh.triangles()[:, k]] for k in range(3))
    normals = np.cross(b - a, c - a)
    assert (normals[:, 2] > 0).mean() > 0.95
    assert np.linalg.norm(normals, axis=1).min() > 0


def test_rings_are_closed_along_edges():
    undirected = {frozenset(edge) for edge in edges(mesh.triangles())}
    for ring in (mesh.INNER_LIPS, mesh.OUTER_LIPS, mesh.RIGHT_EYE, mesh.LEFT_EYE, mesh.FACE_OVAL):
        assert len(set(ring)) == len(ring)
        for a, b in zip(ring, ring[1:] + ring[:1]):
            assert frozenset((a, b)) in undirected, (a, b)


def test_openings_are_the_last_triangles():
    faces = mesh.triangles()
    right, left, mouth = faces[852:866], faces[866:880], faces[880:]
    assert set(right.ravel()) == set(mesh.RIGHT_EYE) and set(left.ravel()) == set(mesh.LEFT_EYE)
    assert set(mouth.ravel()) == set(mesh.INNER_LIPS)


def test_groups():
    groups = mesh.groups()
    assert set(groups) == set(GROUPS)
    for name, members in groups.items():
        assert members.dtype == np.int32 and len(set(members.tolist())) == len(members), name
        assert 0 <= members.min() and members.max() < 468, name
    assert set(groups["inner_lips"]) <= set(groups["lips"]) <= set(groups["mouth"])
    assert set(groups["rigid"]).isdisjoint(groups["mouth"])
