"""Forced alignment of speech."""

import importlib.util
from pathlib import Path

import pytest

from shared.media import read_audio
from shared.speech.training.recordings import PHONES


def test_words_are_aligned():
    pytest.importorskip("pocketsphinx")
    root = Path(__file__).parents[2]
    spec = importlib.util.spec_from_file_location("align_speech", root / "scripts" / "align_speech.py")
    align_speech = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(align_speech)
    audio = read_audio(root / "assets" / "demo" / "sense_and_sensibility_01_austen_64kb-0880.wav")
    aligner = align_speech.Aligner()
    words = "he was not an ill disposed young mannn".split()
    with pytest.raises(ValueError, match="mannn"):
        aligner(audio, words, None)
    phones = [["HH", "IY1"], *[[]] * 6, ["M", "AE1", "N"]]
    aligned = aligner(audio, words, phones)
    names = [phone for phone, _, _ in aligned if phone != "SIL"]
    assert names[:2] == ["HH", "IY"] and names[-3:] == ["M", "AE", "N"] and set(names) <= set(PHONES)
    assert all(before[2] == after[1] for before, after in zip(aligned, aligned[1:]))
    assert aligned[0][1] == 0 and aligned[-1][2] == pytest.approx(len(audio) / 160, abs=6)
