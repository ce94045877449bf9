"""The diffusion renderer with and without each of its parts, at equal budget, in one table.

    python scripts/ablate_renderer.py [--frames 6] [--json runs/ablation]

Run in the root of the repository. Trains configs/ablations/renderer/*.yaml one after the other, measures every variant
with `evaluate_renderer.py`, and prints its last table. Nothing is repeated: a stopped training resumes from its
checkpoint, and results newer than their weights are reused. `rendered` variants switch a part off while the full
network renders, `trained` ones were trained without it.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
from renderer_tables import Results, print_gains

ROOT = Path(__file__).parent.parent
CONFIGS = ("full", "no_geometry", "no_detail", "concatenated")
# Row of the table -> the config of its weights, and further settings of the system in `evaluate_renderer.py`.
VARIANTS = {
    "full, 1 step": ("full", ""),
    "2 steps": ("full", "steps=2"),
    "4 steps": ("full", "steps=4"),
    "10 steps": ("full", "steps=10"),
    "50 steps": ("full", "steps=50"),
    "rendered without geometry conditioning, 10 steps": ("full", "geometry=off,steps=10"),
    "trained without geometry conditioning, 1 step": ("no_geometry", ""),
    "trained without geometry conditioning, 10 steps": ("no_geometry", "steps=10"),
    "rendered without detail transfer": ("full", "detail=off"),
    "trained without detail transfer": ("no_detail", "detail=off"),
    "trained without geometry conditioning, no detail transfer, 10 steps": ("no_geometry", "detail=off,steps=10"),
    "noise not shared by the frames": ("full", "noise=own"),
    "conditions concatenated": ("concatenated", ""),
}


@click.command(help=__doc__)
@click.option("--json", "folder", default="runs/ablation", show_default=True, type=click.Path(path_type=Path))
@click.option("--frames", default=6, show_default=True, help="Frames of each clip.")
@click.option("--limit", type=int, metavar="N", help="Only the first N clips.")
def main(folder, frames, limit) -> None:
    for name in CONFIGS:
        _run("-m", "fd2talk", "train", ROOT / "configs/ablations/renderer" / f"{name}.yaml")
    folder.mkdir(parents=True, exist_ok=True)
    settings = ["--frames", frames, *(["--limit", limit] if limit else [])]
    # Results for other frames or clips have another name.
    ending = f"_{frames}_{limit or 'all'}.json"
    script = ROOT / "scripts" / "evaluate_renderer.py"
    results = Results()
    path = folder / f"baselines{ending}"
    if not path.exists():
        _run(script, "--system", "still", "--system", "warp", "--json", path, *settings)
    results.add(path)
    for label, (config, switches) in VARIANTS.items():
        weights = Path(f"runs/ablation_{config}/best")
        path = folder / (label.replace(",", "").replace(" ", "_") + ending)
        if not path.exists() or path.stat().st_mtime < (weights / "unet.safetensors").stat().st_mtime:
            system = f"diffusion:weights={weights}" + (f",{switches}" if switches else "")
            _run(script, "--system", system, "--json", path, *settings)
        results.add(path, label)
    print_gains(results, [*results.flicker])


def _run(*arguments: object) -> None:
    """Run Python with these arguments; its output goes to standard error, apart from the table."""
    print(*arguments, file=sys.stderr, flush=True)
    subprocess.run([sys.executable, *map(str, arguments)], stdout=sys.stderr, check=True)


if __name__ == "__main__":
    main()
