"""The face of a Motion as a glTF scene: a head with morph targets, eyeballs, teeth, a jaw and the photo as texture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from fd2talk.export.gaze import EYEBALL_MM, EYES, eye_angles
from fd2talk.export.gltf import Material, Mesh, Node
from fd2talk.export.placement import Placement
from fd2talk.export.textures import eye_texture, photo_texture
from shared.arkit import NAMES, load_arkit_map, neutral_expression
from shared.face_model import MorphableModel
from shared.face_model.mediapipe_mesh import INNER_LIPS, LEFT_EYE, RIGHT_EYE
from shared.motion import Motion
from shared.photo_fit import PhotoFit

MM = 0.001
_SKIN, _SOCKET = (0.72, 0.5, 0.4, 1.0), (0.35, 0.16, 0.13, 1.0)
_MOUTH, _TEETH = (0.03, 0.008, 0.008, 1.0), (0.3, 0.26, 0.2, 1.0)
# How far the pockets behind lids and lips reach back, mm.
_SOCKET_DEPTH, _MOUTH_DEPTH = 6.0, 20.0
# Of the eyeball's foremost point behind the middle of the lids, and of its surface behind every point of them, mm.
_BEHIND_LIDS, _BEHIND_RIM = 0.4, 0.8
_EARS, _CHIN = (234, 454), 152
# Half the width of the nose between the eyes, mm.
_BRIDGE = 8.0
# Shapes for curves that the teacher never saw: a swelling round points of the mesh, of a radius, in a direction (mm;
# x away from the middle). No photograph stands behind them.
_HAND_MADE = {
    "jawForward": ((152, 175, 200), 38.0, (0, 0, 5)),
    "cheekPuff": ((187, 411), 26.0, (5, 0, 5)),
    "cheekSquintLeft": ((346,), 16.0, (0, 3, 1.5)),
    "cheekSquintRight": ((117,), 16.0, (0, 3, 1.5)),
    "noseSneerLeft": ((358,), 13.0, (0, 3, 0.5)),
    "noseSneerRight": ((129,), 13.0, (0, 3, 0.5)),
}


@dataclass(frozen=True)
class _Pocket:
    """A ring of the mesh and its copy that is moved back, walls between them, and what closes the copy."""

    ring: tuple[int, ...]
    depth: float

    def build(self, triangles: np.ndarray, first: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the vertices copied [M], how far [M, 3] in mm they move, and triangles, numbered from `first`."""
        count = len(self.ring)
        sources = np.tile(self.ring, 2)
        moved = np.zeros((2 * count, 3))
        moved[count:, 2] = -self.depth
        front = first + np.arange(count)
        back, after = front + count, np.roll(np.arange(count), -1)
        walls = [np.stack([front, front[after], back[after]], 1), np.stack([front, back[after], back], 1)]
        opening = triangles[np.isin(triangles, self.ring).all(1)]
        place = {vertex: back[k] for k, vertex in enumerate(self.ring)}
        cap = np.vectorize(place.__getitem__)(opening)
        return sources, moved, np.concatenate([*walls, cap])


def face_scene(
    motion: Motion, model: MorphableModel, photo: PhotoFit | None, arkit: tuple[np.ndarray, np.ndarray] | None
) -> list[Node]:
    """Build the scene.

    Args:
        motion: T frames.
        model: its face model.
        photo: of the person in the motion: texture, and what the model does not express of the face.
        arkit: curves and the expression without any, as `ArkitMap.fit` returns them; None for the model's own morph
            targets, which count from its mean expression.

    Returns:
        The root nodes: the head, with jaw and eyes, and a camera that shows what the crop shows.
    """
    identity = np.zeros(model.num_identity) if motion.identity is None else motion.identity
    if arkit is None:
        weights, start = motion.expression, np.zeros(model.num_expression)
        targets = {f"expression_{k:02d}": shape for k, shape in enumerate(model.exp_basis)}
    else:
        weights, start = arkit
        targets = dict(zip(NAMES, arkit_shapes(model)))
    base = model.vertices(identity, start) + (0 if photo is None else photo.residual)
    place = Placement.of(motion)
    head = {
        "rotation": continuous(Rotation.from_rotvec(motion.rotation).as_quat()),
        "translation": place.shift * MM,
        "scale": np.repeat(place.scale[:, None], 3, axis=1),
    }
    upper, lower = _teeth(base)
    children = [
        Node("face", _face_mesh(base, targets, model, photo), tracks={"weights": weights}),
        Node("upperTeeth", _mesh("upperTeeth", upper, photo)),
        _jaw(base, motion, model, lower, photo),
        *_eyes(base, motion, photo),
    ]
    camera = Node("camera", translation=np.array([0, 0, 10 * place.half_side * MM]), camera=place.half_side * MM)
    return [Node("head", tracks=head, children=tuple(children)), camera]


