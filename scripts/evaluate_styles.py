"""Whether DiffPoseTalk's styles work, on people who were never trained on.

    python scripts/evaluate_styles.py --prepared .cache/prepared [--weights FOLDER] [--split val] [--plot styles.png]

* Recognised: the first half of each person's longest clip gives the style. Real: how often the second half is nearest
  to its own person's style among all. Generated: motion for the next person's speech with the style, encoded again. The
  network alone, for several scales of the guidance on style.
* Named styles: movement of mouth and head, mean over the demo recordings, with all rules.
* `--plot`: ten styles, each with the speech of twenty clips, encoded again, in the plane of their two first principal
  components (DiffPoseTalk, figure 4).
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import click
import numpy as np
from markdown_tables import print_head, print_row
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
    clips = [longest[name] for name in sorted(longest)]
    halves = [(m.slice(0, len(m) // 2), m.slice(len(m) // 2, len(m))) for m in clips]
    styles = [pipeline.style_of(first) for first, _ in halves]
    vectors = np.stack([style.vector for style in styles])

    def recognised(found: list[np.ndarray]) -> float:
        nearest = (np.stack(found) @ vectors.T).argmax(1)
        return float((nearest == np.arange(len(vectors))).mean())

    def generated(style: Style, speech: Motion, scale: float | None) -> np.ndarray:
        options = SamplingOptions(style_guidance=scale)
        motion = pipeline(speech.audio, style=style, options=options, postprocessing=NO_RULES)
        return pipeline.style_of(motion).vector

    print(f"\n{len(clips)} people of {split}; chance {1 / len(clips):.3f}\n")
    print_head(["motion", "recognised"])
    real = recognised([pipeline.style_of(second).vector for _, second in halves])
    print_row(["real, the other half", f"{real:.3f}"])
    others = clips[1:] + clips[:1]
    for scale in scales or (None,):
        made = [generated(style, other, scale) for style, other in zip(tqdm(styles, leave=False), others)]
        print_row(["generated" if scale is None else f"generated, scale {scale:g}", f"{recognised(made):.3f}"])

    print()
    print_head(["named style", "lip gap, mean (mm)", "lip gap, standard deviation (mm)", "head speed (degrees/s)"])
    recordings = [read_audio(path) for path in sorted(bundled("demo").glob("*.wav"))]
    for name in pipeline.style_names:
        figures = [movement(pipeline, pipeline(audio, style=pipeline.named_style(name))) for audio in recordings]
        print_row([name, *(f"{value:.2f}" for value in np.mean(figures, axis=0))])
    if plot is not None:
        _draw(plot, pipeline, styles[:10], clips[:20], generated)


def movement(pipeline: MotionPipeline, motion: Motion) -> tuple[float, float, float]:
    """Mean and standard deviation of the lip gap in mm, mean speed of the head in degrees a second."""
    gap = pipeline.model.space.lip_gap(motion.identity, motion.expression)
    turn = np.degrees(np.abs(np.diff(motion.rotation, axis=0)).mean()) * motion.fps
    return float(gap.mean()), float(gap.std()), float(turn)


def _draw(path: Path, pipeline: MotionPipeline, styles: list[Style], clips: list[Motion], generated) -> None:
    """The plane of the principal components."""
    from matplotlib import pyplot as plt

    made: dict[int, list[np.ndarray]] = defaultdict(list)
    for index, style in enumerate(tqdm(styles, leave=False)):
        made[index] = [generated(style, clip, None) for clip in clips]
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
