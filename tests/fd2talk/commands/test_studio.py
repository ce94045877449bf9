import socket

import pytest


@pytest.mark.parametrize(
    ("options", "saying"),
    [
        (["--host", "0.0.0.0"], "give a --token"),
        (["--host", "0.0.0.0", "--token", "short"], "can be guessed"),
        (["--port", "99999"], "--port"),
        (["--device", "cuda:99"], "cuda:99"),
        (["--max-seconds", "nan"], "not a number"),
    ],
)
def test_what_cannot_be_served_is_said(refused, tmp_path, options, saying):
    refused("studio", *options, folder=tmp_path, saying=saying)


def test_a_port_that_is_in_use_is_said(refused, tmp_path):
    pytest.importorskip("gradio")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        refused("studio", "--port", taken.getsockname()[1], folder=tmp_path, saying="cannot serve at 127.0.0.1")


def test_without_the_extra_it_is_said_how_to_get_it(refused, tmp_path, monkeypatch):
    monkeypatch.setattr("fd2talk.commands.studio.find_spec", lambda name: None)
    said = refused("studio", folder=tmp_path, saying="fd2talk studio needs gradio")
    assert said.endswith("pip install 'fd2talk[studio]'")


def test_a_token_may_come_from_the_environment(refused, tmp_path, monkeypatch):
    monkeypatch.setenv("FD2TALK_TOKEN", "too short")
    refused("studio", folder=tmp_path, saying="can be guessed")
