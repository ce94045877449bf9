"""A .npy file that is written row by row."""

from __future__ import annotations

from pathlib import Path

import numpy as np


class GrowingArray:
    """A .npy file of uint8 rows whose number is known at the end: numpy reserves space in the header for that."""

    def __init__(self, path: Path, row: tuple[int, ...]) -> None:
        """Create the file, for rows of a shape."""
        self._file, self._row, self.length = open(path, "w+b"), row, 0
        self._header()

    def extend(self, rows: list[np.ndarray]) -> None:
        """Append rows. Raises ValueError: a row has another shape or type."""
        for row in rows:
            if row.shape != self._row or row.dtype != np.uint8:
                raise ValueError(f"a row must be uint8 {self._row}, not {row.dtype} {row.shape}")
            self._file.write(np.ascontiguousarray(row).data)
        self.length += len(rows)

    def close(self) -> None:
        """Write the number of rows and close the file."""
        self._file.seek(0)
        self._header()
        self._file.close()

    def _header(self) -> None:
        header = {"descr": "|u1", "fortran_order": False, "shape": (self.length, *self._row)}
        np.lib.format.write_array_header_1_0(self._file, header)
