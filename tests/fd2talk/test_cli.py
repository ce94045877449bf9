import subprocess
import sys

import pytest

from fd2talk import cli


@pytest.mark.parametrize("arguments", [("--help",), ("generate", "--help")])
def test_help_needs_no_heavy_imports(arguments):
    code = f"import sys; from fd2talk.cli import main; main({list(arguments)!r}); print(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=600)
    assert done.stdout.startswith("Usage: fd2talk")
    assert not {"'torch'", "'mediapipe'", "'cv2'", "'av'", "'numpy'"} & set(done.stdout.replace(",", " ").split())


def test_every_command_has_help(run):
    for name in cli.cli.commands:
        code, out, _ = run(name, "--help")
        assert code == 0 and "Usage: fd2talk" in out
    expected = {
        "batch",
        "generate",
        "motion",
        "edit",
        "render",
        "track",
        "faces",
        "style",
        "personalise",
        "export",
        "import",
        "live",
        "manifest",
        "prepare",
        "shard",
        "train",
        "evaluate",
        "doctor",
        "benchmark",
        "serve",
        "studio",
        "verify",
    }
    assert set(cli.cli.commands) == expected


def test_whatever_takes_a_photo_offers_trackers_and_their_models():
    options = {name: {option for p in c.params for option in p.opts} for name, c in cli.cli.commands.items()}
    tracking = {"generate", "motion", "render", "track", "faces", "style", "personalise", "export", "live"}
    assert {name for name in options if "--face-tracker" in options[name]} == tracking
    assert {name for name in options if "--models" in options[name]} == tracking | {
        "batch",
        "prepare",
        "evaluate",
        "doctor",
        "edit",
        "serve",
        "studio",
    }


def test_no_command_is_a_request_for_help(run):
    code, out, err = run()
    assert code == 2 and "Usage: fd2talk" in out + err


def test_a_bug_shows_its_traceback(monkeypatch, sine, photo, audio, tmp_path):
    def broken(*_, **__):
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("fd2talk.generation.read_image", broken)
    with pytest.raises(ZeroDivisionError):
        cli.main(["generate", str(photo), str(audio), "-o", str(tmp_path / "o.mp4")])
    assert not list(tmp_path.iterdir())


def test_out_of_memory_is_one_line(monkeypatch, refused, photo, audio, tmp_path):
    def exhausted(*_, **__):
        raise MemoryError

    monkeypatch.setattr("fd2talk.generation.read_image", exhausted)
    refused("generate", photo, audio, "-o", tmp_path / "o.mp4", folder=tmp_path, saying="out of memory", code=1)
