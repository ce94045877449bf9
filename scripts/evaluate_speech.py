"""A speech encoder on people it was not trained on, compared with log-mel features and the teacher.

    python scripts/evaluate_speech.py --data ../shared/data --models ../shared/models --cache .cache

Prints the linear phone accuracy on the test speakers of DATA/speech, and the correlation of a ridge regression to lip
aperture on the `val` people of DATA/clips: clean, with pink noise at 10 dB, with telephone bandwidth, and with another
person's speech (the regression is always the one fitted on clean speech).
"""

from __future__ import annotations

import time
from pathlib import Path

import click
import numpy as np
import torch

from shared.face_model.measures import lip_aperture
from shared.speech.encoder import SpeechEncoder
from shared.speech.training.augment import add_noise, coloured, telephone
from shared.speech.training.evaluate import (
    Features,
    LipRidge,
    foreign,
    log_mel_at_25,
    log_mel_in_context,
    phone_accuracy,
)
from shared.speech.training.recordings import load_recordings, track_mouths
from shared.speech.training.teacher import SpeechEmbedding


@click.command()
@click.option("--encoder", default="bundled", show_default=True, help="`bundled`, a folder, or a Hugging Face name.")
@click.option("--layer", type=int, help="Hidden state to use [default: the encoder's own].")
@click.option("--data", type=click.Path(exists=True, path_type=Path), default=Path("../shared/data"))
@click.option("--models", type=click.Path(exists=True, path_type=Path), default=Path("../shared/models"))
@click.option("--cache", type=click.Path(path_type=Path), default=Path(".cache"))
@click.option("--alignment", type=click.Path(exists=True, path_type=Path), help="Of scripts/align_speech.py.")
@click.option("--only", multiple=True, type=click.Choice(["log-mel", "teacher", "encoder"]))
@click.option("--phones/--no-phones", default=True)
def main(encoder, layer, data, models, cache, alignment, only, phones) -> None:
    """Print the figures."""
    torch.set_num_threads(1)
    student = SpeechEncoder.from_pretrained(encoder, layer=layer)
    teacher = SpeechEmbedding(models / "google_speech_embedding")
    systems: dict[str, tuple[Features, Features]] = {
        "log-mel": (log_mel_in_context, log_mel_at_25),
        "teacher": (teacher, teacher),
        "encoder": (student, student),
    }
    systems = {name: system for name, system in systems.items() if not only or name in only}
    recordings = load_recordings(data, models, cache, splits=("train", "val", "test"), alignment=alignment, teach=False)
    spoken = [r for r in recordings if r.kind == "speech" and r.phones is not None]
    train = [r for r in spoken if r.split == "train"][::3]
    test = [r for r in spoken if r.split == "test"]
    tracked = track_mouths(recordings, data, cache)
    clips = [r for r in recordings if r.name in tracked]
    aperture = {name: lip_aperture(landmarks) for name, landmarks in tracked.items()}
    people = len({r.person for r in clips if r.split == "val"})
    click.echo(f"phones: {len(train)} sentences to fit, {len(test)} to test; lips: {people} val people")
    click.echo(f"{'':10}{'phones %':>10}{'lips':>8}{'10 dB':>8}{'phone':>8}{'foreign':>8}{'ms per s':>10}")
    for name, (for_phones, for_lips) in systems.items():
        accuracy = phone_accuracy(for_phones, train, test) if phones else float("nan")

        def encoded(split: str, change=lambda audio: audio, features=for_lips) -> list:
            chosen = [r for r in clips if r.split == split]
            pairs = ((r.person, features(change(r.audio.astype(np.float32) / 32768)), aperture[r.name]) for r in chosen)
            return [(person, x[: len(a)], a[: len(x)]) for person, x, a in pairs]

        ridge = LipRidge([(x, a) for _, x, a in encoded("train")])
        started = time.monotonic()
        clean = encoded("val")
        cost = 1000 * (time.monotonic() - started) / sum(len(x) / 25 for _, x, _ in clean)
        generator = np.random.default_rng(0)
        noisy = encoded("val", lambda audio, g=generator: add_noise(audio, coloured(len(audio), 1.0, g), 10.0))
        scores = [ridge.score(c) for c in (clean, noisy, encoded("val", telephone), foreign(clean))]
        click.echo(f"{name:10}{accuracy:10.1f}" + "".join(f"{s:8.3f}" for s in scores) + f"{cost:10.1f}")


if __name__ == "__main__":
    main()
