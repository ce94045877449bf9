"""The Diffusion UNet beside FD2Talk's equations 6, 7 and 16, and what geometry guidance adds."""

import pytest
import torch

from stage2_render.diffusion.unet import Conditions, UNet, UNetConfig, _positions


def tiny(**changes):
    torch.manual_seed(0)
    settings = {"channels": (8, 16), "attention": (False, True), "heads": 2, "motion_tokens": 3, "map_size": 32}
    return awake(UNet(UNetConfig(4, 16, 10, **{**settings, **changes})))


def awake(network):
    """Layers that begin at zero would hide what the others do."""
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


def seen_by(module):
    """What a module is called with, as it is called."""
    calls = []
    module.register_forward_pre_hook(lambda _, given: calls.append([tuple(x.shape) for x in given]))
    return calls


def test_phi_1_attends_to_the_motion_and_phi_2_to_the_reference():
    network = tiny()
    conditions = network.down[1].conditions[0]
    motion, appearance = seen_by(conditions.phi_1), seen_by(conditions.phi_2)
    with torch.no_grad():
        network(**inputs())
    # Queries from 8 x 8 cells of the frame; 3 tokens of (beta, p); a token for each 2 x 2 cells of the reference.
    assert motion == [[(2, 64, 16), (2, 3, 16)]]
    assert appearance == [[(2, 64, 16), (2, 64, 16)]]


def test_one_attention_over_both_conditions_is_the_ablation():
    network = tiny(conditions="concatenated")
    conditions = network.down[1].conditions[0]
    both = seen_by(conditions.phi_1)
    with torch.no_grad():
        network(**inputs())
    assert conditions.phi_2 is None and both == [[(2, 64, 16), (2, 3 + 64, 16)]]


@pytest.mark.parametrize("conditions", ["separate", "concatenated"])
@pytest.mark.parametrize("changed", ["noisy", "timesteps", "coefficients", "reference", "warped", "maps"])
def test_everything_that_is_given_matters(conditions, changed):
    network, given = tiny(conditions=conditions), inputs()
    other = {**given, changed: given[changed] + 1}
    with torch.no_grad():
        assert (network(**given) - network(**other)).abs().max() > 1e-4


def test_unguided_frames_know_nothing_of_the_warp():
    network, given = tiny(), inputs()
    guided = torch.tensor([True, False])
    with torch.no_grad():
        made = network(**given, guided=guided)
        other = network(**{**given, "warped": given["warped"] + 5, "maps": given["maps"] - 3}, guided=guided)
        zeros = {"warped": torch.zeros_like(given["warped"]), "maps": torch.zeros_like(given["maps"])}
        all_guided = network(**given)
    torch.testing.assert_close(made[1], other[1])
    assert (made[0] - other[0]).abs().max() > 0.1
    torch.testing.assert_close(made[0], all_guided[0])
    # Nor is the reference laid out beside the noise for them: they see it through phi_2 alone.
    seen = {}
    network.enter.register_forward_pre_hook(lambda _, x: seen.update(x=x[0]))
    with torch.no_grad():
        network(**{**given, **zeros}, guided=torch.tensor([False, False]))
    assert seen["x"][:, 4:].abs().max() == 0 and torch.equal(seen["x"][:, :4], given["noisy"])


def test_a_new_network_returns_the_warp():
    torch.manual_seed(0)
    given = inputs()
    config = {"channels": (8, 16), "attention": (False, True), "heads": 2, "map_size": 32}
    with torch.no_grad():
        torch.testing.assert_close(UNet(UNetConfig(4, 16, 10, **config))(**given), given["warped"])
        assert UNet(UNetConfig(4, 16, 10, guidance=False, **config))(**given).abs().max() == 0


def test_without_guidance_the_network_is_the_papers():
    network, given = tiny(guidance=False, reference_patch=1), inputs()
    appearance = seen_by(network.down[1].conditions[0].phi_2)
    plain = {name: given[name] for name in ("noisy", "timesteps", "coefficients", "reference")}
    with torch.no_grad():
        torch.testing.assert_close(network(**plain), network(**given))
    assert network.enter.in_channels == 4 and appearance[0][1] == (2, 256, 16)


def test_a_place_has_the_same_position_on_grids_of_any_fineness():
    coarse = _positions((5, 5), 32).view(5, 5, 32)
    fine = _positions((15, 15), 32).view(15, 15, 32)
    torch.testing.assert_close(fine[1::3, 1::3], coarse, atol=1e-4, rtol=0)
    distance = (coarse[1, 3] - coarse).square().sum(-1).flatten()
    assert distance.argmin() == 1 * 5 + 3 and distance.sort()[0][1] > 0.1


def test_where_the_reference_shows_something_matters():
    torch.manual_seed(0)
    config = UNetConfig(4, 16, 10, channels=(8, 16), attention=(False, True), heads=2, map_size=32)
    conditions = awake(Conditions(16, 16, config))
    x, motion, appearance = torch.randn(1, 16, 8, 8), torch.randn(1, 3, 16), torch.randn(1, 64, 16)
    with torch.no_grad():
        same = conditions(x, motion.flip(1), appearance)
        moved = conditions(x, motion, appearance.flip(1))
        made = conditions(x, motion, appearance)
    torch.testing.assert_close(same, made)  # tokens of (beta, p) have no order
    assert (moved - made).abs().max() > 1e-3


@pytest.mark.parametrize(
    "wrong", [{"attention": (True,)}, {"conditions": "both"}, {"map_size": 40}], ids=lambda wrong: next(iter(wrong))
)
def test_settings_that_do_not_fit_are_refused(wrong):
    settings = {"channels": (8, 16), "attention": (False, True), "map_size": 32}
    with pytest.raises(ValueError, match="must"):
        UNetConfig(4, 16, 10, **{**settings, **wrong})
