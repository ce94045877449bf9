"""Whether DiffPoseTalk's styles work, on people who were never trained on.

    python scripts/evaluate_styles.py --prepared .cache/prepared [--weights FOLDER] [--split val] [--plot styles.png]

* Recognised: the first half of each person's longest clip gives the style. Real: how often the second half is nearest
  to its own person's style among all. Generated: motion for the next person's speech with the style, encoded again. The
  network alone, for several scales of the guidance on style. Another seed for every clip.
* Named styles: movement of mouth and head, mean over the demo recordings, with all rules. Head speed: the mean angle by
  which the head turns from frame to frame, about any axis, times the frame rate.
* `--plot`: ten styles, each with the speech of twenty clips, encoded again, in the plane of their two first principal
  components (DiffPoseTalk, figure 4).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
from held_out_clips import seed_of
from markdown_tables import print_head, print_row
from scipy.spatial.transform import Rotation
from tqdm import tqdm

from shared.media import read_audio
from shared.motion import Motion
from shared.prepared import load_motions, read_index
from shared.weights import bundled
from stage1_motion.interface import SamplingOptions
from stage1_motion.pipeline import MotionPipeline
from stage1_motion.postprocessing import NO_RULES
from stage1_motion.style import Style

_FRAMES = 60  # of the shortest clip that counts
_EXISTING = click.Path(exists=True, path_type=Path)


@click.command(help=__doc__)
@click.option("--prepared", type=_EXISTING, default=".cache/prepared", show_default=True, help="Prepared clips.")
@click.option("--weights", default="bundled", show_default=True, help="Motion model weights.")
@click.option("--split", default="val", show_default=True)
@click.option("--scale", "scales", multiple=True, type=float, help="Style guidance (default: the weights' own).")
@click.option("--plot", type=click.Path(path_type=Path), help="Write the plot here.")
def main(prepared: Path, weights: str, split: str, scales: tuple[float, ...], plot: Path | None) -> None:
    pipeline = MotionPipeline.from_pretrained(weights, model="diffposetalk")
    rows = [row for row in read_index(prepared) if row["split"] == split and row["audio"] == "ok"]
    motions = load_motions(prepared, rows, pipeline.face_model)
    longest: dict[str, Motion] = {}
    for row in rows:
        if len(motions[row["name"]]) >= max(_FRAMES, len(longest.get(row["person"], ()))):
            longest[row["person"]] = motions[row["name"]]
    people = sorted(longest)
    clips = [longest[name] for name in people]
    halves = [(m.slice(0, len(m) // 2), m.slice(len(m) // 2, len(m))) for m in clips]
    styles = [pipeline.style_of(first) for first, _ in halves]
    vectors = np.stack([style.vector for style in styles])

    def recognised(found: list[np.ndarray]) -> float:
        nearest = (np.stack(found) @ vectors.T).argmax(1)
        return float((nearest == np.arange(len(vectors))).mean())

    def generated(style: Style, speech: Motion, seed: int, scale: float | None = None) -> np.ndarray:
        options = SamplingOptions(style_guidance=scale)
        motion = pipeline(speech.audio, seed=seed, style=style, options=options, postprocessing=NO_RULES)
        return pipeline.style_of(motion).vector

    print(f"\n{len(clips)} people of {split}; chance {1 / len(clips):.3f}\n")
    print_head(["motion", "recognised"])
    real = recognised([pipeline.style_of(second).vector for _, second in halves])
    print_row(["real, the other half", f"{real:.3f}"])
    others = clips[1:] + clips[:1]
    for scale in scales or (None,):
        jobs = zip(tqdm(people, leave=False), styles, others)
        made = [generated(style, other, seed_of(name, 0), scale) for name, style, other in jobs]
        print_row(["generated" if scale is None else f"generated, scale {scale:g}", f"{recognised(made):.3f}"])

    print()
    print_head(["named style", "lip gap, mean (mm)", "lip gap, standard deviation (mm)", "head speed (degrees/s)"])
    for name in pipeline.style_names:
        print_row([name, *(f"{value:.2f}" for value in on_demo(pipeline, pipeline.named_style(name)))])
    if plot is not None:
        _draw(plot, styles[:10], {name: longest[name] for name in people[:20]}, generated)


def on_demo(pipeline: MotionPipeline, style: Style, options: SamplingOptions = SamplingOptions()) -> np.ndarray:
    """`movement` [3] with a style, the mean over the demo recordings, each with a seed of its own."""
    found = []
    for path in sorted(bundled("demo").glob("*.wav")):
        motion = pipeline(read_audio(path), seed=seed_of(path.stem, 0), style=style, options=options)
        found.append(movement(pipeline, motion))
    return np.mean(found, axis=0)


def movement(pipeline: MotionPipeline, motion: Motion) -> tuple[float, float, float]:
    """Mean and standard deviation of the lip gap in mm, mean speed of the head in degrees a second, about any axis."""
    gap = pipeline.model.space.lip_gap(motion.identity, motion.expression)
    heads = Rotation.from_rotvec(motion.rotation)
    turn = np.degrees((heads[1:] * heads[:-1].inv()).magnitude().mean()) * motion.fps
    return float(gap.mean()), float(gap.std()), float(turn)


def _draw(path: Path, styles: list[Style], clips: dict[str, Motion], generated: Callable[..., np.ndarray]) -> None:
    """The plane of the principal components."""
    from matplotlib import pyplot as plt

    made: dict[int, list[np.ndarray]] = defaultdict(list)
    for index, style in enumerate(tqdm(styles, leave=False)):
        made[index] = [generated(style, clip, seed_of(name, index)) for name, clip in clips.items()]
    everything = np.concatenate([np.stack(v) for v in made.values()])
    mean = everything.mean(0)
    axes = np.linalg.svd(everything - mean, full_matrices=False)[2][:2]
    figure, plane = plt.subplots(figsize=(6, 5), dpi=110)
    colours = plt.get_cmap("tab10")
    for index, vectors in made.items():
        at = (np.stack(vectors) - mean) @ axes.T
        plane.scatter(*at.T, s=14, color=colours(index))
        plane.scatter(*((styles[index].vector - mean) @ axes.T), s=90, marker="*", color=colours(index), edgecolor="k")
    plane.set(xlabel="first component", ylabel="second component")
    plane.set_title("Ten styles (stars), each with twenty recordings")
    figure.tight_layout()
    figure.savefig(path)


if __name__ == "__main__":
    main()
