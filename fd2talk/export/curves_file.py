"""Files of ARKit curves, as Live Link Face and others write them, and the Motion that they describe."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from fd2talk.export.live_link import ANGLES, TIMECODE_RATE, head_rotation, parse_timecode
from shared.arkit import NAMES, load_arkit_map
from shared.errors import InputError
from shared.motion import Motion

# Rates that recordings have, and rates at which programs count the frames of a timecode.
_RATES = (23.976, 24.0, 25.0, 29.97, 30.0, 48.0, 50.0, 59.94, 60.0, 100.0, 120.0)
_COUNTED = (TIMECODE_RATE, 24, 25, 30, 50, 120)
# Some scores of the app are a little above 1; anything much above is another unit.
_LARGEST = 1.5
# Place of an average head in the crop: (x, y, log of crop units per 100 mm).
_PLACE = (0.0, -0.15, -0.35)


def read_curves(path: str | Path, *, fps: float | None = None) -> Motion:
    """Read ARKit curves from a CSV file as a motion of an average face.

    The columns are found by name, in any order and in any case: the 52 curves (`tongueOut` may be missing), and, as
    far as they are there, the angles of the head in radians. Time is read from the column ``Timecode``; frames that
    were dropped in the recording are interpolated.

    Args:
        path: of the file.
        fps: frames per second of the rows; None reads the timecodes.

    Raises:
        InputError: no such file, not a table, no such columns, or a cell that cannot be used.
    """
    names, lines, rows = _table(path)
    values = {name: k for k, name in enumerate(names) if name != "timecode"}
    missing = [name for name in NAMES if name.lower() not in values and name != "tongueOut"]
    if missing:
        more = "" if len(missing) == 1 else f" and {len(missing) - 1} other curves"
        raise InputError(f"{path}: no file of ARKit curves; it has no column {missing[0]}{more}")
    numbers = np.zeros((len(rows), len(NAMES) + len(ANGLES)))
    for k, name in enumerate((*NAMES, *ANGLES)):
        if (column := values.get(name.lower())) is not None:
            numbers[:, k] = [_number(path, line, name, row[column]) for line, row in zip(lines, rows)]
    curves = numbers[:, : len(NAMES)]
    for extreme in (curves.min(), curves.max()):
        if not -0.5 <= extreme <= _LARGEST:
            raise InputError(f"{path}: curves of ARKit lie between 0 and 1; here they reach {extreme:.4g}")
    if (angle := np.abs(numbers[:, len(NAMES) :]).max()) > np.pi:
        raise InputError(f"{path}: angles are in radians; here they reach {angle:.4g} (degrees?)")
    if fps is None:
        if "timecode" not in names:
            raise InputError(f"{path}: no column Timecode; give the frame rate with --fps")
        seconds = _seconds(path, lines, [row[names.index("timecode")] for row in rows])
        fps, numbers = _uniform(path, seconds, numbers)
    arkit = load_arkit_map()
    return Motion(
        expression=arkit.decode(np.clip(numbers[:, : len(NAMES)], 0, 1)),
        rotation=head_rotation(numbers[:, len(NAMES) : len(NAMES) + 3]),
        translation=np.tile(_PLACE, (len(numbers), 1)),
        face_model=arkit.face_model,
        fps=fps,
        source=f"curves of {Path(path).name}",
    )


def _table(path: str | Path) -> tuple[list[str], list[int], list[list[str]]]:
    """The header in lower case, and the rows with cells after their numbers in the file."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            first = file.readline()
            separator = max(",;\t", key=first.count)
            file.seek(0)
            header, *rows = list(csv.reader(file, strict=True, delimiter=separator)) or [[]]
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, UnicodeError, csv.Error) as error:
        raise InputError(f"{path}: not a CSV file ({error})") from None
    names = [name.strip().lower() for name in header]
    if separator != ",":  # spreadsheets write decimal commas then
        rows = [[cell.replace(",", ".") for cell in row] for row in rows]
    lines = [line for line, row in enumerate(rows, 2) if any(cell.strip() for cell in row)]
    rows = [rows[line - 2] for line in lines]
    if doubled := next((name for name in names if name and names.count(name) > 1), None):
        raise InputError(f"{path}: two columns are called {doubled}")
    for line, row in zip(lines, rows):
        if len(row) != len(names):
            raise InputError(f"{path}: row {line} has {len(row)} cells, the header {len(names)}")
    if not rows:
        raise InputError(f"{path}: no file of ARKit curves; it has no rows")
    return names, lines, rows


def _number(path: str | Path, line: int, name: str, cell: str) -> float:
    try:
        number = float(cell)
    except ValueError:
        number = np.nan
    if not np.isfinite(number):
        raise InputError(f"{path}: row {line}, column {name}: {cell[:20]!r} is not a number")
    return number


def _seconds(path: str | Path, lines: list[int], cells: list[str]) -> np.ndarray:
    """Seconds since the first row, for the rate of counting under which the rows follow each other most evenly."""
    parsed = [parse_timecode(cell) for cell in cells]
    if None in parsed:
        wrong = parsed.index(None)
        raise InputError(f"{path}: row {lines[wrong]}: {cells[wrong][:30]!r} is not a timecode (HH:MM:SS:FF.fff)")
    whole, frames = np.array(parsed).T
    whole = whole + 86400 * np.cumsum(np.r_[0, np.diff(whole) < -43200])  # midnight
    best, spread = whole + frames / TIMECODE_RATE, np.inf
    for rate in _COUNTED:
        seconds = whole + frames / rate
        steps = np.diff(seconds)
        uneven = np.std(steps) if frames.max() < rate and (steps > 0).all() else np.inf
        if uneven < spread - 1e-6:
            best, spread = seconds, uneven
    if len(cells) > 1 and not np.isfinite(spread):
        raise InputError(f"{path}: the timecodes do not increase from row to row")
    return best - best[0]


def _uniform(path: str | Path, seconds: np.ndarray, values: np.ndarray) -> tuple[float, np.ndarray]:
    """The frame rate, and the values at equal distances in time."""
    if len(seconds) == 1:
        return 60.0, values
    rate = float(1 / np.median(np.diff(seconds)))
    nearest = min(_RATES, key=lambda known: abs(rate / known - 1))
    rate = nearest if abs(rate / nearest - 1) < 0.005 else rate
    count = round(seconds[-1] * rate) + 1
    if count > 50 * len(seconds):
        raise InputError(f"{path}: the timecodes leave {seconds[-1]:.0f} s for {len(seconds)} rows")
    at = np.arange(count) / rate
    if count == len(seconds) and np.abs(at - seconds).max() < 0.2 / rate:
        return rate, values
    return rate, np.stack([np.interp(at, seconds, column) for column in values.T], axis=1)
