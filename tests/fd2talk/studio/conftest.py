import pytest

pytest.importorskip("gradio", reason="the extra studio is not installed")

from material import short_speech, write_wav  # noqa: E402
from studio_client import PNG, Client, SmallEngine, running  # noqa: E402


@pytest.fixture(scope="session")
def engine():
    return SmallEngine()


@pytest.fixture(scope="module")
def studio(engine):
    """A studio, and its address."""
    with running(engine) as running_one:
        yield running_one


@pytest.fixture
def client(studio):
    with Client(studio[1]) as client:
        yield client


@pytest.fixture(scope="session")
def wav(tmp_path_factory):
    """0.4 s of speech, as the bytes of a file."""
    return write_wav(tmp_path_factory.mktemp("sound") / "s.wav", short_speech()).read_bytes()


@pytest.fixture
def ready(client, wav):
    """A client whose photo is fitted, and the path of its sound."""
    assert "One face" in client.photo(client.upload(PNG, "p.png")[1])
    return client, client.upload(wav, "s.wav")[1]
