"""The log of a training."""

from __future__ import annotations

import csv
from pathlib import Path

try:
    from torch.utils.tensorboard import SummaryWriter
except ImportError:  # TensorBoard is optional: log.csv contains the same numbers
    SummaryWriter = None  # type: ignore[assignment, misc]  # mypy knows no optional import of a class


class TrainingLog:
    """`log.csv` with rows (step, phase, name, value), and the same numbers for TensorBoard.

    Args:
        output: folder of the files.
        first_step: step that a resumed training starts from; rows of later steps are dropped.
    """

    def __init__(self, output: Path, first_step: int) -> None:
        path = output / "log.csv"
        kept = []
        if first_step and path.exists():  # steps after the checkpoint are repeated, and logged again
            with open(path, newline="") as file:
                rows = [row for row in csv.reader(file) if len(row) == 4][1:]
            kept = [row for row in rows if int(row[0]) <= first_step]
        self.file = open(path, "w", newline="")
        self.writer = csv.writer(self.file)
        self.writer.writerows([["step", "phase", "name", "value"], *kept])
        self.board = SummaryWriter(str(output)) if SummaryWriter is not None else None

    def write(self, step: int, phase: str, figures: dict[str, float]) -> None:
        """Append a row for each figure."""
        for name, value in figures.items():
            self.writer.writerow([step, phase, name, f"{value:.6g}"])
            if self.board:
                self.board.add_scalar(f"{phase}/{name}", value, step)
        self.file.flush()

    def close(self) -> None:
        """Close the files."""
        self.file.close()
        if self.board:
            self.board.close()
