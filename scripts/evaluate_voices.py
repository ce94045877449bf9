"""Lips with voices unlike those that were learned from: other languages, synthetic, sung and high voices.

    python scripts/evaluate_voices.py --curves out/voices.png

Each sound lies between a second and a half of silence. Languages and the synthetic voice are espeak-ng's (Debian's
package of that name; without it they are left out). Prints Markdown: the aperture of the lips while there is sound,
its correlation with the loudness, and its mean and spread in the silence, of the whole pipeline with the mean face.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

import click
import numpy as np
from demo import demo_speech
from markdown_tables import print_head, print_row

from shared.face_model.measures import lip_aperture
from shared.media import FPS, SAMPLE_RATE, read_audio
from shared.speech.training.recordings import change_speed
from stage1_motion.pipeline import MotionPipeline

_PAD = 1.5  # seconds
_SETTLED = 12  # frames after the sound's end until the mouth must be at rest
_SENTENCES = {
    "en-us": "Good morning! Please bring my umbrella, and put the blue book back on the table before lunch.",
    "de": "Guten Morgen! Bitte bring mir meinen Schirm und lege das blaue Buch vor dem Essen auf den Tisch.",
    "fr": "Bonjour! Apporte-moi mon parapluie, et remets le livre bleu sur la table avant le repas.",
    "es": "¡Buenos días! Trae mi paraguas, por favor, y pon el libro azul en la mesa antes de comer.",
    "cmn": "早上好!请把我的雨伞拿来,午饭前把蓝色的书放回桌上。",
    "ar": "صباح الخير! من فضلك أحضر مظلتي وضع الكتاب الأزرق على الطاولة قبل الغداء.",
}
# Formants in Hz of a, e, i, o, u (Peterson and Barney 1952, men).
_VOWELS = {
    "a": (730, 1090, 2440),
    "e": (530, 1840, 2480),
    "i": (270, 2290, 3010),
    "o": (570, 840, 2410),
    "u": (300, 870, 2240),
}


@click.command(help=__doc__)
@click.option("--weights", default="bundled", show_default=True, help="Motion model weights.")
@click.option("--curves", type=click.Path(path_type=Path), help="Write the curves as a picture.")
def main(weights: str, curves: Path | None) -> None:
    pipeline = MotionPipeline.from_pretrained(weights)
    face = pipeline.face_model
    neutral = np.zeros(face.num_identity, np.float32)
    silence = np.zeros(round(_PAD * SAMPLE_RATE), np.float32)
    drawn = {}
    print_head(["voice", "aperture", "its spread", "r with loudness", "in silence: aperture", "its spread"])
    for name, sound in voices().items():
        audio = np.concatenate([silence, sound, silence])
        aperture = lip_aperture(face.vertices(neutral, pipeline(audio).expression))  # [T]
        first, last = round(_PAD * FPS), round((_PAD + len(sound) / SAMPLE_RATE) * FPS)
        spoken, quiet = aperture[first:last], aperture[last + _SETTLED :]
        r = np.corrcoef(spoken, _loudness(sound, len(spoken)))[0, 1]
        cells = [spoken.mean(), spoken.std(), r, quiet.mean(), quiet.std()]
        print_row([name, *(f"{cell:.3f}" for cell in cells)])
        drawn[name] = (aperture, _loudness(audio, len(aperture)))
    if curves:
        _draw(drawn, curves)


def voices() -> dict[str, np.ndarray]:
    """Name -> float32 [n], 16 kHz."""
    speech = demo_speech()
    sounds = {"the demo recording": speech, "the same, a child's pitch": child(speech), "sung vowels": sung()}
    if shutil.which("espeak-ng"):
        sounds |= {f"espeak-ng, {language}": spoken(text, language) for language, text in _SENTENCES.items()}
        sounds["espeak-ng, en-us, whispered"] = spoken(_SENTENCES["en-us"], "en-us+whisper")
    return sounds


def child(speech: np.ndarray) -> np.ndarray:
    """Pitch and formants raised by a third, which also speaks as much faster."""
    return change_speed((speech * 32767).astype(np.int16), (3, 4)).astype(np.float32) / 32768


def sung(seconds: float = 0.8) -> np.ndarray:
    """The five vowels on a rising fifth with vibrato: a pulse train through the vowels' resonances."""
    time = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    notes = []
    for step, formants in zip((0, 2, 4, 5, 7), _VOWELS.values()):
        pitch = 196 * 2 ** (step / 12) * (1 + 0.015 * np.sin(2 * np.pi * 5.5 * time))
        phase = 2 * np.pi * np.cumsum(pitch) / SAMPLE_RATE
        note = np.zeros(len(time))
        for harmonic in range(1, int(SAMPLE_RATE / 2 / pitch.max())):
            gain = sum(1 / (1 + ((harmonic * pitch - formant) / 90) ** 2) for formant in formants)
            note += gain * np.sin(harmonic * phase) / harmonic**0.5
        notes.append(note * np.minimum(1, 20 * np.minimum(time, time[::-1])))
    sound = np.concatenate(notes)
    return (0.3 * sound / np.abs(sound).max()).astype(np.float32)


def spoken(text: str, voice: str) -> np.ndarray:
    """A sentence by espeak-ng."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "speech.wav"
        subprocess.run(["espeak-ng", "-v", voice, "-w", path, text], check=True)
        return read_audio(path)


def _loudness(sound: np.ndarray, frames: int) -> np.ndarray:
    """[frames]: level in decibels, faint sounds cut off at -50."""
    size = SAMPLE_RATE // FPS
    padded = np.pad(sound, (0, max(0, frames * size - len(sound))))[: frames * size]
    return 10 * np.log10(np.square(padded.reshape(frames, size)).mean(1) + 1e-5)


def _draw(drawn: dict[str, tuple[np.ndarray, np.ndarray]], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(len(drawn), figsize=(10, 1.6 * len(drawn)), layout="constrained")
    for axis, (name, (aperture, loudness)) in zip(np.atleast_1d(axes), drawn.items()):
        time = np.arange(len(aperture)) / FPS
        axis.fill_between(time, (loudness + 50) / 300, color="0.85")
        axis.plot(time, aperture)
        axis.set(title=name, ylim=(0, 0.25))
    figure.savefig(path, dpi=70)


if __name__ == "__main__":
    main()
