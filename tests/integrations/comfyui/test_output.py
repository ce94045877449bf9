import numpy as np
import pytest
import torch
from material import short_speech, sine_motion

from fd2talk.provenance.marks import read_marks
from shared.errors import InputError
from shared.motion import Motion


def frames(height=16, width=16):
    return torch.rand(5, height, width, 3, generator=torch.Generator().manual_seed(0))


def test_videos_carry_the_tag_and_a_signature(part, host, tmp_path, monkeypatch):
    save = part("output").SaveVideo().save
    for name in ("FD2TALK_C2PA_CERTIFICATE", "FD2TALK_C2PA_KEY"):
        monkeypatch.delenv(name, raising=False)
    (plain,) = save(frames(), 25.0, "clips/a")["result"]
    found = read_marks(plain)
    assert found.tag["synthetic_media"] == "fd2talk" and found.manifest is None

    pytest.importorskip("c2pa", reason="signing needs the extra provenance")
    from certificates import Authority

    certificate, key = Authority(tmp_path / "authority").signer("Studio")
    monkeypatch.setenv("FD2TALK_C2PA_CERTIFICATE", str(certificate))
    monkeypatch.setenv("FD2TALK_C2PA_KEY", str(key))
    (signed,) = save(frames(), 25.0, "clips/a")["result"]
    assert signed != plain and read_marks(signed).manifest.signer == "Studio"
    monkeypatch.setenv("FD2TALK_C2PA_KEY", str(certificate))
    with pytest.raises(InputError, match="no private key"):
        save(frames(), 25.0, "clips/a")
    monkeypatch.setenv("FD2TALK_C2PA_KEY", key.read_text())
    with pytest.raises(InputError, match="FD2TALK_C2PA_KEY take the name of a file") as caught:
        save(frames(), 25.0, "clips/a")
    assert key.read_text()[30:50] not in str(caught.value)


def test_odd_sizes(part, host):
    with pytest.raises(InputError, match="even width and height, not 15 x 16"):
        part("output").SaveVideo().save(frames(16, 15), 25.0, "a")
    assert not list((host.folder / "output").iterdir())


def test_motion_files(part, host):
    motion = sine_motion(short_speech())
    export, load = part("output").Export(), part("output").LoadMotion
    (path,) = export.export(motion, "npz", "m")["result"]
    np.testing.assert_array_equal(Motion.load(path).expression, motion.expression)

    (host.folder / "input" / "m.npz").write_bytes(open(path, "rb").read())
    assert load.INPUT_TYPES()["required"]["file"][0] == ["m.npz"]
    assert load.VALIDATE_INPUTS("m.npz") is True and load.VALIDATE_INPUTS("m_00001_.npz [output]") is True
    assert "no such file" in load.VALIDATE_INPUTS("other.npz")
    (found,) = load().load("m.npz")
    np.testing.assert_array_equal(found.rotation, motion.rotation)
    before = load.IS_CHANGED("m.npz")
    assert load.IS_CHANGED("m.npz") == before
    motion.slice(0, 4).save(host.folder / "input" / "m.npz", overwrite=True)
    assert load.IS_CHANGED("m.npz") != before


def test_curves_and_their_options(part, host):
    motion = sine_motion(short_speech())
    export = part("output").Export().export
    (path,) = export(motion, "csv", "c", curves="visemes", fps=50.0)["result"]
    lines = open(path).read().splitlines()
    assert len(lines) - 1 == 2 * len(motion) and "sil" in lines[0]