def arkit_shapes(model: MorphableModel) -> np.ndarray:
    """Return the displacements [52, N, 3] in mm of ARKit's curves: fitted ones, hand-made ones, none for the tongue."""
    shapes = np.tensordot(load_arkit_map().shapes, model.exp_basis, 1)
    # Hardly anybody winks in the material, so that the fitted shape of one eye moves the other as well.
    left = np.clip(model.mean[:, :1] / (2 * _BRIDGE) + 0.5, 0, 1)
    for name in ("eyeBlink", "eyeSquint", "eyeWide"):
        sides = [NAMES.index(f"{name}{side}") for side in ("Left", "Right")]
        shapes[sides] = shapes[sides].sum(0) * np.stack([left, 1 - left])
    for name, (centres, radius, direction) in _HAND_MADE.items():
        away = np.linalg.norm(model.mean[:, None] - model.mean[list(centres)], axis=-1).min(1)
        side = np.sign(model.mean[:, :1]) * [1, 0, 0] + [0, 1, 1]
        shapes[NAMES.index(name)] = np.exp(-((away / radius) ** 2))[:, None] * direction * side
    return shapes


def continuous(quaternions: np.ndarray) -> np.ndarray:
    """Choose between q and -q, the same rotation, so that the arc between neighbours is the short one."""
    flips = np.sign((quaternions[1:] * quaternions[:-1]).sum(1))
    quaternions[1:] *= np.cumprod(np.where(flips == 0, 1, flips))[:, None]
    return quaternions


def _face_mesh(base: np.ndarray, targets: dict[str, np.ndarray], model: MorphableModel, photo: PhotoFit | None) -> Mesh:
    unlit = photo is not None
    uv, skin = None, Material("skin", _SKIN)
    if photo is not None:
        uv, texture = photo_texture(photo)
        skin = Material("skin", texture=texture, unlit=True)
    socket = skin if photo is not None else Material("sockets", _SOCKET)
    pockets = {
        _Pocket(RIGHT_EYE, _SOCKET_DEPTH): socket,
        _Pocket(LEFT_EYE, _SOCKET_DEPTH): socket,
        _Pocket(INNER_LIPS, _MOUTH_DEPTH): Material("mouth", _MOUTH, unlit=unlit),
    }
    openings = np.any([np.isin(model.triangles, pocket.ring).all(1) for pocket in pockets], axis=0)
    surfaces = {skin: [model.triangles[~openings]]}
    sources, offsets = [np.arange(len(base))], [np.zeros_like(base)]
    for pocket, material in pockets.items():
        copied, moved, triangles = pocket.build(model.triangles, sum(map(len, sources)))
        sources.append(copied)
        offsets.append(moved)
        surfaces.setdefault(material, []).append(triangles)
    source = np.concatenate(sources)
    return Mesh(
        "face",
        (base[source] + np.concatenate(offsets)) * MM,
        tuple((np.concatenate(parts), material) for material, parts in surfaces.items()),
        uv=None if uv is None else uv[source],
        targets={name: target[source] * MM for name, target in targets.items()},
    )


def _mesh(name: str, surface: tuple[np.ndarray, np.ndarray], photo: PhotoFit | None) -> Mesh:
    vertices, triangles = surface
    return Mesh(name, vertices * MM, ((triangles, Material("teeth", _TEETH, unlit=photo is not None)),))


