"""Phone alignment of transcribed recordings with the English acoustic model of pocketsphinx.

    python scripts/align_speech.py speech DATA/speech alignment.jsonl    # sentences of manifest.csv without one
    python scripts/align_speech.py clips DATA/clips grid_alignment.jsonl  # talking clips with a transcript

`speech` lines are {"utt", "how", "phones": [[phone, from, to], ...]} at 100 Hz within the utterance, and begin with a
copy of DATA/speech/alignment.jsonl; `clips` lines are {"file", "how", "phones"} in seconds of the clip. A stopped run
resumes.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
from pocketsphinx import Decoder
from tqdm import tqdm

from shared.media import SAMPLE_RATE, read_audio

SILENCES = {"SIL", "+NSN+", "+SPN+"}


class Aligner:
    """Forced alignment in two passes: the words, then their phones."""

    def __init__(self) -> None:
        self.decoders = [
            Decoder(loglevel="FATAL", samprate=SAMPLE_RATE),
            # Pronunciations far from the dictionary's need a very wide beam.
            Decoder(loglevel="FATAL", samprate=SAMPLE_RATE, beam=1e-300, pbeam=1e-300, wbeam=1e-300, maxhmmpf=-1),
        ]

    def __call__(self, audio: np.ndarray, words: list[str], phones: list[list[str]] | None) -> list[list]:
        """Align a recording.

        Args:
            audio: float32 [n], 16 kHz.
            words: the transcript.
            phones: of each word, for words that the dictionary lacks; or None.

        Returns:
            [[phone, from, to], ...] in hundredths of a second, contiguous.

        Raises:
            ValueError: a word is unknown, or the audio does not match the transcript.
        """
        data = (np.clip(audio, -1, 1) * 32767).astype(np.int16).tobytes()
        error = ValueError("nothing was aligned")
        for decoder in self.decoders:
            names = _names(decoder, words, phones)
            try:
                decoder.set_align_text(" ".join(names))
                _decode(decoder, data)
                decoder.set_alignment()
                _decode(decoder, data)
                aligned = [
                    ["SIL" if phone.name in SILENCES else phone.name, phone.start, phone.start + phone.duration]
                    for word in decoder.get_alignment()
                    for phone in word
                ]
                if aligned:
                    return aligned
            except RuntimeError as reason:
                error = ValueError(f"the transcript does not match the audio ({reason})")
        raise error


def _names(decoder: Decoder, words: list[str], phones: list[list[str]] | None) -> list[str]:
    """Dictionary entries of the words; missing ones are added with their phones."""
    names = []
    for position, word in enumerate(words):
        name = word.lower()
        if decoder.lookup_word(name) is None:
            if not phones:
                raise ValueError(f"no pronunciation of {word!r}")
            pronunciation = " ".join(phone.rstrip("012") for phone in phones[position])
            name = f"{name}_{pronunciation.replace(' ', '_')}"
            if decoder.lookup_word(name) is None:
                decoder.add_word(name, pronunciation, True)
        names.append(name)
    return names


def _decode(decoder: Decoder, data: bytes) -> None:
    decoder.start_utt()
    decoder.process_raw(data, full_utt=True)
    decoder.end_utt()


def _read_csv(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _done(output: Path, key: str) -> set[str]:
    """Names already in the output; an incomplete last line is removed."""
    if not output.exists():
        return set()
    lines = [line for line in output.read_text().splitlines(keepends=True) if line.endswith("\n")]
    output.write_text("".join(lines))
    return {json.loads(line)[key] for line in lines}


@click.group()
def main() -> None:
    """Align phones."""


@main.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("output", type=click.Path(dir_okay=False, path_type=Path))
def speech(folder: Path, output: Path) -> None:
    """Sentences of FOLDER/manifest.csv (with words and phones), joined in one file per speaker."""
    if not output.exists():
        output.write_text((folder / "alignment.jsonl").read_text())
    done = _done(output, "utt")
    rows = [row for row in _read_csv(folder / "manifest.csv") if row["utt"] not in done]

    def utterances() -> Iterator[tuple[dict, np.ndarray, list[str], list[list[str]]]]:
        name, audio = None, None
        for row in rows:
            if row["file"] != name:
                name, audio = row["file"], read_audio(folder / row["file"])
            part = audio[round(float(row["start"]) * SAMPLE_RATE) : round(float(row["end"]) * SAMPLE_RATE)]
            phones = [word.split() for word in row["phones"].split("|")]
            yield {"utt": row["utt"], "how": "state"}, part, row["text"].split(), phones

    _align(utterances(), len(rows), output)


@main.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("output", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--split", "splits", multiple=True, default=("val", "personal"), show_default=True)
def clips(folder: Path, output: Path, splits: tuple[str, ...]) -> None:
    """Talking clips of FOLDER/manifest.csv with a transcript."""
    done = _done(output, "file")
    known = [row for row in _read_csv(folder / "manifest.csv") if row["text"] and row["split"] in splits]
    rows = [row for row in known if row["file"] not in done]
    items = (
        ({"file": row["file"], "how": "state"}, read_audio(folder / row["file"]), row["text"].split(), None)
        for row in rows
    )
    _align(items, len(rows), output, seconds=True)


def _align(items: Iterator, total: int, output: Path, seconds: bool = False) -> None:
    aligner, failed = Aligner(), 0
    with open(output, "a") as file:
        for line, audio, words, phones in tqdm(items, total=total, unit="utterance"):
            try:
                aligned = aligner(audio, words, phones)
            except ValueError as error:
                failed += 1
                print(f"{line}: {error}", file=sys.stderr)
                continue
            if seconds:
                aligned = [[phone, start / 100, end / 100] for phone, start, end in aligned]
            file.write(json.dumps({**line, "phones": aligned}) + "\n")
            file.flush()
    print(f"{total - failed} aligned, {failed} not")


if __name__ == "__main__":
    main()
