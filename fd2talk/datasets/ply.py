"""Read the vertices of PLY meshes (Turk, 1994): text, and binary of either order."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from shared.errors import InputError

_TYPES = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "short": "i2", "int16": "i2", "ushort": "u2",
    "uint16": "u2", "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4", "float": "f4", "float32": "f4",
    "double": "f8", "float64": "f8",
}  # fmt: skip
_ORDERS = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}
_END = b"end_header\n"
_MOST = 10**8


def read_ply_vertices(path: Path) -> np.ndarray:
    """Return the vertices of a mesh, float32 [N, 3].

    Raises:
        InputError: the file cannot be read, or is no PLY whose first element are vertices with x, y and z.
    """
    try:
        head, found, body = path.read_bytes().replace(b"end_header\r\n", _END, 1).partition(_END)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None
    lines = [line.split() for line in head.decode("latin1").splitlines()]
    try:
        order, count, fields = _layout(lines)
        if not found or not head.startswith(b"ply"):
            raise ValueError("no header")
        if order:
            table = np.frombuffer(body, np.dtype([(name, order + kind) for name, kind in fields]), count)
            points = np.stack([table[axis] for axis in "xyz"], axis=1)
        else:
            rows = [line.split() for line in body.decode("latin1").splitlines() if line.strip()][:count]
            places = [[name for name, _ in fields].index(axis) for axis in "xyz"]
            points = np.array([[float(row[place]) for place in places] for row in rows])
        with np.errstate(over="ignore"):  # what becomes infinite is refused
            points = points.astype(np.float32)
        if len(points) != count or not np.isfinite(points).all():
            raise ValueError("vertices are missing or not finite")
    except (ValueError, LookupError, TypeError, ArithmeticError) as error:
        raise InputError(f"{path}: not a PLY mesh ({' '.join(str(error).split())[:80]})") from None
    return points


def _layout(lines: list[list[str]]) -> tuple[str, int, list[tuple[str, str]]]:
    """Byte order (empty: text), number of vertices, and names and types of a vertex's numbers."""
    order, count, fields, element = "", -1, [], 0
    for words in lines:
        if words[:1] == ["format"]:
            order = _ORDERS[words[1]]
        elif words[:1] == ["element"]:
            element += 1
            if element == 1:
                if words[1] != "vertex":
                    raise ValueError("its first element is no vertex")
                count = int(words[2])
        elif words[:1] == ["property"] and element == 1:
            fields.append((words[2], _TYPES[words[1]]))
    if not 1 <= count <= _MOST:
        raise ValueError("no vertices, or too many")
    return order, count, fields
