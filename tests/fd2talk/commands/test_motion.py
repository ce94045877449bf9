import numpy as np
from material import write_wav
from media_files import encode_tracks

from shared.face_model import load_bundled
from shared.face_model.measures import lip_gap
from shared.media import frame_count, read_audio
from shared.motion import Motion
from shared.weights import bundled
from stage1_motion.pipeline import MotionPipeline


def test_motion_is_that_of_the_photo_or_of_an_average_face(run, sine, tmp_path, photo, audio, speech):
    assert run("motion", audio, "--photo", photo, "-o", tmp_path / "photo.npz")[0] == 0
    code, printed, err = run("motion", audio, "-o", tmp_path / "new" / "average.npz")
    assert (code, printed.strip(), err) == (0, str(tmp_path / "new" / "average.npz"), "")
    fingerprint = load_bundled().fingerprint
    own, average = (Motion.load(p, face_model=fingerprint) for p in (tmp_path / "photo.npz", printed.strip()))
    assert len(own) == len(average) == 10 and own.identity.any() and not average.identity.any()
    np.testing.assert_allclose(average.audio, speech, atol=1e-4)


def test_what_was_chosen_of_a_recording_is_one_note(run, sine, tmp_path, speech):
    write_wav(tmp_path / "a.wav", np.stack([speech, -speech], axis=1))
    code, _, err = run("motion", tmp_path / "a.wav", "-o", tmp_path / "a.npz")
    assert code == 0
    assert err == f"fd2talk: note: {tmp_path}/a.wav: its channels cancel each other; number 1 is used alone\n"
    assert np.abs(Motion.load(tmp_path / "a.npz").audio - speech).max() < 1e-3
    encode_tracks(tmp_path / "b.mkv", [0 * speech, speech])
    code, _, err = run("motion", tmp_path / "b.mkv", "-o", tmp_path / "b.npz")
    chosen = f"{tmp_path}/b.mkv has 2 sound tracks; number 2 is used, the first with sound in it"
    assert (code, err) == (0, f"fd2talk: note: {chosen}\n")


def test_a_face_without_speech_idles(run, tmp_path):
    code, printed, err = run("motion", "--idle", "1.5", "--no-gaze", "-o", tmp_path / "idle.npz")
    assert (code, err) == (0, "")
    motion = Motion.load(printed.strip())
    assert len(motion) == 38 and not motion.audio.any() and motion.rotation.std() > 0


def test_a_face_listens_to_another_speaker(run, tmp_path):
    other = bundled("demo/sense_and_sensibility_01_austen_64kb-0880.wav")
    code, printed, err = run("motion", "--listen", other, "--seed", "4", "-o", tmp_path / "listening.npz")
    assert (code, err) == (0, "")
    motion, sound = Motion.load(printed.strip()), read_audio(other)
    assert len(motion) == frame_count(len(sound)) and np.abs(motion.audio - sound).max() < 1e-3
    idle = MotionPipeline.from_pretrained().idle(len(sound) / 16000, seed=4)
    assert np.degrees(np.abs(motion.rotation - idle.rotation).max()) > 1
    gap = lip_gap(load_bundled().vertices(motion.identity, motion.expression))
    assert gap.max() < 0.6


def test_speech_or_idling_but_not_both(refused, tmp_path, audio):
    for arguments in ((), (audio, "--idle", "3"), (audio, "--listen", audio), ("--idle", "3", "--listen", audio)):
        refused("motion", *arguments, "-o", tmp_path / "m.npz", folder=tmp_path, saying="AUDIO or --idle")
    for silent in (("--idle", 1), ("--listen", audio)):
        articulation = (*silent, "--articulation", 1.2, "-o", tmp_path / "m.npz")
        refused("motion", *articulation, folder=tmp_path, saying="--articulation acts on speech")
    refused("motion", "--idle", "0", "-o", tmp_path / "m.npz", folder=tmp_path, saying="--idle")
    refused("motion", "--idle", "nan", "-o", tmp_path / "m.npz", folder=tmp_path, saying="nan")
