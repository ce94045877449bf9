"""The 3D morphable face model, FD2Talk eq. 1: S(alpha, beta) = mean + B_id alpha + B_exp beta."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from shared.errors import InputError
from shared.files import atomic_output

GROUPS = ("lips", "inner_lips", "mouth", "jaw", "eyes", "brows", "upper_face", "nose", "rigid", "contour")
EYE_CORNERS_MM = 90.0


@dataclass(frozen=True)
class MorphableModel:
    """A linear face model in millimetres, the same whichever file it was loaded from.

    Attributes:
        name: name of the model, without ":".
        mean: float32 [N, 3]; x to the person's left, y up, z towards the camera, origin between the eyes, outer eye
            corners 90 mm apart.
        id_basis: float32 [D_id, N, 3]; coefficient 1 is one standard deviation.
        exp_basis: float32 [D_exp, N, 3]; coefficient 1 is one standard deviation.
        triangles: int32 [F, 3].
        groups: name -> int32 vertex indices (`GROUPS`).
        extra: further named arrays that belong to the model (for the bundled one: eyelid and gaze directions).
    """

    name: str
    mean: np.ndarray
    id_basis: np.ndarray
    exp_basis: np.ndarray
    triangles: np.ndarray
    groups: dict[str, np.ndarray]
    extra: dict[str, np.ndarray]

    @property
    def num_vertices(self) -> int:
        """N."""
        return len(self.mean)

    @property
    def num_identity(self) -> int:
        """D_id."""
        return len(self.id_basis)

    @property
    def num_expression(self) -> int:
        """D_exp."""
        return len(self.exp_basis)

    @cached_property
    def fingerprint(self) -> str:
        """``name:`` and 16 hexadecimal digits of the SHA-256 of mean and bases; a Motion refers to it."""
        digest = hashlib.sha256()
        for array in (self.mean, self.id_basis, self.exp_basis):
            digest.update(np.ascontiguousarray(array, "<f4").tobytes())
        return f"{self.name}:{digest.hexdigest()[:16]}"

    def vertices(self, identity: np.ndarray, expression: np.ndarray) -> np.ndarray:
        """Eq. 1: identity [..., D_id] and expression [..., D_exp] (broadcast) -> [..., N, 3] in mm."""
        shape = np.tensordot(np.asarray(identity, np.float32), self.id_basis, 1)
        shape = shape + np.tensordot(np.asarray(expression, np.float32), self.exp_basis, 1)
        return shape + self.mean

    def part(self, index: np.ndarray) -> MorphableModel:
        """Return the model of some of the vertices alone, without triangles and extras.

        Args:
            index: [n], the vertices, in their new order.
        """
        return MorphableModel(
            name=self.name,
            mean=self.mean[index],
            id_basis=self.id_basis[:, index],
            exp_basis=self.exp_basis[:, index],
            triangles=np.zeros((0, 3), np.int32),
            groups={name: np.flatnonzero(np.isin(index, members)) for name, members in self.groups.items()},
            extra={},
        )

    def save(self, path: str | Path, *, overwrite: bool = False, half: bool = True) -> None:
        """Write one safetensors file, in fp16 by default.

        Raises:
            UsageError: the file exists and `overwrite` is false, or cannot be written.
        """
        dtype = np.float16 if half else np.float32
        tensors = {"mean": self.mean.astype(np.float32)}
        tensors |= {"id_basis": self.id_basis.astype(dtype), "exp_basis": self.exp_basis.astype(dtype)}
        tensors["triangles"] = self.triangles.astype(np.int32)
        tensors |= {f"group.{name}": index.astype(np.int32) for name, index in self.groups.items()}
        tensors |= {f"extra.{name}": np.asarray(value, np.float32) for name, value in self.extra.items()}
        tensors = {name: np.ascontiguousarray(value) for name, value in tensors.items()}
        with atomic_output(path, overwrite) as temporary:
            save_file(tensors, str(temporary), metadata={"morphable_model": json.dumps({"name": self.name})})

    @classmethod
    def load(cls, path: str | Path) -> MorphableModel:
        """Read a file written by `save`.

        Raises:
            InputError: no such file, or another kind of file.
        """
        try:
            with safe_open(str(path), "np") as file:
                name = json.loads((file.metadata() or {})["morphable_model"])["name"]
                data = {key: file.get_tensor(key) for key in file.keys()}
            floats = {key: data[key].astype(np.float32) for key in ("mean", "id_basis", "exp_basis")}
            triangles = data["triangles"]
        except FileNotFoundError:
            raise InputError(f"{path}: no such file") from None
        except (KeyError, OSError, SafetensorError) as error:
            raise InputError(f"{path}: not a morphable face model ({error})") from None

        def part(prefix: str) -> dict[str, np.ndarray]:
            return {key.removeprefix(prefix): value for key, value in data.items() if key.startswith(prefix)}

        return cls(name=name, triangles=triangles, groups=part("group."), extra=part("extra."), **floats)
