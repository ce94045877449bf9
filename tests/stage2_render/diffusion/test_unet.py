"""The Diffusion UNet and FD2Talk's equations 6, 7 and 16, and geometry conditioning."""

import pytest
import torch

from stage2_render.diffusion.unet import ConditionAttention, UNet, UNetConfig, _positions


def tiny(**changes):
    torch.manual_seed(0)
    settings = {"channels": (8, 16), "attention": (False, True), "heads": 2, "motion_tokens": 3, "map_size": 32}
    return randomised(UNet(UNetConfig(4, 16, 10, **{**settings, **changes})))


def randomised(network):
    """Layers that are initialised with zeros would hide the effect of the others."""
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape))
    return network.eval()


def inputs(count=2, seed=1):
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(shape, generator=generator)

    return {
        "noisy": normal(count, 4, 16, 16),
        "timesteps": torch.arange(count) * 400 + 3,
        "coefficients": normal(count, 10),
        "reference": normal(count, 4, 16, 16),
        "warped": normal(count, 4, 16, 16),
        "maps": normal(count, 9, 32, 32),
    }


def input_shapes(module):
    """A list to which the shapes of the module's inputs are added with each call."""
    calls = []
    module.register_forward_pre_hook(lambda _, given: calls.append([tuple(x.shape) for x in given]))
    return calls


def test_phi_1_attends_to_the_motion_and_phi_2_to_the_reference():
    network = tiny()
    attention = network.down_blocks[1].attentions[0]
    motion, appearance = input_shapes(attention.phi_1), input_shapes(attention.phi_2)
    with torch.no_grad():
        network(**inputs())
    # Queries from 8 x 8 cells of the frame; 3 tokens of (beta, p); a token for each 2 x 2 cells of the reference.
    assert motion == [[(2, 64, 16), (2, 3, 16)]]
    assert appearance == [[(2, 64, 16), (2, 64, 16)]]


def test_one_attention_over_both_conditions_is_the_ablation():
    network = tiny(conditions="concatenated")
    attention = network.down_blocks[1].attentions[0]
    both = input_shapes(attention.phi_1)
    with torch.no_grad():
        network(**inputs())
    assert attention.phi_2 is None and both == [[(2, 64, 16), (2, 3 + 64, 16)]]


@pytest.mark.parametrize("conditions", ["separate", "concatenated"])
@pytest.mark.parametrize("changed", ["noisy", "timesteps", "coefficients", "reference", "warped", "maps"])
def test_every_input_matters(conditions, changed):
    network, values = tiny(conditions=conditions), inputs()
    other = {**values, changed: values[changed] + 1}
    with torch.no_grad():
        assert (network(**values) - network(**other)).abs().max() > 1e-4


def test_frames_without_geometry_conditioning_do_not_depend_on_the_warp():
    network, values = tiny(), inputs()
    dropped = torch.tensor([False, True])
    with torch.no_grad():
        predicted = network(**values, geometry_drop_mask=dropped)
        changed = {**values, "warped": values["warped"] + 5, "maps": values["maps"] - 3}
        other = network(**changed, geometry_drop_mask=dropped)
        none_dropped = network(**values)
    torch.testing.assert_close(predicted[1], other[1])
    assert (predicted[0] - other[0]).abs().max() > 0.1
    torch.testing.assert_close(predicted[0], none_dropped[0])
    # Nor are reference and maps further channels of their input: the reference is an input of phi_2 alone.
    entered = []
    network.conv_in.register_forward_pre_hook(lambda _, x: entered.append(x[0]))
    with torch.no_grad():
        network(**values, geometry_drop_mask=torch.tensor([True, True]))
    assert entered[0][:, 4:].abs().max() == 0 and torch.equal(entered[0][:, :4], values["noisy"])


def test_geometry_channels_are_warp_reference_and_maps():
    geometry, values = tiny().geometry, inputs()
    channels = geometry(values["warped"], values["reference"], values["maps"])
    assert channels.shape == (2, geometry.channels, 16, 16) and geometry.channels == 4 + 4 + 9 * 2**2
    torch.testing.assert_close(channels[:, :8], torch.cat([values["warped"], values["reference"]], 1))
    torch.testing.assert_close(channels[:, 8 + 4 * 5 + 2], values["maps"][:, 5, 1::2, ::2])  # row 1, column 0 of cells


def test_a_new_network_returns_the_warp():
    torch.manual_seed(0)
    values = inputs()
    config = {"channels": (8, 16), "attention": (False, True), "heads": 2, "map_size": 32}
    with torch.no_grad():
        torch.testing.assert_close(UNet(UNetConfig(4, 16, 10, **config))(**values), values["warped"])
        assert UNet(UNetConfig(4, 16, 10, geometry_conditioning=False, **config))(**values).abs().max() == 0


def test_without_geometry_conditioning_the_network_is_the_papers():
    network, values = tiny(geometry_conditioning=False, reference_patch=1), inputs()
    appearance = input_shapes(network.down_blocks[1].attentions[0].phi_2)
    plain = {name: values[name] for name in ("noisy", "timesteps", "coefficients", "reference")}
    with torch.no_grad():
        torch.testing.assert_close(network(**plain), network(**values))
    assert network.conv_in.in_channels == 4 and appearance[0][1] == (2, 256, 16)


def test_a_place_has_the_same_position_on_grids_of_any_resolution():
    coarse = _positions((5, 5), 32).view(5, 5, 32)
    fine = _positions((15, 15), 32).view(15, 15, 32)
    torch.testing.assert_close(fine[1::3, 1::3], coarse, atol=1e-4, rtol=0)
    distance = (coarse[1, 3] - coarse).square().sum(-1).flatten()
    assert distance.argmin() == 1 * 5 + 3 and distance.sort()[0][1] > 0.1


def test_positions_in_the_reference_matter():
    torch.manual_seed(0)
    config = UNetConfig(4, 16, 10, channels=(8, 16), attention=(False, True), heads=2, map_size=32)
    attention = randomised(ConditionAttention(16, 16, config))
    x, motion, appearance = torch.randn(1, 16, 8, 8), torch.randn(1, 3, 16), torch.randn(1, 64, 16)
    with torch.no_grad():
        same = attention(x, motion.flip(1), appearance)
        moved = attention(x, motion, appearance.flip(1))
        made = attention(x, motion, appearance)
    torch.testing.assert_close(same, made)  # tokens of (beta, p) have no order
    assert (moved - made).abs().max() > 1e-3


@pytest.mark.parametrize(
    "wrong", [{"attention": (True,)}, {"conditions": "both"}, {"map_size": 40}], ids=lambda wrong: next(iter(wrong))
)
def test_settings_that_do_not_fit_are_refused(wrong):
    settings = {"channels": (8, 16), "attention": (False, True), "map_size": 32}
    with pytest.raises(ValueError, match="must"):
        UNetConfig(4, 16, 10, **{**settings, **wrong})
