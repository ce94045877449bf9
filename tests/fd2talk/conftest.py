import pytest
from material import SineStage, portrait, short_speech, sine_motion, write_wav

from fd2talk import cli


@pytest.fixture
def sine(monkeypatch):
    """Replace stage one by `SineStage`."""
    # In this order: a module imported while the other one is patched would keep the stand-in.
    monkeypatch.setattr("fd2talk.pipeline.MotionPipeline", SineStage)
    monkeypatch.setattr("stage1_motion.pipeline.MotionPipeline", SineStage)
    monkeypatch.setattr(SineStage, "calls", 0)
    return SineStage


@pytest.fixture(scope="session")
def photo(tmp_path_factory):
    """A portrait of 240 x 240."""
    path = tmp_path_factory.mktemp("photo") / "photo.png"
    portrait().save(path)
    return path


@pytest.fixture(scope="session")
def speech():
    """0.4 s of speech, float32 [6400]."""
    return short_speech()


@pytest.fixture(scope="session")
def audio(tmp_path_factory, speech):
    return write_wav(tmp_path_factory.mktemp("audio") / "speech.wav", speech)


@pytest.fixture(scope="session")
def motion_file(tmp_path_factory, speech):
    path = tmp_path_factory.mktemp("motion") / "motion.npz"
    sine_motion(speech).save(path)
    return path


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    pytest.importorskip("c2pa", reason="signing needs the extra provenance")
    from certificates import Authority

    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def signer(authority):
    from fd2talk.provenance.signer import Signer

    return Signer.load(*authority.signer("Anna"))


@pytest.fixture
def run(capsys, monkeypatch):
    """Run the command line in this process: (exit code, standard output, standard error).

    On a slow computer, too, it does not say how far it is.
    """
    monkeypatch.setattr("fd2talk.progress.SECONDS_BETWEEN_LINES", 24 * 3600.0)

    def run(*arguments):
        capsys.readouterr()
        code = cli.main([str(a) for a in arguments])
        out, err = capsys.readouterr()
        return code, out, err

    return run


@pytest.fixture
def refused(run):
    """Run a command that must fail: exit code != 0, one line, no traceback, and nothing left in `folder`."""

    def refused(*arguments, folder, saying, code=2):
        before = sorted(folder.rglob("*"))
        got, out, err = run(*arguments)
        lines = err.strip().splitlines()
        assert got == code and out == ""
        assert len(lines) == 1 and lines[0].startswith("fd2talk: ") and "Traceback" not in err, err
        assert saying in lines[0], err
        assert sorted(folder.rglob("*")) == before
        return lines[0]

    return refused
