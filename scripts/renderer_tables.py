"""Tables of what `evaluate_renderer.py` found, and what the learned renderer is asked for."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from shared.files import atomic_output
from shared.metrics.rendering import MOUTH_CHANGES

FIGURES = {"psnr": 2, "ssim": 3, "distance": 3}  # decimals
HEAD = ["PSNR", "SSIM", "distance"]
FURTHER = ["identity: mean; lowest person", "sharpness of the face", "unchanging motion: worst difference of frames"]
MOVES = {"under 6 px": (0, 6), "6 to 15 px": (6, 15), "15 px or more": (15, np.inf)}

# What the learned renderer is to be better than, and by how much.
BASELINES = ("still", "warp")
WINS = {"opened": 1.5, "closed": 0.8, "unchanged": -0.1}  # dB over the warp, in the mouth box
WIN_DISTANCE = 0.3  # share of the warp's distance there, opened mouths
IDENTITY, SHARPNESS, DIFFERENCE = 0.8, 0.8, 0.5


@dataclass
class Findings:
    """rows: a record for each frame of each system and of the real frames (`real`: identity alone). rests: system ->
    for each clip, how far two frames of one motion differ."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    rests: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def save(self, path: Path) -> None:
        """Write all of it as JSON."""
        with atomic_output(path, overwrite=True) as temporary:
            temporary.write_text(json.dumps({"rows": self.rows, "rests": self.rests}, indent=1))

    def add(self, path: Path, name: str | None = None) -> None:
        """What `save` wrote, of the same clips; name: to call the file's one system by."""
        found = json.loads(path.read_text())
        has_real = bool(self.of("real"))
        for row in found["rows"]:
            if row["system"] != "real":
                self.rows.append({**row, "system": name or row["system"]})
            elif not has_real:
                self.rows.append(row)
        for system, values in found["rests"].items():
            self.rests[name or system] += values

    def of(self, system: str, mouth: str | None = None) -> list[dict[str, Any]]:
        """A system's records; mouth: of frames whose mouth did that."""
        return [row for row in self.rows if row["system"] == system and mouth in (None, row["mouth"])]

    def people(self, system: str, key: str) -> list[float]:
        """Each person's mean."""
        values = defaultdict(list)
        for row in self.of(system):
            values[row["person"]].append(row[key])
        return [float(np.mean(v)) for v in values.values()]

    def mean(self, system: str, key: str) -> float:
        """Mean over people of a person's mean."""
        return float(np.mean(self.people(system, key)))


def print_tables(found: Findings, names: Sequence[str]) -> None:
    """Every figure of the systems: whole frames, parts of the face, and by what moved."""
    identity = found.people("real", "identity")
    title = f"Whole frame, {len(identity)} people (real frames' identity {np.mean(identity):.3f})"
    _table(title, [*HEAD, *FURTHER])
    for name in names:
        identity = f"{found.mean(name, 'identity'):.3f}; {min(found.people(name, 'identity')):.3f}"
        further = [identity, f"{found.mean(name, 'sharpness'):.2f}", f"{max(found.rests[name]):.3f}"]
        _row(name, [*_figures(found, name, ""), *further])
    for part in ("mouth", "eyes"):
        _table(f"Boxes of the {part}", HEAD)
        for name in names:
            _row(name, _figures(found, name, f"{part}_"))
    counts = [len(found.of(names[0], change)) for change in MOUTH_CHANGES]
    head = [f"{change} ({count} frames)" for change, count in zip(MOUTH_CHANGES, counts)]
    _table("Mouth box by what the mouth did: PSNR / SSIM / distance", head)
    for name in names:
        _row(name, [_over_frames(found.of(name, change), "mouth_") for change in MOUTH_CHANGES])

    def moved(name: str) -> list[list[dict[str, Any]]]:
        return [[row for row in found.of(name) if low <= row["moved"] < high] for low, high in MOVES.values()]

    head = [f"{label} ({len(rows)} frames)" for label, rows in zip(MOVES, moved(names[0]))]
    _table("Whole frame by how far the head moved: PSNR / SSIM / distance", head)
    for name in names:
        _row(name, [_over_frames(rows, "") for rows in moved(name)])


def print_wins(found: Findings, names: Sequence[str]) -> None:
    """A row for each system: what it wins over the warp in the mouth box, and whether that is what was asked for."""
    head = [f"mouth {change}" for change in WINS]
    head += ["whole frame: PSNR / SSIM / distance", "identity", "sharpness", "unchanging motion"]
    _table("Over the warp (dB, change of the distance), and what was asked for", head)
    asked = [f"{gain:+.1f} dB" for gain in WINS.values()]
    asked[0] += f", {-WIN_DISTANCE:+.0%}"
    asked += ["better than still and warp", f"{IDENTITY:.2f}", f"{SHARPNESS:.2f}", f"{DIFFERENCE:.1f} / 255"]
    _row("asked for", asked)
    for name in names:
        cells = wins(found, name)
        _row(name, [text if passed is None else f"{text} {'PASS' if passed else 'short'}" for text, passed in cells])


def wins(found: Findings, name: str) -> list[tuple[str, bool | None]]:
    """For each column of `print_wins` the figure, and whether it is enough; None where there is nothing to judge."""
    judged = name not in BASELINES
    cells: list[tuple[str, bool | None]] = []
    for change, asked in WINS.items():
        mine, warps = found.of(name, change), found.of("warp", change)
        if not (mine and warps):
            cells.append(("-", None))
            continue
        gain = _mean(mine, "mouth_psnr") - _mean(warps, "mouth_psnr")
        less = 1 - _mean(mine, "mouth_distance") / _mean(warps, "mouth_distance")
        enough = gain >= asked and (change != "opened" or less >= WIN_DISTANCE)
        cells.append((f"{gain:+.2f} dB, {-less:+.0%}", enough if judged else None))
    better = None
    if judged and all(found.of(baseline) for baseline in BASELINES):
        psnr, ssim, distance = ([found.mean(n, key) for n in (name, *BASELINES)] for key in FIGURES)
        better = psnr[0] > max(psnr[1:]) and ssim[0] > max(ssim[1:]) and distance[0] < min(distance[1:])
    cells.append((" / ".join(_figures(found, name, "")), better))
    measured = (
        (f"{found.mean(name, 'identity'):.3f}", found.mean(name, "identity") >= IDENTITY),
        (f"{found.mean(name, 'sharpness'):.2f}", found.mean(name, "sharpness") >= SHARPNESS),
        (f"{max(found.rests[name]):.3f}", max(found.rests[name]) <= DIFFERENCE),
    )
    return [*cells, *((text, enough if judged else None) for text, enough in measured)]


def _figures(found: Findings, name: str, part: str) -> list[str]:
    return [f"{found.mean(name, part + key):.{digits}f}" for key, digits in FIGURES.items()]


def _over_frames(rows: Sequence[dict[str, Any]], part: str) -> str:
    return " / ".join(f"{_mean(rows, part + k):.{digits}f}" for k, digits in FIGURES.items()) if rows else "-"


def _mean(rows: Sequence[dict[str, Any]], key: str) -> float:
    return float(np.mean([row[key] for row in rows]))


def _table(title: str, head: Sequence[str]) -> None:
    print(f"\n{title}\n\n| {' | '.join(['', *head])} |\n|{'---|' * (len(head) + 1)}")


def _row(name: str, cells: Iterable[str]) -> None:
    print(f"| {name} | {' | '.join(cells)} |")
