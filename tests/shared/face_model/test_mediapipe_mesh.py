"""Topology of the tracker's mesh."""

from collections import Counter

import numpy as np

from shared.face_model import mediapipe_mesh as mesh
from shared.face_model.morphable import GROUPS


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
