"""The contact sheet of a report: a row of stills for each clip, real ones on the left."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from fd2talk.evaluation.inputs.rows import REAL
from shared.files import atomic_output

SHEET = "sheet.jpg"
LABEL_HEIGHT = 36
MAX_CLIPS = 40
"""A sheet has no more rows: viewers refuse larger pictures."""


def write_sheet(folder: Path, report: dict[str, Any]) -> None:
    """Write `sheet.jpg` with the stills of the first clips, or remove an earlier one if there are no stills.

    Under the name of each row of the report, columns are the real clip (photo, widest mouth, that mouth enlarged,
    largest move of the head) and the generated ones in the order of the report. What could not be generated is black.

    Args:
        folder: the report's folder.
        report: the contents of report.json.
    """
    shown = {clip["system"] for clip in report["clips"] if clip.get("still")}  # a network alone has no pictures
    names = [name for name in [REAL, *generated_systems(report)] if name in shown]
    rows = []
    for _, clips in of_clips(report, "still", names)[:MAX_CLIPS]:
        stills = {clip["system"]: _read(file) for clip in clips if (file := still_file(folder, clip))}
        if not stills:
            continue
        blank = np.zeros_like(next(reversed(stills.values())))
        rows.append(np.hstack([stills.get(name, blank) for name in names]))
    if not rows:
        (folder / SHEET).unlink(missing_ok=True)
        return
    width = max(row.shape[1] for row in rows)
    rows = [_labels(names, rows[0].shape[1], blank.shape[1]), *rows]
    sheet = np.vstack([np.pad(row, ((0, 0), (0, width - row.shape[1]), (0, 0))) for row in rows])
    with atomic_output(folder / SHEET, overwrite=True) as temporary:
        Image.fromarray(sheet).save(temporary, quality=90)


def _labels(names: Sequence[str], width: int, each: int) -> np.ndarray:
    """A white strip with the name of every row above its stills; the real clip's are wider by a photo."""
    strip = Image.new("RGB", (width, LABEL_HEIGHT), "white")
    draw, font = ImageDraw.Draw(strip), ImageFont.load_default(LABEL_HEIGHT * 2 // 3)
    for index, name in enumerate(names):
        draw.text((8 + index * each + (width - len(names) * each if index else 0), 3), name, "black", font)
    return np.asarray(strip)


def generated_systems(report: dict[str, Any]) -> list[str]:
    """Return the names of the rows that are not of real clips."""
    return [name for name, system in report["systems"].items() if system["kind"] != "real"]


def of_clips(report: dict[str, Any], part: str, names: Sequence[str]) -> list[tuple[str, list[dict[str, Any]]]]:
    """Return for each clip its records that have a part, the first repeat of every row, in the rows' order.

    Args:
        report: the contents of report.json.
        part: `still` or `curves`.
        names: the rows.
    """
    grouped: dict[str, dict[str, dict[str, Any]]] = {}
    for clip in report["clips"]:
        if clip.get(part) and clip["system"] in names:
            grouped.setdefault(clip["clip"], {}).setdefault(clip["system"], clip)
    return [(name, [found[row] for row in names if row in found]) for name, found in grouped.items()]


def still_file(folder: Path, clip: dict[str, Any]) -> Path | None:
    """Return the file of a record's still; None where it is missing or outside of the folder."""
    file = (folder / clip["still"]).resolve()
    return file if file.is_relative_to(folder.resolve()) and file.is_file() else None


def _read(file: Path) -> np.ndarray:
    with Image.open(file) as picture:
        return np.asarray(picture.convert("RGB"))
