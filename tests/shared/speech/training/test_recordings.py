"""Reading, labelling and caching of recordings."""

import json
import wave

import numpy as np
import pytest

from shared.errors import InputError
from shared.speech.training.recordings import PHONES, load_recordings


def made_up_data(folder):
    """A data folder of two sentences of one speaker and one talking clip's sound."""
    for part in ("speech", "clips/ann"):
        (folder / part).mkdir(parents=True)
    write_wave(folder / "speech" / "0001.wav", 32_000)
    write_wave(folder / "clips" / "ann" / "v01.mp4", 16_000)
    (folder / "speech" / "manifest.csv").write_text(
        "file,utt,start,end,speaker,split,age,gender,text,phones\n"
        "0001.wav,a,0,0.5,0001,train,30,f,oh,OW1\n0001.wav,b,0.5,2,0001,train,30,f,see,S IY1\n"
        "0001.wav,c,0,1,0002,test,30,f,see,S IY1\n"
    )
    (folder / "clips" / "manifest.csv").write_text(
        "file,person,split,audio,text\nann/v01.mp4,ann,train,weak,\nbob/v01.mp4,bob,train,none,\n"
    )
    lines = [{"utt": "b", "phones": [["SIL", 0, 20], ["S", 20, 60], ["IY", 60, 150]]}]
    (folder / "speech" / "alignment.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def write_wave(path, samples):
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16000, samples, "NONE", ""))
        file.writeframes((np.sin(np.arange(samples) / 9) * 9000).astype("<i2").tobytes())


def test_recordings_are_read_labelled_and_cached(tmp_path):
    data, cache = made_up_data(tmp_path / "data"), tmp_path / "cache"
    recordings = load_recordings(data, tmp_path, cache, splits=("train",), teach=False)
    assert [(r.name, r.kind, len(r.audio)) for r in recordings] == [
        ("a", "speech", 8000),
        ("b", "speech", 24_000),
        ("ann__v01", "clips", 16_000),
    ]
    assert recordings[0].phones is None and len(recordings[1].phones) == 150
    assert [PHONES[i] for i in recordings[1].phones[[0, 19, 20, 59, 60, 149]]] == ["SIL", "SIL", "S", "S", "IY", "IY"]
    up, down = recordings[1].speed
    assert len(recordings[1].altered_audio()) == pytest.approx(24_000 * up / down, abs=2)
    (data / "speech" / "0001.wav").unlink()
    again = load_recordings(data, tmp_path, cache, splits=("train",), teach=False)
    assert np.array_equal(again[1].audio, recordings[1].audio)
    with pytest.raises(InputError, match="does not exist"):
        load_recordings(tmp_path / "nowhere", tmp_path, cache, splits=("train",))
    with pytest.raises(InputError, match="melspectrogram"):
        load_recordings(data, tmp_path, cache, splits=("train",))
