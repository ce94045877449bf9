"""A synthetic prepared folder and the shards of it."""

import pytest
from synthetic_prepared import write_prepared

CONFIG = """
model: fd2talk
part: expression
prepared: {prepared}
cache: {folder}/cache
network: {{width: 16, layers: 1, heads: 2, window: 24, context: 6, dropout: 0.1}}
loss: {{steps: 1}}
training: {{output: {folder}/run, max_steps: 6, batch_size: 4, validate_every: 1000, precision: "no", save_every: 0}}
"""


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    """The prepared folder, its shards, and a config of a training on the first."""
    pytest.importorskip("pyarrow")
    from synthetic_shards import shard

    root = tmp_path_factory.mktemp("sharded")
    prepared = write_prepared(root / "prepared")
    config = root / "expression.yaml"
    config.write_text(CONFIG.format(prepared=prepared, folder=root))
    shard(str(prepared), str(root / "shards"), configs=(str(config),), size=1)
    return prepared, root / "shards", config