def _teeth(base: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Vertices in mm and triangles of the upper and the lower row: bands along an arc behind the lips."""
    middle = base[[13, 14]].mean(0)
    x = np.linspace(-19, 19, 13)
    rows = []
    for low, high in ((-1.0, 9.0), (-12.0, -4.0)):
        arc = np.stack([x, 0 * x, -6 - 12 * (x / 19) ** 2], 1) + middle
        vertices = np.concatenate([arc + [0, low, 0], arc + [0, high, 0]])
        k = np.arange(len(x) - 1)
        n = len(x)
        rows.append(
            (vertices, np.concatenate([np.stack([k, k + 1, k + n + 1], 1), np.stack([k, k + n + 1, k + n], 1)]))
        )
    return rows


def _jaw(
    base: np.ndarray,
    motion: Motion,
    model: MorphableModel,
    teeth: tuple[np.ndarray, np.ndarray],
    photo: PhotoFit | None,
) -> Node:
    """A node at the hinge of the jaw that turns as the chin goes down from rest, with the lower teeth."""
    hinge = base[list(_EARS)].mean(0)
    rest = neutral_expression(motion)
    change = np.tensordot(motion.expression - rest, model.exp_basis[:, _CHIN], 1)
    lever = base[_CHIN] - hinge
    moved = lever + change
    angle = np.arctan2(lever[1], lever[2]) - np.arctan2(moved[:, 1], moved[:, 2])
    turn = Rotation.from_rotvec(angle[:, None] * [1, 0, 0]).as_quat()
    lower = Node("lowerTeeth", _mesh("lowerTeeth", (teeth[0] - hinge, teeth[1]), photo))
    return Node("jaw", translation=hinge * MM, tracks={"rotation": continuous(turn)}, children=(lower,))


def _eyes(base: np.ndarray, motion: Motion, photo: PhotoFit | None) -> list[Node]:
    angles = eye_angles(motion)
    nodes = []
    for number, (side, (ring, iris)) in enumerate(EYES.items()):
        rim = base[list(ring)]
        count = len(ring)
        middle = rim[[count // 4, 3 * count // 4]]  # of the upper and of the lower lid
        centre = np.append((rim[0, :2] + rim[count // 2, :2]) / 2, 0)
        centre[1] = middle[:, 1].mean()
        reach = EYEBALL_MM**2 - ((rim[:, :2] - centre[:2]) ** 2).sum(1)
        behind = rim[:, 2] - _BEHIND_RIM - np.sqrt(np.maximum(reach, 0))
        centre[2] = min(middle[:, 2].mean() - _BEHIND_LIDS - EYEBALL_MM, behind[reach > 0].min())
        texture = eye_texture(photo, centre, ring, iris)
        yaw, pitch = angles[:, number].T
        turn = Rotation.from_euler("YX", np.stack([yaw, -pitch], 1)).as_quat()
        mesh = _eyeball(f"{side}Eyeball", Material(f"{side}Eye", texture=texture, unlit=photo is not None))
        nodes.append(Node(f"{side}Eye", mesh, centre * MM, {"rotation": continuous(turn)}))
    return nodes


def _eyeball(name: str, material: Material) -> Mesh:
    """The front half of a ball round the origin; the texture is seen from the front."""
    rings, sectors = 9, 24
    polar, around = np.meshgrid(
        np.linspace(0, np.pi / 2, rings), np.arange(sectors) * 2 * np.pi / sectors, indexing="ij"
    )
    unit = np.stack([np.sin(polar) * np.cos(around), np.sin(polar) * np.sin(around), np.cos(polar)], -1).reshape(-1, 3)
    ring, sector = (index.ravel() for index in np.meshgrid(np.arange(rings - 1), np.arange(sectors), indexing="ij"))
    a, b = ring * sectors + sector, ring * sectors + (sector + 1) % sectors
    triangles = np.concatenate([np.stack([a, a + sectors, b + sectors], 1), np.stack([a, b + sectors, b], 1)])
    triangles = triangles[~((triangles < sectors).sum(1) == 2)]  # the pole's ring is one point
    return Mesh(name, unit * EYEBALL_MM * MM, ((triangles, material),), uv=unit[:, :2] * [0.5, -0.5] + 0.5)
