"""Training of the bundled MorphableModel: principal components of tracked meshes.

Expression components describe how each filmed person's mesh departs from the person's own mean; identity components
describe the differences between people after the best-fitting expression has been removed. All data are mirrored, so
that the model is symmetric.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from shared.face_model import mediapipe_mesh as mesh
from shared.face_model.camera import canonical, rigid_fit, rotation_terms
from shared.face_model.fitting import LIP_WEIGHT, fit
from shared.face_model.measures import gaze, lid_gap, lip_gap
from shared.face_model.morphable import EYE_CORNERS_MM, MorphableModel

# Eyes are shut below the first share of their usual opening and open above the second; the open eye is measured within
# so many frames of a blink (every second frame of the video is used).
_SHUT, _OPEN, _NEARBY = 0.5, 0.85, 6
# Frames that are aligned at once.
_AT_ONCE = 4096


def mirror_index(mean: np.ndarray) -> np.ndarray:
    """Return the index [N] of each vertex's mirror image across x = 0, for mean [N, 3]."""
    distance = np.linalg.norm((mean * [-1, 1, 1])[:, None] - mean[None], axis=-1)
    return distance.argmin(1)


def learn(
    people: Sequence[Sequence[np.ndarray]],
    portraits: np.ndarray,
    *,
    num_identity: int = 40,
    num_expression: int = 64,
    name: str = "fd2talk478",
) -> MorphableModel:
    """Compute a face model from tracked meshes in crop coordinates.

    Args:
        people: per person a list of clips, each [T, 478, 3].
        portraits: [P, 478, 3].
        num_identity: number of identity components.
        num_expression: number of expression components.
        name: name of the model.
    """
    rigid = np.array(mesh.groups()["rigid"])
    mean = _symmetric_mean(np.concatenate([*(points for clips in people for points in clips), portraits]), rigid)
    mirror = mirror_index(mean)

    def shapes(points: np.ndarray) -> np.ndarray:
        return _aligned(points, mean, rigid)

    # Expression: departures from the person's mean, each person counted by at most as many frames as the median one.
    offsets, centres = [], []
    cap = int(np.median([sum(map(len, clips)) for clips in people])) + 1
    for clips in people:
        aligned = shapes(np.concatenate(clips))
        aligned = aligned[np.linspace(0, len(aligned) - 1, min(cap, len(aligned))).astype(int)]
        centres.append(aligned.mean(0))
        offsets.append(aligned - centres[-1])
    offsets = np.concatenate(offsets)
    exp_basis = _components(offsets, mirror, num_expression)

    # Identity: people's means and portraits, less the expression that explains them best, lips closed: the mouths of
    # talking people are open on average, that of a neutral face is not.
    opening = _per_mm(offsets, lip_gap(offsets))
    faces = np.concatenate([np.stack(centres), shapes(portraits)])
    faces = faces - mean - lip_gap(faces)[:, None, None] * opening
    flat = exp_basis.reshape(num_expression, -1)
    gram = flat @ flat.T + np.eye(num_expression) * flat.shape[1] / 100
    beta = np.linalg.solve(gram, flat @ faces.reshape(len(faces), -1).T).T
    beta[: len(centres)] = 0  # a filmed person's mean is neutral except for the mouth
    neutral = faces - np.tensordot(beta, exp_basis, 1)
    neutral -= lip_gap(mean + neutral)[:, None, None] * opening
    mean = mean + (neutral.mean(0) + neutral.mean(0)[mirror] * [-1, 1, 1]) / 2
    id_basis = _components(neutral - neutral.mean(0), mirror, num_identity)
    model = MorphableModel(
        name=name,
        mean=mean.astype(np.float32),
        # fp16 is what is stored; the model in memory is the stored one, so that fingerprints agree.
        id_basis=id_basis.astype(np.float16).astype(np.float32),
        exp_basis=exp_basis.astype(np.float16).astype(np.float32),
        triangles=mesh.triangles(),
        groups=mesh.groups(),
        extra={},
    )
    return replace(model, extra=learn_directions(model, people))


