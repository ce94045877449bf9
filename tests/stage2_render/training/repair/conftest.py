"""Material for pairs of the repair networks, and the pairs built of it."""

import pytest
from one_process import HereExecutor
from pair_material import build_small, write_material


@pytest.fixture(scope="session")
def material(tmp_path_factory):
    """Folders of clips, photos, and of both prepared."""
    return write_material(tmp_path_factory.mktemp("material"))


@pytest.fixture(scope="session")
def built(material, tmp_path_factory):
    """The folder of pairs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("stage2_render.training.repair.build_pairs.ProcessPoolExecutor", HereExecutor)
        return build_small(material, tmp_path_factory.mktemp("out") / "pairs", workers=1)
