import importlib.util
import json
import wave
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import Wav2Vec2Model

from shared.errors import InputError
from shared.face_model.measures import lip_aperture
from shared.media import read_audio
from shared.speech.encoder import SpeechEncoder
from shared.speech.training.augment import add_noise, coloured, degrade, telephone
from shared.speech.training.evaluate import LipRidge, foreign, phone_accuracy
from shared.speech.training.mouth import MouthShape, fill_gaps, lips_without_head
from shared.speech.training.recordings import PHONES, Recording, load_recordings
from shared.speech.training.student import Student, encoder_config, start_as_filterbank
from shared.speech.training.task import SpeechTask
from shared.training.loop import TrainingConfig, train

TINY = dict(hidden_size=32, layers=1, heads=2, intermediate_size=64, conv_dim=(16, 16, 32))


def made_up_recordings(count: int = 26) -> list[Recording]:
    """Two 'phones', a low and a high tone, that the 'teacher' and the 'mouth' follow."""
    generator = np.random.default_rng(0)
    recordings = []
    for index in range(count):
        states = np.repeat(generator.integers(0, 2, 20), 4)  # 25 Hz, 3.2 s
        pitch = np.repeat(np.where(states, 900, 300), 640)
        audio = np.sin(2 * np.pi * np.cumsum(pitch) / 16000) + 0.01 * generator.standard_normal(len(pitch))
        teacher = np.stack([states, 1 - states, states * 2.0], 1).astype(np.float16)
        recordings.append(
            Recording(
                name=f"r{index}",
                kind="clips" if index % 2 else "speech",
                person=f"p{index}",
                split="train",
                audio=(8000 * audio).astype(np.int16),
                teacher=teacher,
                phones=np.repeat(1 + states, 4).astype(np.int8),
                mouth=np.stack([2.0 * states - 1] * 3, 1).astype(np.float32) if index % 2 else None,
            )
        )
    assert any(zlib.crc32(r.person.encode()) % 12 == 0 for r in recordings)
    return recordings


@pytest.mark.parametrize("mouth", [False, True])
def test_task_learns_and_what_it_saves_loads(tmp_path, mouth):
    task = SpeechTask(made_up_recordings(), TINY, mouth=mouth, seconds=1.6)
    with torch.no_grad():
        before = task.validate(task.model.eval())["score"]
    settings = dict(max_steps=60, batch_size=8, learning_rate=3e-3, warmup_steps=10, ema_decay=0.9, precision="no")
    result = train(task, TrainingConfig(output=str(tmp_path), validate_every=60, **settings))
    assert result["best_score"] > max(before, 0) + 0.1
    encoder = SpeechEncoder.from_pretrained(tmp_path / "best")
    assert encoder.normalise and encoder(np.zeros(16000, np.float32)).shape == (25, 32)
    again = SpeechTask(made_up_recordings(), TINY, mouth=True, start=str(tmp_path / "best"))
    assert torch.allclose(
        again.model.encoder.encoder.layers[0].feed_forward.output_dense.weight,
        encoder.model.encoder.layers[0].feed_forward.output_dense.weight,
    )


def test_batches_repeat_and_labels_fit_the_sound():
    task = SpeechTask(made_up_recordings(), TINY, seconds=1.6)
    one, two = (task.batch(torch.Generator().manual_seed(3), 6) for _ in range(2))
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert one["audio"].shape == (6, 25600) and one["phones"].shape == (6, 80) and one["teacher"].shape == (6, 40, 3)
    known = one["teacher_weight"].bool() & (one["phones"][:, ::2] > 0)
    high = one["teacher"][..., 0] > 0
    assert torch.equal(high[known], (one["phones"][:, ::2] == 2)[known])


def test_filterbank_start_hears_pitch():
    model = Wav2Vec2Model(encoder_config())
    start_as_filterbank(model, np.random.default_rng(0).standard_normal((4, 16000)).astype("f4"))
    convolution = model.feature_extractor.conv_layers[0].conv
    with torch.no_grad():
        convolution.bias.zero_()
        loudest = []
        for pitch in (300, 1000, 3000):
            tone = torch.sin(2 * torch.pi * pitch * torch.arange(4000) / 16000)[None, None]
            loudest.append(int(convolution(tone).square().mean(2).view(-1, 4).sum(1).argmax()))
    assert loudest[0] < loudest[1] < loudest[2]


