import pytest

pytest.importorskip("gradio", reason="the extra studio is not installed")

from studio_client import Client, SmallEngine, running  # noqa: E402


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
