import pytest

for _package in ("fastapi", "prometheus_client", "python_multipart", "uvicorn", "httpx"):
    pytest.importorskip(_package, reason="the extra serve is not installed")

from service_client import Client, running  # noqa: E402


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A service with the stub engine: (service, address, supervisor)."""
    with running(tmp_path_factory.mktemp("service") / "data") as one:
        yield one


@pytest.fixture
def client(served):
    with Client(served[1]) as client:
        yield client


@pytest.fixture
def gate(tmp_path):
    """A file that is not there yet, without which videos are not made to their end: `quick(until=[gate])`."""
    return tmp_path / "gate"
