"""The named styles of DiffPoseTalk: each the mean of the training people who have most, or least, of something.

    python scripts/make_styles.py assets/diffposetalk --prepared .cache/prepared

Writes WEIGHTS/styles/NAME.npz and prints how the people of each style move. Mouth: standard deviation of the lip gap;
head: mean speed, over the
three axes, too. Calm and lively: the mean rank in both.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import click
import numpy as np
from markdown_tables import print_head, print_row

from shared.face_model import load_bundled
from shared.prepared import load_motions, read_index
from shared.splits import is_development
from stage1_motion.style import Style
from stage1_motion.style.encoder import StyleReader

_PEOPLE = 10  # of each style
_FRAMES = 60  # of the shortest clip that counts
_EXISTING = click.Path(exists=True, path_type=Path)


@click.command(help=__doc__)
@click.argument("weights", type=_EXISTING)
@click.option("--prepared", type=_EXISTING, default=".cache/prepared", show_default=True, help="Prepared clips.")
def main(weights: Path, prepared: Path) -> None:
    reader = StyleReader.load(weights / "style_encoder.safetensors", load_bundled())
    space, count = reader.space, reader.space.model.num_expression
    rows = [row for row in read_index(prepared) if row["split"] == "train" and row["audio"] == "ok"]
    rows = [row for row in rows if not is_development(row["person"])]
    motions = load_motions(prepared, rows, space.model)
    people: dict[str, list[np.ndarray]] = defaultdict(list)
    for row in rows:
        if len(motions[row["name"]]) >= _FRAMES:
            people[row["person"]].append(space.encode_unscaled(motions[row["name"]]))
    names = sorted(people)
    vectors = np.stack([np.mean([reader.encoder.encode(m) for m in people[name]], axis=0) for name in names])
    row, degrees = space.gap_row(), np.degrees(space.pose_std[:3])
    mouth = np.array([np.mean([(m[:, :count] @ row).std() for m in people[name]]) for name in names])
    turns = {name: [m[:, count : count + 3] * degrees for m in people[name]] for name in names}
    head = np.array([np.mean([np.abs(np.diff(t, axis=0)).mean() for t in turns[name]]) * 25 for name in names])
    energy = mouth.argsort().argsort() + head.argsort().argsort()

    middle = len(names) // 2 - _PEOPLE // 2
    orders = {"mouth": mouth.argsort(), "head": head.argsort(), "both": energy.argsort()}
    styles = {
        "small-mouth": orders["mouth"][:_PEOPLE],
        "medium-mouth": orders["mouth"][middle : middle + _PEOPLE],
        "wide-mouth": orders["mouth"][-_PEOPLE:],
        "still-head": orders["head"][:_PEOPLE],
        "moving-head": orders["head"][-_PEOPLE:],
        "calm": orders["both"][:_PEOPLE],
        "lively": orders["both"][-_PEOPLE:],
    }
    folder = weights / "styles"
    folder.mkdir(exist_ok=True)
    columns = ("lip gap, standard deviation (mm)", "head speed, mean over axes (degrees/s)")
    print_head([f"style, mean of {_PEOPLE} people", *columns])
    for name, chosen in styles.items():
        mean = vectors[chosen].mean(0)
        source = f"mean of {_PEOPLE} training people ({name.replace('-', ' ')})"
        style = Style(mean / np.linalg.norm(mean), reader.fingerprint, source, "research use, as the weights")
        style.save(folder / f"{name}.npz", overwrite=True)
        print_row([name, f"{mouth[chosen].mean():.2f}", f"{head[chosen].mean():.2f}"])


if __name__ == "__main__":
    main()
