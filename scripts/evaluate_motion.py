"""What `fd2talk evaluate` does not measure of stage one: seams of windows, silence, the lip expert on real motion.

    python scripts/evaluate_motion.py --data ../shared/data/clips --prepared .cache/prepared

One recording of a minute and a half, made of the clips' own speech, with the first clip's first frame as photo; for the
lip expert, all clips. Prints Markdown.
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
from markdown_tables import print_head, print_row

from shared.face_model.measures import lip_aperture
from shared.media import SAMPLE_RATE
from shared.motion import Motion
from shared.photo_fit import PhotoFit
from shared.prepared import clip_frames, load_motions, read_index
from shared.weights import bundled
from stage1_motion.dataset import cached_speech, load_clips
from stage1_motion.lip_expert.network import LipExpert
from stage1_motion.lip_expert.training import sync_auc
from stage1_motion.pipeline import MotionPipeline
from stage1_motion.windowed_sampling import seams

_LONG, _SILENCE = 90, 8  # seconds


@click.command(help=__doc__)
@click.option("--data", default="../shared/data/clips", show_default=True, help="Folder of the clips.")
@click.option("--prepared", default=".cache/prepared", show_default=True, help="Their prepared data set.")
@click.option("--weights", default="bundled", show_default=True, help="Motion model weights.")
@click.option("--split", default="val", show_default=True)
def main(data: str, prepared: str, weights: str, split: str) -> None:
    pipeline = MotionPipeline.from_pretrained(weights)
    rows = [row for row in read_index(prepared) if row["split"] == split and row["audio"] == "ok"]
    photo = PhotoFit.fit(next(clip_frames(data, rows[0])), pipeline.face_model)
    clips = load_motions(prepared, rows, pipeline.face_model).values()
    speech = np.concatenate([clip.audio for clip in clips])[: SAMPLE_RATE * _LONG]
    motion = pipeline(speech, photo=photo, seed=1)
    print_head(["metric", "value"])
    _seams(pipeline, photo, motion)
    _silence(pipeline, photo, lip_aperture(photo.vertices(motion.expression)))
    folder = bundled("fd2talk") if weights == "bundled" else Path(weights)
    encoded = cached_speech(pipeline.frontend.encoder, pipeline.frontend.detect, ".cache")
    windows, _ = load_clips(prepared, pipeline.model.space, encoded, split=split)
    auc = sync_auc(LipExpert.load(folder / "lip_expert.safetensors"), windows)
    print_row(["lip expert, AUC against shifted and other speech", f"{auc['shifted']:.3f}, {auc['foreign']:.3f}"])


def _seams(pipeline: MotionPipeline, photo: PhotoFit, motion: Motion) -> None:
    """Steps at the seams of windows against steps elsewhere."""
    # The mouth's vertices: blinks are added afterwards and have no seams.
    mouth = photo.vertices(motion.expression)[:, pipeline.face_model.groups["mouth"]].reshape(len(motion), -1)
    for name, part, curve in (
        ("expression", pipeline.model.expression, mouth),
        ("pose", pipeline.model.pose, np.hstack([motion.rotation, motion.translation])),
    ):
        step = np.linalg.norm(np.diff(curve, axis=0), axis=1)
        at = np.array(seams(part.network.config, len(motion))) - 1
        limit = np.percentile(np.delete(step, at), 99)
        label = f"{name}: largest step at {len(at)} seams over the 99th percentile elsewhere; share within it"
        print_row([label, f"{step[at].max() / limit:.2f}; {np.mean(step[at] <= limit):.2f}"])


def _silence(pipeline: MotionPipeline, photo: PhotoFit, speaking: np.ndarray) -> None:
    """The lips without speech; speaking: their aperture [T] with it."""
    noise = np.random.default_rng(0).normal(0, 1e-3, SAMPLE_RATE * _SILENCE)
    reference = f"{speaking.mean():.3f}, {speaking.std():.3f} speaking"
    for name, sound in (("digital silence", 0 * noise), ("faint noise", noise)):
        quiet = lip_aperture(photo.vertices(pipeline(sound.astype(np.float32), photo=photo).expression))
        label = f"{name}: mean and std. deviation of the aperture ({reference})"
        print_row([label, f"{quiet.mean():.3f}, {quiet.std():.3f}"])


if __name__ == "__main__":
    main()
