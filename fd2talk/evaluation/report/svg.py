"""Two plots as inline SVG, coloured by the page's style sheet: curves over time, and a strip of clips by system."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from fd2talk.evaluation.report.model import finite

Curve = Sequence[float | None]
_LEFT, _RIGHT, _BOTTOM = 40, 16, 22
_ROW, _NAMES = 26, 150


def curves(generated: Curve, reference: Curve, fps: float, top: float, colour: int) -> str:
    """Return a plot of a generated and its reference curve over time; missing values leave gaps.

    Args:
        generated: values by frame.
        reference: values by frame.
        fps: frames per second.
        top: upper end of the vertical axis, which begins at 0.
        colour: number of the generated curve's colour.
    """
    width, height = 420, 120
    seconds = max(len(generated), len(reference), 2) / fps
    left, bottom = _LEFT, height - _BOTTOM

    def x(second: float) -> float:
        return left + second / seconds * (width - left - _RIGHT)

    def y(value: float) -> float:
        return bottom - value / (top or 1.0) * (bottom - 6)

    def path(curve: Curve, style: str) -> str:
        pen, steps = "M", []
        for i, value in enumerate(curve):
            if value is None or not math.isfinite(value):
                pen = "M"
                continue
            steps.append(f"{pen}{x(i / fps):.1f} {y(value):.1f}")
            pen = "L"
        return f'<path class="{style}" d="{"".join(steps)}"/>'

    ticks = [f'<text x="{x(at):.0f}" y="{height - 6}" class="x">{_short(at)} s</text>' for at in _ticks(0, seconds, 5)]
    for at in _ticks(0, top, 4):
        ticks.append(f'<line class="grid" x1="{left}" x2="{width - _RIGHT}" y1="{y(at):.1f}" y2="{y(at):.1f}"/>')
        ticks.append(f'<text x="{left - 5}" y="{y(at) + 4:.1f}" class="y">{_short(at)}</text>')
    return _svg(width, height, [*ticks, path(reference, "reference"), path(generated, f"generated c{colour}")])


def strips(rows: Sequence[tuple[str, int | None, Sequence[tuple[str, float]]]]) -> str:
    """Return a plot with a row for each system, a dot for each of its clips and a bar at their mean.

    Args:
        rows: (system, number of its colour or None for real clips, [(clip, value)]).
    """
    values = finite(value for _, _, clips in rows for _, value in clips)
    low, high = min(values), max(values)
    margin = (high - low) * 0.04 or abs(high) * 0.1 or 1.0
    low, high = low - margin, high + margin
    width, bottom = 560, _ROW * len(rows) + 4

    def x(value: float) -> float:
        return _NAMES + (value - low) / (high - low) * (width - _NAMES - 14)

    parts = []
    for at in _ticks(low, high, 5):
        parts.append(f'<line class="grid" x1="{x(at):.1f}" x2="{x(at):.1f}" y1="2" y2="{bottom}"/>')
        parts.append(f'<text x="{x(at):.1f}" y="{bottom + 15}" class="x">{_short(at)}</text>')
    for i, (name, colour, clips) in enumerate(rows):
        middle = i * _ROW + _ROW / 2 + 2
        style = "rc" if colour is None else f"c{colour}"
        label = name if len(name) <= 22 else name[:21] + "…"
        parts.append(f'<text x="{_NAMES - 12}" y="{middle + 4}" class="y">{escape(label)}</text>')
        for j, (clip, value) in enumerate(clips):
            up = (j * 0.618 % 1 - 0.5) * (_ROW - 12)  # evenly spaced, the same in every plot
            dot = f'<circle class="dot {style}" cx="{x(value):.1f}" cy="{middle + up:.1f}" r="3">'
            parts.append(f"{dot}<title>{escape(clip)}: {value:.4g}</title></circle>")
        mean = sum(value for _, value in clips) / len(clips)
        parts.append(
            f'<line class="mean" x1="{x(mean):.1f}" x2="{x(mean):.1f}" y1="{middle - 11}" y2="{middle + 11}">'
            f"<title>{escape(name)}, mean: {mean:.4g}</title></line>"
        )
    return _svg(width, bottom + _BOTTOM, parts)


def _svg(width: int, height: int, parts: list[str]) -> str:
    return f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">{"".join(parts)}</svg>'


def _ticks(low: float, high: float, count: int) -> list[float]:
    """Round numbers within [low, high], approximately `count` of them."""
    if not high > low:
        return [low]
    raw = (high - low) / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(size * power for size in (1, 2, 5, 10) if size * power >= raw)
    return [i * step for i in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _short(value: float) -> str:
    return f"{value:.4g}"
