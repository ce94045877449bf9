"""Distance of a generated face from the real one as a mesh over time: LVE, FDD, MOD, L2, DTW; diversity of samples.

`generated` and `real` are vertices [T, N, 3] in millimetres of one face model, frame against frame at one frame rate,
**without head motion** (`MorphableModel.vertices`, before `camera.project`): with it every figure would
measure the head. Both should have one identity, or the difference of two skulls is counted as an error of speech.
Millimetres are those of the model's convention (outer eye corners of the mean 90 mm apart), so another face model's
figures are of another mesh, with other vertices in its groups: compare rows of one table, not tables of two models. A
frame that is NaN makes the figure NaN.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from shared.errors import InputError
from shared.face_model.mediapipe_mesh import INNER_LIP_CENTRES, INNER_LIPS
from shared.face_model.morphable import MorphableModel


def lip_vertex_error(generated: np.ndarray, real: np.ndarray, lips: np.ndarray, *, squared: bool = False) -> float:
    """LVE, and by the same formula Lip-max: mean over frames of `lip_errors`; mm, lower is better, 0 is perfect.

    LVE = 1/T sum_t max_v |generated[t, v] - real[t, v]|, v over the lip vertices (group `lips`).
    Source: MeshTalk (Richard et al. 2021); DiffPoseTalk §4.3 and Table 1 (mm); Lip-max: 3DiFACE §6 and Table 1.
    Trap: CodeTalker's published evaluation (main/cal_metric.py), which many papers reuse, omits the square root and
    averages over the frames of all clips together: `squared`, and clips weighted by their frames, give its number.

    Args:
        generated: [T, N, 3].
        real: [T, N, 3].
        lips: vertex indices.
        squared: average the squares of these distances, in mm².

    Raises:
        InputError: shapes differ or are not [T, N, 3], or a vertex index is out of range.
    """
    return float((lip_errors(generated, real, lips) ** (2 if squared else 1)).mean())


def lip_errors(generated: np.ndarray, real: np.ndarray, lips: np.ndarray) -> np.ndarray:
    """Largest distance over lip vertices in each frame, float64 [T] in mm, which LVE averages."""
    return _distances(generated, real, lips).max(1)


def vertex_error(generated: np.ndarray, real: np.ndarray, vertices: np.ndarray | None = None) -> float:
    """Mean distance over frames and vertices, in mm; lower is better, 0 is perfect.

    1/(T V) sum_t sum_v |generated[t, v] - real[t, v]|. Over the group `lips` it is L2-lip, over all vertices L2-face
    (3DiFACE §6, Table 1) and MVE (3DFacePolicy §4.2, Table 1).
    Trap: 3DiFACE prints no units; its L2-lip (.15) and Lip-max (5.2) of one row can hardly be lengths in the same one.

    Args:
        generated: [T, N, 3].
        real: [T, N, 3].
        vertices: vertex indices; all by default.

    Raises:
        InputError: shapes differ or are not [T, N, 3], or a vertex index is out of range.
    """
    return float(_distances(generated, real, vertices).mean())


def dynamics_deviation(
    generated: np.ndarray,
    real: np.ndarray,
    upper_face: np.ndarray,
    neutral_generated: np.ndarray,
    neutral_real: np.ndarray,
    *,
    squared: bool = False,
) -> float:
    """FDD, upper-face dynamics deviation, signed: mm; 0 is perfect, positive: the generated face is less lively.

    FDD = 1/V sum_v [std_t |real[t, v] - neutral_real[v]| - std_t |generated[t, v] - neutral_generated[v]|], v over the
    group `upper_face`, std with 1/T. Source: CodeTalker (Xing et al. 2023); DiffPoseTalk §4.3 and Table 1; 3DFacePolicy
    Table 1. Traps: papers average it over clips either signed (clips cancel each other) or absolute. CodeTalker's
    published evaluation (main/cal_metric.py) takes the squared norm under std (`squared`) and the signed mean over
    clips. A motion that is wrong at every moment but as lively as the real one scores 0; blinks dominate the figure
    where the group contains lids.

    Args:
        generated: [T, N, 3].
        real: [T, N, 3].
        upper_face: vertex indices.
        neutral_generated: [N, 3], the generated person's face without expression.
        neutral_real: [N, 3], the same of the real person.
        squared: compare the deviations of squared displacements, in mm².

    Raises:
        InputError: shapes differ or are not [T, N, 3] and [N, 3], or a vertex index is out of range.
    """
    generated, real = _pair(generated, real)
    chosen = _indices(upper_face, generated.shape[1])
    spread = []
    for moving, neutral in ((generated, neutral_generated), (real, neutral_real)):
        neutral = np.asarray(neutral)
        if neutral.shape != moving.shape[1:]:
            raise InputError(f"a neutral face has shape {list(neutral.shape)}, expected {list(moving.shape[1:])}")
        moved = np.linalg.norm(moving[:, chosen].astype(float) - neutral[chosen], axis=-1)
        spread.append((moved**2 if squared else moved).std(0).mean())
    return float(spread[1] - spread[0])


def mouth_opening(vertices: np.ndarray, upper: int, lower: int) -> np.ndarray:
    """Distance of two vertices, the upper and the lower inner lip, in every frame: float64 [T] in mm."""
    vertices = _sequence(vertices)
    upper, lower = _indices([upper, lower], vertices.shape[1])
    return np.linalg.norm(vertices[:, upper].astype(float) - vertices[:, lower], axis=-1)


def mouth_opening_difference(generated: np.ndarray, real: np.ndarray, pair: tuple[int, int]) -> float:
    """MOD: mean absolute difference of the mouth openings; mm, lower is better, 0 is perfect.

    MOD = 1/T sum_t |opening(generated)[t] - opening(real)[t]|, with `mouth_opening` of `inner_lip_pair`. Source:
    DiffPoseTalk §4.3 ("the average difference in the size of the mouth opening"), Table 1 (mm). The paper does not name
    its two vertices; the absolute value per frame is our reading of "difference".

    Args:
        generated: [T, N, 3].
        real: [T, N, 3].
        pair: upper and lower vertex.

    Raises:
        InputError: shapes differ or are not [T, N, 3], or a vertex index is out of range.
    """
    generated, real = _pair(generated, real)
    return float(np.abs(mouth_opening(generated, *pair) - mouth_opening(real, *pair)).mean())


def inner_lip_pair(model: MorphableModel) -> tuple[int, int]:
    """Return the vertices (upper, lower) between which a model's mouth opens.

    For the tracker's mesh its inner-lip centres. For every other model, of the vertices of the group `inner_lips`
    nearest the middle of the mouth (within 5 % of its width, or the two nearest on a coarse mesh), those two whose
    heights the expressions separate most; the lower one is the one that moves more, because it moves with the jaw.
    Heights on the mean face would not suffice: where its lips are closed, upper and lower vertex coincide.

    Raises:
        InputError: the model has no such group, or no expression moves it.
    """
    inner = model.groups.get("inner_lips", np.zeros(0, int))
    if set(inner.tolist()) == set(INNER_LIPS):
        return INNER_LIP_CENTRES
    if len(inner) < 2:
        raise InputError(f"face model {model.name}: no group `inner_lips` to measure the mouth opening with")
    x = model.mean[inner, 0]
    off = np.abs(x - (x.min() + x.max()) / 2)
    near = inner[off <= max(0.05 * np.ptp(x), np.partition(off, 1)[1])]
    heights = model.exp_basis[:, near, 1].astype(float)
    apart = np.linalg.norm(heights[:, :, None] - heights[:, None, :], axis=0)
    if not apart.max() > 0:
        raise InputError(f"face model {model.name}: no expression opens its `inner_lips`")
    first, second = np.unravel_index(apart.argmax(), apart.shape)
    upper, lower = sorted((first, second), key=lambda v: np.linalg.norm(heights[:, v]))
    return int(near[upper]), int(near[lower])


def lip_dtw(generated: np.ndarray, real: np.ndarray, lips: np.ndarray, band: int | None = None) -> float:
    """Lip-Sync by dynamic time warping: mean cost along the cheapest alignment; mm, lower is better, 0 is perfect.

    The cost of a frame pair (i, j) is the mean over lip vertices of |generated[i, v] - real[j, v]|; a path leads from
    (0, 0) to (T-1, T-1) by steps of one frame in either or both; the total cost of the cheapest path is divided by its
    number of pairs. Source: Imitator (Thambiraja et al. 2023), reported by 3DiFACE §6 and Table 1 as "Lip-Sync".
    Neither paper prints a unit or its normalisation, and Imitator's published code has no such metric: cost and
    normalisation are our reading, and values compare within our tables alone. Trap: it forgives delays, so it never
    exceeds L2-lip and measures synchrony poorly; read it beside a lag.

    Args:
        generated: [T, N, 3].
        real: [T, N, 3].
        lips: vertex indices.
        band: only |i - j| <= band frames (Sakoe & Chiba 1978); None: any.

    Raises:
        InputError: shapes differ or are not [T, N, 3], a vertex index is out of range, or a negative band.
    """
    generated, real = _pair(generated, real)
    if band is not None and band < 0:
        raise InputError(f"a band of {band} frames permits no alignment")
    chosen = _indices(lips, generated.shape[1])
    generated, real = (moving[:, chosen].astype(np.float32) for moving in (generated, real))
    cost = np.array([_norm(real - frame).mean(1) for frame in generated], np.float64)
    if np.isnan(cost).any():
        return float("nan")
    total, steps = _cheapest_path(cost, len(generated) if band is None else band)
    return total / steps


def sample_diversity(samples: np.ndarray) -> float:
    """Mean distance between S samples of the same input; higher is more diverse, 0 for a deterministic system.

    Mean over the S (S - 1) / 2 pairs of samples, and over frames, of |a[t] - b[t]|, the norm over the last axis.
    Source: both papers follow Ren et al. 2022 ("Diffusion Motion"), whose idea is that of HumanML3D's multimodality:
    the mean distance between two halves of the samples; all pairs are its expectation, without its random draw. Neither
    prints feature, unit or number of samples, so printed values do not compare with ours. Noise is diversity too: read
    it beside an error.

    Args:
        samples: [S, T, D] coefficients (the expression or pose diversity of DiffPoseTalk Table 2: in standard
            deviations, or degrees for angles), or vertices [S, T, N, 3] (Div^E of 3DiFACE §6, Table 1: mean over
            vertices too, in mm).

    Raises:
        InputError: fewer than two samples, or another shape.
    """
    samples = np.asarray(samples)
    if samples.ndim not in (3, 4) or 0 in samples.shape:
        raise InputError(f"samples have shape {list(samples.shape)}, expected [S, T, D] or [S, T, N, 3]")
    if len(samples) < 2:
        raise InputError("diversity needs at least two samples of the same input")
    samples = samples.astype(float)
    pairs = [_norm(a - b).mean() for i, a in enumerate(samples) for b in samples[i + 1 :]]
    return float(np.mean(pairs))


def _sequence(vertices: np.ndarray) -> np.ndarray:
    vertices = np.asarray(vertices)
    if vertices.ndim != 3 or vertices.shape[2] != 3 or not len(vertices):
        raise InputError(f"vertices have shape {list(vertices.shape)}, expected [T, N, 3]")
    return vertices


def _pair(generated: np.ndarray, real: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    generated, real = _sequence(generated), _sequence(real)
    if generated.shape != real.shape:
        shapes = f"{list(generated.shape)} and {list(real.shape)}"
        raise InputError(f"generated and real vertices differ in frames or face model: {shapes}")
    return generated, real


def _indices(chosen: np.ndarray | Sequence[int], count: int) -> np.ndarray:
    chosen = np.asarray(chosen)
    if chosen.ndim != 1 or not chosen.size or chosen.dtype.kind not in "iu":
        raise InputError("a vertex group must be a list of at least one vertex index")
    wrong = chosen[(chosen < 0) | (chosen >= count)]
    if wrong.size:
        raise InputError(f"a vertex group contains vertex {wrong[0]}, but the mesh has {count}")
    return chosen


def _distances(generated: np.ndarray, real: np.ndarray, chosen: np.ndarray | None) -> np.ndarray:
    """Distances of vertices, float64 [T, V]."""
    generated, real = _pair(generated, real)
    if chosen is not None:
        chosen = _indices(chosen, generated.shape[1])
        generated, real = generated[:, chosen], real[:, chosen]
    return _norm(generated.astype(float) - real)


def _norm(differences: np.ndarray) -> np.ndarray:
    """Over the last axis, three times as fast as `np.linalg.norm`."""
    return np.sqrt(np.einsum("...k,...k->...", differences, differences))


def _cheapest_path(cost: np.ndarray, band: int) -> tuple[float, int]:
    """Total cost and number of pairs of the cheapest path through [T, T], one anti-diagonal (i + j = k) at a time."""
    count = len(cost)
    # Two diagonals back and one back, indexed by i + 1: index 0 means "before the first frame".
    before, last = np.full(count + 1, np.inf), np.full(count + 1, np.inf)
    steps_before, steps_last = np.zeros(count + 1, int), np.zeros(count + 1, int)
    before[0] = 0.0  # the predecessor of (0, 0)
    for k in range(2 * count - 1):
        i = np.arange(max(0, k - count + 1, (k - band + 1) // 2), min(count - 1, k, (k + band) // 2) + 1)
        both, first, second = before[i], last[i], last[i + 1]  # total cost up to a step in both, in i alone, in j alone
        from_both = (both <= first) & (both <= second)
        least = np.minimum(np.minimum(both, first), second)
        steps = np.where(from_both, steps_before[i], np.where(first <= second, steps_last[i], steps_last[i + 1]))
        before, steps_before = last, steps_last
        last, steps_last = np.full(count + 1, np.inf), np.zeros(count + 1, int)
        last[i + 1], steps_last[i + 1] = least + cost[i, k - i], steps + 1
    return float(last[count]), int(steps_last[count])