def learn_directions(model: MorphableModel, people: Sequence[Sequence[np.ndarray]]) -> dict[str, np.ndarray]:
    """Estimate directions of expression space by least squares over all clips (departures from each clip's mean).

    A blink is the difference between shut eyes and the open eyes of neighbouring frames: usually lids move with smiles
    and squints, which raise the lower lid, whereas in a blink the upper one falls.

    Args:
        model: the face model.
        people: per person a list of clips, each [T, 478, 3] in crop coordinates.

    Returns:
        rotation_leak [9, D]: expression that follows head rotation (`rotation_terms`) although the face did not move;
        open [D]: per mm of lip gap; blink [D]: per mm by which the lids close; gaze [2, D]: per mm of the irises' x and
            y.
    """
    terms, expressions, features, blinks = [], [], [], []
    for clips in people:
        for points in clips:
            result = fit(model, points)
            expressions.append(result.expression - result.expression.mean(0))
            terms.append(rotation_terms(result.rotation))
            vertices = model.vertices(result.identity, result.expression)
            measured = np.column_stack([lip_gap(vertices), -lid_gap(vertices), gaze(vertices)])
            features.append(measured - np.median(measured, 0))
            if (change := _blink(-measured[:, 1], np.column_stack([expressions[-1], terms[-1]]))) is not None:
                blinks.append(change)
    expressions = np.concatenate(expressions)
    joint = np.concatenate([np.concatenate(terms), np.concatenate(features)], axis=1)
    leak = np.linalg.lstsq(joint[:, :9], expressions, rcond=None)[0]
    solution = np.linalg.lstsq(joint[:, 9:], expressions - joint[:, :9] @ leak, rcond=None)[0]
    # Without blinks (a few frames of video), the regression on the lid gap is used instead.
    if blinks:
        change = np.mean(blinks, 0)
        solution[1] = change[: model.num_expression] - change[model.num_expression :] @ leak
    eyes = _only(model, solution[1:], np.concatenate([model.groups["eyes"], mesh.RIGHT_IRIS, mesh.LEFT_IRIS]))
    # Regression yields less than one millimetre per millimetre, because the measures are noisy; this is corrected here.
    mean = model.mean
    vertices = mean + np.tensordot(np.stack([solution[0], *eyes]), model.exp_basis, 1)
    opened = solution[0] / (lip_gap(vertices[0]) - lip_gap(mean))
    closed = eyes[0] / (lid_gap(mean) - lid_gap(vertices[1]))
    moved = eyes[1:] / np.diag(gaze(vertices[2:]) - gaze(mean))[:, None]
    directions = {"rotation_leak": leak, "open": opened, "blink": closed, "gaze": moved}
    return {name: value.astype(np.float32) for name, value in directions.items()}


def _blink(gap: np.ndarray, values: np.ndarray) -> np.ndarray | None:
    """Difference in values [T, K] between shut eyes and open ones nearby, by the lid gap [T]; None if no blink."""
    usual = np.median(gap)
    shut = gap < _SHUT * usual
    # Not "same": that is longer than a short clip.
    nearby = np.convolve(shut, np.ones(2 * _NEARBY + 1))[_NEARBY : _NEARBY + len(shut)] > 0
    opened = nearby & (gap > _OPEN * usual)
    return values[shut].mean(0) - values[opened].mean(0) if shut.any() and opened.any() else None


def _per_mm(offsets: np.ndarray, measure: np.ndarray) -> np.ndarray:
    """Displacement [N, 3] of vertices per unit of a measure [n], by regression over offsets [n, N, 3]."""
    return np.tensordot(measure, offsets, 1) / np.square(measure).sum()


