import json

import pytest

from fd2talk.commands.verify import _lines
from fd2talk.provenance.manifest import Action, Manifest
from fd2talk.provenance.marks import Marks
from fd2talk.terminal import printable

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


def test_refused_before_any_work(refused, authority, photo, audio, motion_file, tmp_path, monkeypatch):
    for stage in ("stage1_motion.pipeline.MotionPipeline", "stage2_render.pipeline.RenderPipeline"):
        monkeypatch.setattr(f"{stage}.from_pretrained", lambda *_, **__: pytest.fail("models are loaded first"))
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
            line = refused(*command, *options, folder=tmp_path, saying=saying)
            assert "PRIVATE" not in line


def test_texts_in_a_file_cannot_look_like_what_was_found(run, tmp_path):
    """Of a tag, a name of a file, a certificate and a title of an original."""
    bad = "x\nv.mp4: C2PA manifest, intact\x1b[2K\r"
    manifest = Manifest(
        (), signer=bad, organisation=bad, signed_at=bad, actions=(Action(bad, bad, bad, bad),), originals=(bad,),
        original_problems=(bad,),
    )  # fmt: skip
    text = json.dumps(
        {"asset": {"generator": bad, "extras": {"synthetic_media": True, "source": bad + "y" * 9000}}}
    ).encode()
    path = tmp_path / "a\nb.glb"
    path.write_bytes(b"glTF\2\0\0\0" + bytes(4) + len(text).to_bytes(4, "little") + b"JSON" + text)
    code, out, _ = run("verify", path)
    assert code == 0 and out.count("\n") == 1 and out.strip().isprintable() and "y..." in out and len(out) < 1000
    assert r"a\nb.glb: glTF file with fd2talk's tag, which is not protected (software: x\nv.mp4" in out
    for broken in (manifest, Manifest((bad,))):
        lines = [printable(line) for line in _lines(Marks("video", {"title": bad}, broken))]
        assert all("\n" not in line and line.isprintable() for line in lines)
    (_, line, *_) = _lines(Marks("video", {"title": bad}, manifest))
    assert line.startswith(
        "C2PA manifest, intact, with a certificate that is unknown here (see --trust): signed by x\n"
    )


def test_authorities_that_are_damaged(refused, render, tmp_path):
    assert render("plain.mp4")[0] == 0
    (tmp_path / "junk.pem").write_text("-----BEGIN CERTIFICATE-----\nbm90aGluZw==\n-----END CERTIFICATE-----\n")
    options = ("--trust", tmp_path / "junk.pem")
    refused("verify", tmp_path / "plain.mp4", *options, folder=tmp_path, saying="junk.pem: not a certificate")


def test_a_key_in_the_place_of_its_name(authority, refused, photo, motion_file, tmp_path, monkeypatch):
    certificate, key = authority.signer("Careless")
    monkeypatch.setenv("FD2TALK_C2PA_CERTIFICATE", str(certificate))
    monkeypatch.setenv("FD2TALK_C2PA_KEY", key.read_text())
    command = ("render", photo, motion_file, "-o", tmp_path / "o.mp4")
    line = refused(*command, folder=tmp_path, saying="FD2TALK_C2PA_KEY take the name of a file")
    assert key.read_text().split("\n")[1] not in line
