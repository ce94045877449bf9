import pytest
from batch_tables import write_table
from stub_generator import StubGenerator

from fd2talk.batches.maker import Settings


@pytest.fixture
def table(tmp_path, photo, audio):
    """Writes a manifest, with the files that it names."""
    return lambda *rows, **names: write_table(tmp_path, photo, audio, rows, **names)


@pytest.fixture
def settings(tmp_path):
    """Of a run with the stub."""
    made = Settings(str(tmp_path / "out"), "run", generator=StubGenerator)
    made.make_folders()
    return made