def _only(model: MorphableModel, directions: np.ndarray, keep: np.ndarray) -> np.ndarray:
    """Directions [K, D] that move the vertices `keep` as `directions` do, and leave the others in place.

    People look down and close the mouth when they blink; a blink that is added to speech must not move the lips.
    """
    basis = model.exp_basis.reshape(model.num_expression, -1).T
    wanted = np.zeros((len(directions), model.num_vertices, 3))
    wanted[:, keep] = np.tensordot(directions, model.exp_basis, 1)[:, keep]
    gram = basis.T @ basis + 1e-2 * np.eye(model.num_expression)
    return np.linalg.solve(gram, basis.T @ wanted.reshape(len(directions), -1).T).T


def _symmetric_mean(points: np.ndarray, rigid: np.ndarray) -> np.ndarray:
    """Generalised Procrustes mean on the rigid group, symmetrised, in the MorphableModel's convention."""
    span = np.linalg.norm(points[:, 33] - points[:, 263], axis=-1)
    frontal = np.argmin(np.abs(points[:, 33, 2] - points[:, 263, 2]) / span)
    mean = points[frontal] * [1, -1, 1] * EYE_CORNERS_MM / span[frontal]
    for _ in range(4):
        mean = _conventional(_aligned(points, mean, rigid).mean(0))
        mirror = mirror_index(mean)
        mean = (mean + mean[mirror] * [-1, 1, 1]) / 2
    return mean


def _aligned(points: np.ndarray, mean: np.ndarray, rigid: np.ndarray) -> np.ndarray:
    """Points [T, N, 3] in the pose of the mean [N, 3], float32 in mm; what it takes besides does not grow with T."""
    out = np.empty(points.shape, np.float32)
    for start in range(0, len(points), _AT_ONCE):
        part = points[start : start + _AT_ONCE]
        target = np.broadcast_to(mean[rigid], (len(part), len(rigid), 3))
        out[start : start + _AT_ONCE] = canonical(part, *rigid_fit(target, part[:, rigid]))
    return out


def _conventional(mean: np.ndarray) -> np.ndarray:
    """Place the outer eye corners on the x axis, 90 mm apart about the origin; face plane (brow to chin) upright."""
    right, left = mean[33], mean[263]
    mean = mean - (right + left) / 2
    x = (left - right) / np.linalg.norm(left - right)
    up = mean[10] - mean[152]  # top of the forehead to the chin
    y = up - x * (up @ x)
    y /= np.linalg.norm(y)
    return mean @ np.stack([x, y, np.cross(x, y)]).T * (EYE_CORNERS_MM / np.linalg.norm(left - right))


def _components(offsets: np.ndarray, mirror: np.ndarray, count: int) -> np.ndarray:
    """Principal components [count, N, 3] of offsets [n, N, 3] and their mirror images, each of unit deviation.

    Lips are weighted as in the fit.
    """
    weights = np.ones(offsets.shape[1])
    weights[mesh.groups()["lips"]] = LIP_WEIGHT
    weights = np.repeat(weights, 3)
    flat = offsets.reshape(len(offsets), -1) * weights
    covariance = flat.T @ flat
    del flat  # these arrays are the most that the training has in memory
    flipped = (offsets[:, mirror] * [-1, 1, 1]).reshape(len(offsets), -1)
    np.multiply(flipped, weights, out=flipped)
    covariance = (covariance + flipped.T @ flipped) / (2 * len(flipped))
    values, vectors = np.linalg.eigh(covariance)
    order = np.argsort(values)[::-1][:count]
    basis = (vectors[:, order] * np.sqrt(np.maximum(values[order], 0)) / weights[:, None]).T
    # A component's sign is arbitrary; it is fixed by a projection that no symmetry of the face sets to zero: the same
    # data yield the same model everywhere.
    signs = np.sign(basis @ np.random.default_rng(0).normal(size=basis.shape[1]))
    return (basis * signs[:, None]).reshape(count, -1, 3)
