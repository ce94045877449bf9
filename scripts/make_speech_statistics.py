"""Statistics of typical recordings, with which a stream begins: assets/fd2talk/speech_statistics.safetensors.

    python scripts/make_speech_statistics.py --prepared .cache/prepared -o runs/speech_statistics.safetensors

Means over the training people, without the development people, each counting alike.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import click
import numpy as np

from shared.face_model import load_bundled
from shared.prepared import load_motions, read_index
from shared.speech.encoder import SpeechEncoder
from shared.splits import is_development
from shared.weights import bundled
from stage1_motion.dataset import cached_speech
from stage1_motion.speech_events import SpeechEventDetector
from stage1_motion.streaming.statistics import SpeechStatistics


@click.command(help=__doc__)
@click.option("--prepared", type=click.Path(exists=True, path_type=Path), default=".cache/prepared", show_default=True)
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True)
def main(prepared: Path, output: Path) -> None:
    detector = SpeechEventDetector.load(bundled("fd2talk/speech_events.safetensors"))
    encoded = cached_speech(SpeechEncoder.from_pretrained(), detector, ".cache")
    rows = [row for row in read_index(prepared) if row["split"] == "train" and row["audio"] == "ok"]
    rows = [row for row in rows if not is_development(row["person"])]
    motions = load_motions(prepared, rows, load_bundled())
    people = defaultdict(list)
    for row in rows:
        motion = motions[row["name"]]
        features, speaks = encoded(row["name"], motion)
        if speaks.sum() < 10:
            continue
        weights = speaks / speaks.sum()
        mean = weights @ features
        people[row["person"]].append([mean, weights @ np.square(features - mean)])
    means, variances = ([np.mean([c[k] for c in clips], axis=0) for clips in people.values()] for k in range(2))
    SpeechStatistics(np.mean(means, axis=0), np.sqrt(np.mean(variances, axis=0))).save(output)
    print(f"{len(rows)} clips of {len(people)} people")


if __name__ == "__main__":
    main()