def test_published_size_is_small():
    student = Student(encoder_config(), teacher_size=96)
    assert sum(p.numel() for p in student.encoder.parameters()) < 4_000_000


def test_augmentation_keeps_length_and_time():
    generator = np.random.default_rng(0)
    clean = np.zeros(16000, np.float32)
    clean[8000:8400] = np.sin(np.arange(400) * 0.3)
    for _ in range(40):
        changed = degrade(clean, [coloured(16000, 1, generator)] * 2, generator)
        assert changed.shape == clean.shape and changed.dtype == np.float32 and np.isfinite(changed).all()
    noise = coloured(16000, 1.0, generator)
    added = add_noise(clean, noise, 10.0) - clean
    assert 10 * np.log10(np.mean(clean**2) / np.mean(added**2)) == pytest.approx(10, abs=0.1)
    time = np.arange(16000) / 16000
    low, middle = (np.sin(2 * np.pi * f * time).astype("f4") for f in (100, 1000))
    assert telephone(low).std() < 0.05 < 0.6 < telephone(middle).std()


def landmarks_of(opening: np.ndarray, seed: int = 0) -> np.ndarray:
    """A made-up face of 478 points whose lips open, turning and shrinking as it goes."""
    generator = np.random.default_rng(seed)
    face = generator.uniform(-50, 50, (478, 3))
    face[33], face[263], face[13], face[14] = (-45, 0, 0), (45, 0, 0), (0, 60, 0), (0, 60, 0)
    frames = np.repeat(face[None], len(opening), 0)
    frames[:, 14, 1] += 90 * opening
    for index in range(len(frames)):
        angle = 0.3 * np.sin(index / 7)
        turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
        frames[index] = (1 + 0.002 * index) * frames[index] @ turn + index
    return frames


def test_aperture_and_lips_do_not_see_the_head_move():
    opening = 0.2 + 0.2 * np.sin(np.arange(60) / 3)
    frames = landmarks_of(opening)
    assert np.allclose(lip_aperture(frames), opening, atol=1e-9)
    still = lips_without_head(landmarks_of(np.full(60, 0.2)))
    assert np.abs(still - still[0]).max() < 1e-9
    moving = lips_without_head(frames)
    lower = moving.reshape(60, 40, 3)[:, 25]
    assert np.corrcoef(np.linalg.norm(lower - lower[0], axis=1), np.abs(opening - opening[0]))[0, 1] > 0.99


def test_mouth_shape_and_gaps():
    frames = landmarks_of(0.2 + 0.2 * np.sin(np.arange(60) / 3))
    holes = frames.copy()
    holes[10:12] = np.nan
    assert np.isfinite(fill_gaps(holes)).all()
    assert np.allclose(fill_gaps(holes)[20], frames[20])
    assert fill_gaps(np.full((5, 478, 3), np.nan)) is None
    shape = MouthShape([fill_gaps(holes)], components=1)(frames)
    assert shape.shape == (60, 2) and abs(np.corrcoef(shape.T)[0, 1]) > 0.99


def test_phone_accuracy_and_ridge_find_what_is_there():
    recordings = made_up_recordings()
    told = {r.audio.tobytes(): np.eye(len(PHONES))[r.phones[::4]] for r in recordings}

    def oracle(audio):
        return told[(audio * 32768).astype(np.int16).tobytes()].astype(np.float32)

    assert phone_accuracy(oracle, recordings[:12], recordings[12:]) == 100
    assert 30 < phone_accuracy(lambda a: np.zeros((80, 1), np.float32), recordings[:12], recordings[12:]) < 70

    generator = np.random.default_rng(1)
    clips = []
    for index in range(12):
        features = generator.standard_normal((100, 4)).astype("f4")
        aperture = np.roll(features[:, 0], 3) + 0.2 * generator.standard_normal(100)
        clips.append((f"p{index}", features, aperture))
    ridge = LipRidge([clip[1:] for clip in clips[:8]], penalty=1.0)
    assert ridge.score(clips[8:]) > 0.9
    assert abs(ridge.score(foreign(clips[8:]))) < 0.4


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
