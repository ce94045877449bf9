"""Tables of the results of `evaluate_renderer.py`, and the targets of the diffusion renderer."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from markdown_tables import print_head, print_row, verdict

from fd2talk.evaluation.report.statistics import mean_over_people
from shared.files import atomic_output
from shared.metrics.rendering import MOUTH_CHANGES

METRICS = {"psnr": 2, "ssim": 3, "distance": 3}  # decimals
HEAD = ["PSNR", "SSIM", "distance"]
FURTHER = ["identity: mean; lowest person", "sharpness of the face", "static motion: largest difference of frames"]
HEAD_MOTION = {"under 6 px": (0, 6), "6 to 15 px": (6, 15), "15 px or more": (15, np.inf)}

# Targets of the diffusion renderer relative to the baselines.
BASELINES = ("still", "warp")
GAINS = {"opened": 1.5, "closed": 0.8, "unchanged": -0.1}  # dB over the warp, in the mouth box
DISTANCE_GAIN = 0.3  # share of the warp's distance there, opened mouths
IDENTITY, SHARPNESS, DIFFERENCE = 0.8, 0.8, 0.5


@dataclass
class Results:
    """Measurements of systems.

    Args:
        rows: a record for each frame of each system and of the real frames (`real`: identity only).
        flicker: system -> for each clip, the difference of two frames with the same motion.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    flicker: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def save(self, path: Path) -> None:
        """Write everything as JSON."""
        with atomic_output(path, overwrite=True) as temporary:
            temporary.write_text(json.dumps({"rows": self.rows, "flicker": self.flicker}, indent=1))

    def add(self, path: Path, name: str | None = None) -> None:
        """Add the results in a file that `save` wrote for the same clips; name: a new name for its only system."""
        content = json.loads(path.read_text())
        has_real = bool(self.of("real"))
        for row in content["rows"]:
            if row["system"] != "real":
                self.rows.append({**row, "system": name or row["system"]})
            elif not has_real:
                self.rows.append(row)
        for system, values in content["flicker"].items():
            self.flicker[name or system] += values

    def of(self, system: str, mouth: str | None = None) -> list[dict[str, Any]]:
        """A system's records; mouth: only of frames with this change of the mouth."""
        return [row for row in self.rows if row["system"] == system and mouth in (None, row["mouth"])]

    def people(self, system: str, key: str) -> list[float]:
        """Each person's mean."""
        return list(mean_over_people((row["person"], row[key]) for row in self.of(system)).values())

    def mean(self, system: str, key: str) -> float:
        """Mean over people of a person's mean."""
        return float(np.mean(self.people(system, key)))


def print_tables(results: Results, names: Sequence[str]) -> None:
    """Print all metrics of the systems: whole frames, parts of the face, by motion of mouth and head."""
    identity = results.people("real", "identity")
    title = f"Whole frame, {len(identity)} people (identity of real frames {np.mean(identity):.3f})"
    print_head(["", *HEAD, *FURTHER], title)
    for name in names:
        identity = f"{results.mean(name, 'identity'):.3f}; {min(results.people(name, 'identity')):.3f}"
        sharpness, flicker = results.mean(name, "sharpness"), max(results.flicker[name])
        print_row([name, *_means(results, name, ""), identity, f"{sharpness:.2f}", f"{flicker:.3f}"])
    for part in ("mouth", "eyes"):
        print_head(["", *HEAD], f"Boxes of the {part}")
        for name in names:
            print_row([name, *_means(results, name, f"{part}_")])

    def by_head(rows: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
        return {label: [r for r in rows if low <= r["moved"] < high] for label, (low, high) in HEAD_MOTION.items()}

    mouth = {name: {change: results.of(name, change) for change in MOUTH_CHANGES} for name in names}
    head = {name: by_head(results.of(name)) for name in names}
    for title, groups, part in (
        ("Mouth box by change of the mouth: PSNR / SSIM / distance", mouth, "mouth_"),
        ("Whole frame by motion of the head: PSNR / SSIM / distance", head, ""),
    ):
        print_head(["", *(f"{label} ({len(rows)} frames)" for label, rows in groups[names[0]].items())], title)
        for name in names:
            print_row([name, *(_over_frames(rows, part) for rows in groups[name].values())])


def print_gains(results: Results, names: Sequence[str]) -> None:
    """Print for each system its gain over the warp in the mouth box, and whether it reaches the targets."""
    head = [f"mouth {change}" for change in GAINS]
    head += ["whole frame: PSNR / SSIM / distance", "identity", "sharpness", "static motion"]
    print_head(["", *head], "Gain over the warp (dB, change of the distance), and targets")
    targets = [f"{gain:+.1f} dB" for gain in GAINS.values()]
    targets[0] += f", {-DISTANCE_GAIN:+.0%}"
    targets += ["better than still and warp", f"{IDENTITY:.2f}", f"{SHARPNESS:.2f}", f"{DIFFERENCE:.1f} / 255"]
    print_row(["target", *targets])
    for name in names:
        cells = gains(results, name)
        print_row([name, *(text if passed is None else f"{text} {verdict(passed)}" for text, passed in cells)])


def gains(results: Results, name: str) -> list[tuple[str, bool | None]]:
    """Return for each column of `print_gains` the value, and whether it reaches the target (None: not applicable)."""
    has_target = name not in BASELINES
    cells: list[tuple[str, bool | None]] = []
    for change, target in GAINS.items():
        own, warp = results.of(name, change), results.of("warp", change)
        if not (own and warp):
            cells.append(("-", None))
            continue
        gain = _mean(own, "mouth_psnr") - _mean(warp, "mouth_psnr")
        less = 1 - _mean(own, "mouth_distance") / _mean(warp, "mouth_distance")
        enough = gain >= target and (change != "opened" or less >= DISTANCE_GAIN)
        cells.append((f"{gain:+.2f} dB, {-less:+.0%}", enough if has_target else None))
    better = None
    if has_target and all(results.of(baseline) for baseline in BASELINES):
        psnr, ssim, distance = ([results.mean(n, key) for n in (name, *BASELINES)] for key in METRICS)
        better = psnr[0] > max(psnr[1:]) and ssim[0] > max(ssim[1:]) and distance[0] < min(distance[1:])
    cells.append((" / ".join(_means(results, name, "")), better))
    identity, sharpness = (results.mean(name, key) for key in ("identity", "sharpness"))
    flicker = max(results.flicker[name])
    measured = (
        (f"{identity:.3f}", identity >= IDENTITY),
        (f"{sharpness:.2f}", sharpness >= SHARPNESS),
        (f"{flicker:.3f}", flicker <= DIFFERENCE),
    )
    return [*cells, *((text, enough if has_target else None) for text, enough in measured)]


def _means(results: Results, name: str, part: str) -> list[str]:
    return [f"{results.mean(name, part + key):.{digits}f}" for key, digits in METRICS.items()]


def _over_frames(rows: Sequence[dict[str, Any]], part: str) -> str:
    return " / ".join(f"{_mean(rows, part + k):.{digits}f}" for k, digits in METRICS.items()) if rows else "-"


def _mean(rows: Sequence[dict[str, Any]], key: str) -> float:
    return float(np.mean([row[key] for row in rows]))
