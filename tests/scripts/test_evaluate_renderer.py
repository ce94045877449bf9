"""Systems of the renderer's evaluation."""

import numpy as np
import pytest
from evaluate_renderer import parse, system

from shared.errors import UsageError


def test_a_system_is_a_name_with_settings():
    assert parse("warp", "bundled") == ("warp", "bundled", {})
    assert parse("diffusion", "mine") == ("diffusion", "mine", {})
    assert parse("diffusion:steps=4,detail=off,noise=own,geometry=on,weights=a/b", "mine") == (
        "diffusion",
        "a/b",
        {"steps": 4, "detail_transfer": False, "shared_noise": False, "geometry_conditioning": True},
    )


@pytest.mark.parametrize("wrong", ["toaster", "warp:steps=2", "diffusion:steps=two", "diffusion:detail=maybe"])
def test_there_is_no_such_system(wrong):
    with pytest.raises(UsageError, match="there is no system|no setting"):
        system(wrong, "bundled")


def test_systems_render_with_the_weights_they_name(photo, still, renderer_weights):
    motion = still(1)
    # The folder with the renderer's files, and its parent.
    folders = (renderer_weights / "renderer", renderer_weights)
    frames = [next(iter(system(f"diffusion:weights={f}", "bundled")(photo, motion))) for f in folders]
    np.testing.assert_array_equal(*frames)
    plain = next(iter(system("diffusion:detail=off", str(renderer_weights))(photo, motion)))
    assert np.abs(plain.astype(int) - frames[0]).max() > 0
    np.testing.assert_array_equal(*(next(iter(system(n, "bundled")(photo, motion))) for n in ("still", "warp")))
