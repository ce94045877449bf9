import json
import time

import pytest

pytest.importorskip("c2pa", reason="signing needs the extra provenance")


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    from certificates import Authority

    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def render(run, photo, motion_file, tmp_path):
    def render(name, *options):
        fast = ("--renderer", "geometry", "--max-size", 64)
        return run("render", photo, motion_file, "-o", tmp_path / name, *fast, *options)

    return render


def test_sign_and_verify(render, run, authority, tmp_path):
    certificate, key = authority.signer("Anna")
    code, out, err = render("talk.mp4", "--c2pa-certificate", certificate, "--c2pa-key", key)
    assert code == 0, err
    video = tmp_path / "talk.mp4"
    code, out, err = run("verify", video)
    assert (code, err) == (0, "")
    assert "signed by Anna (Anna Ltd)" in out and "trainedAlgorithmicMedia" in out and "source: test" in out
    assert "that is unknown here" in out and "not protected" not in out
    code, out, _ = run("verify", video, "--trust", authority.path)
    assert code == 0 and "an authority that is trusted here" in out

    code, out, _ = run("verify", video, "--json")
    facts = json.loads(out)
    assert code == 0 and facts["valid"] and facts["c2pa"]["signer"] == "Anna" and facts["c2pa"]["intact"]
    assert facts["tag"]["source"] == "test"

    data = bytearray(video.read_bytes())
    data[-500] ^= 1
    video.write_bytes(data)
    code, out, _ = run("verify", video)
    assert code == 1 and "does not hold" in out
    assert key.read_text().split("\n")[1] not in out


def test_a_tag_alone_and_nothing(render, run, tmp_path):
    assert render("plain.mp4")[0] == 0
    code, out, _ = run("verify", tmp_path / "plain.mp4")
    assert code == 0 and "tag, which is not protected" in out and "C2PA" not in out
    (tmp_path / "a.csv").write_text("a,b\n")
    code, out, _ = run("verify", tmp_path / "a.csv")
    assert code == 1 and "without any mark" in out
    code, out, _ = run("verify", tmp_path / "a.csv", "--json")
    assert code == 1 and json.loads(out)["valid"] is False


def test_what_cannot_be_read(refused, tmp_path):
    refused("verify", tmp_path / "none.mp4", folder=tmp_path, saying="there is no such file")
    refused("verify", tmp_path, folder=tmp_path, saying="it is a folder")


def test_the_environment_signs_too(render, run, authority, tmp_path, monkeypatch):
    certificate, key = authority.signer("Environment")
    monkeypatch.setenv("FD2TALK_C2PA_CERTIFICATE", str(certificate))
    monkeypatch.setenv("FD2TALK_C2PA_KEY", str(key))
    assert render("e.mp4")[0] == 0
    assert "signed by Environment" in run("verify", tmp_path / "e.mp4")[1]


def test_refused_before_any_work(refused, authority, photo, audio, motion_file, tmp_path):
    certificate, key = authority.signer("Ben")
    other = authority.signer("Other")[1]
    late = authority.signer("Late", days=(-9, -2))
    for command in (("render", photo, motion_file), ("generate", photo, audio), ("edit", motion_file)):
        command = (*command, "-o", tmp_path / "o.mp4")
        for options, saying in [
            (("--c2pa-certificate", certificate), "--c2pa-key"),
            (("--c2pa-key", key), "--c2pa-certificate"),
            (("--c2pa-certificate", certificate, "--c2pa-key", other), "does not belong"),
            (("--c2pa-certificate", late[0], "--c2pa-key", late[1]), "Late expired on"),
            (("--c2pa-certificate", certificate, "--c2pa-key", tmp_path / "no.key"), "no such file"),
        ]:
            begun = time.monotonic()
            line = refused(*command, *options, folder=tmp_path, saying=saying)
            assert time.monotonic() - begun < 5 and "PRIVATE" not in line
