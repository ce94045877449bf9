"""The repair network: shapes, the identity before training, and what each input is for."""

from __future__ import annotations

import pytest
import torch

from shared.errors import InputError
from stage2_render.repair.network import RepairConfig, RepairNetwork
from stage2_render.repair.networks import RepairNetworks, load_network, network_file, save_network
from stage2_render.repair.parts import LEFT, MOUTH, RIGHT

SMALL = RepairConfig(channels=(8, 12, 16), blocks=(1, 1, 1), heads=2)


def inputs(count: int = 2, height: int = 56, width: int = 80) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    sizes = ((3, height, width), (2, height // 2, width // 2)) * 2
    return [torch.rand(count, *size, generator=generator) for size in sizes]


def trained(config: RepairConfig = SMALL) -> RepairNetwork:
    """A network in which no branch is zero."""
    torch.manual_seed(1)
    network = RepairNetwork(config)
    for parameter in network.parameters():
        parameter.data += 0.2 * torch.randn_like(parameter)
    return network.eval()


def test_before_training_the_frame_is_the_warp():
    warped, *rest = inputs()
    paint, cover = RepairNetwork(SMALL)(warped, *rest)
    assert paint.shape == warped.shape and cover.shape == (2, 1, 56, 80)
    assert 0 < cover.mean() and cover.max() < 0.5
    torch.testing.assert_close((1 - cover) * warped + paint, warped)


@pytest.mark.parametrize("changed", range(4), ids=["warp", "maps", "photo", "maps of the photo"])
def test_every_input_matters(changed):
    network, given = trained(), inputs()
    before = network(*given)[0]
    given[changed] = torch.zeros_like(given[changed])
    assert (network(*given)[0] - before).abs().mean() > 1e-3


@pytest.mark.parametrize("of_frame", [True, False])
def test_only_the_opening_of_the_frame_and_of_the_photo_is_covered(of_frame):
    network, (warped, maps, photo, photo_maps) = trained(), inputs()
    maps[:, 0], photo_maps[:, 0] = 0, 0
    (maps if of_frame else photo_maps)[:, 0, 10:14, 12:20] = 1
    features = network.encode_photo(photo, photo_maps)
    _, cover = network.repair(warped, maps, features)
    assert cover[:, :, 20:28, 24:40].min() > 0 and cover[:, :, 17:19, 24:40].min() > 0
    assert not cover[:, :, :15].any() and not cover[..., :19].any() and not cover[..., 45:].any()
    _, narrow = network.repair(warped, maps, features, 1.0)
    torch.testing.assert_close(narrow[:, :, 21:27, 25:39], cover[:, :, 21:27, 25:39])
    assert not narrow[:, :, :19].any() and not narrow[..., :23].any() and not narrow[..., 41:].any()


def test_where_detail_is_kept_only_mean_colours_change():
    network, (warped, maps, photo, photo_maps) = trained(), inputs()
    maps[:, 0], photo_maps[:, 0] = 0, 0
    features = network.encode_photo(photo, photo_maps)
    paint, _ = network.repair(warped, maps, features)
    smooth, cover = network.repair(warped, maps, features, 1.0)
    assert not cover.any()
    mean = torch.nn.functional.avg_pool2d(paint, 9, 1)
    torch.testing.assert_close(smooth[..., 4:-4, 4:-4], mean, atol=1e-5, rtol=1e-4)


def test_one_photo_serves_a_batch_of_frames():
    network = trained()
    warped, maps, photo, photo_maps = inputs(3)
    features = network.encode_photo(photo[:1], photo_maps[:1])
    together = network.repair(warped, maps, features)
    for index in range(3):
        alone = network.repair(warped[index : index + 1], maps[index : index + 1], features)
        for one, other in zip(together, alone):
            torch.testing.assert_close(one[index], other[0], atol=1e-5, rtol=1e-4)


def test_the_photo_is_found_wherever_it_shows_the_same():
    """Attention has no positions: the photo's places may come in any order."""
    attention = trained().attention
    x, photo = torch.randn(1, 16, 7, 10), torch.randn(1, 16, 7, 10)
    shuffled = photo.flatten(2)[..., torch.randperm(70)].view_as(photo)
    torch.testing.assert_close(attention(x, photo), attention(x, shuffled))
    assert (attention(x, 2 * photo.roll(1, 1)) - attention(x, photo)).abs().max() > 1e-3


@pytest.mark.parametrize("settings", [{"channels": (8, 8)}, {"channels": (8, 8, 9), "heads": 2}, {"channels": ()}])
def test_sizes_that_do_not_go_together(settings):
    with pytest.raises(ValueError, match="channels"):
        RepairConfig(**{"blocks": (1, 1, 1), **settings})


def test_files(tmp_path):
    for name in ("mouth", "eye"):
        save_network(trained(), name, tmp_path)
    networks = RepairNetworks.load(tmp_path)
    assert networks[RIGHT] is networks[LEFT] is networks.eye and networks[MOUTH] is networks.mouth
    given = inputs()
    torch.testing.assert_close(networks.mouth(*given)[0], trained()(*given)[0], atol=0.05, rtol=0.02)
    assert not any(parameter.requires_grad for parameter in networks.parameters())
    (tmp_path / network_file("eye")).rename(tmp_path / network_file("mouth"))
    with pytest.raises(InputError, match="another part"):
        load_network(tmp_path, "mouth")
    with pytest.raises(InputError, match="eye"):
        load_network(tmp_path, "eye")


def test_what_a_folder_lacks_comes_from_the_other(tmp_path):
    for folder, seed in (("mine", 2), ("others", 3)):
        (tmp_path / folder).mkdir()
        network = trained()
        torch.manual_seed(seed)
        network.conv_out.bias.data.normal_()
        for name in ("mouth", "eye"):
            save_network(network, name, tmp_path / folder)
    (tmp_path / "mine" / "eye.safetensors").unlink()
    mixed = RepairNetworks.load(tmp_path / "mine", tmp_path / "others")
    for name, folder in (("mouth", "mine"), ("eye", "others")):
        own = load_network(tmp_path / folder, name).conv_out.bias
        torch.testing.assert_close(getattr(mixed, name).conv_out.bias, own)
    with pytest.raises(InputError, match="eye"):
        RepairNetworks.load(tmp_path / "mine")
