"""The Diffusion UNet and FD2Talk's equations 6 and 7."""

import numpy as np
import pytest
import torch

from stage2_render.diffusion.attention import Condition, ConditionAttention, CrossAttention, encoded_grid
from stage2_render.diffusion.unet import UNet, UNetConfig

KINDS = ["encoding", "gaussian", "pose"]


def tiny(**changes):
    torch.manual_seed(0)
    settings = {"channels": (8, 16), "attention": (False, True), "heads": 2, "motion_tokens": 3, "copies": 2}
    if changes.get("positions", "pose") != "pose":
        settings["copies"] = 0
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
        "coefficients": 0.3 * normal(count, 10),
        "reference": normal(count, 4, 16, 16),
        "reference_coefficients": 0.3 * normal(count, 10),
        "patches": normal(count, 4, 65, 65),
    }


def input_shapes(module):
    """A list to which the shapes of the module's first two inputs are added with each call."""
    calls = []
    module.register_forward_pre_hook(lambda _, given: calls.append([tuple(x.shape) for x in given[:2]]))
    return calls


def literal_attention(attention, tokens, context):
    """Softmax(Q K^T / sqrt(d)) V, token by token and head by head."""
    tokens, context = attention.norm(tokens).numpy(), attention.context_norm(context).numpy()
    weights = attention.query.weight.numpy(), *np.split(attention.key_value.weight.numpy(), 2)
    query, key, value = (x @ w.T for x, w in zip((tokens, context, context), weights))
    mixed = np.zeros_like(query)
    width = query.shape[1] // attention.heads
    for head in range(attention.heads):
        part = slice(head * width, (head + 1) * width)
        for i in range(len(query)):
            scores = [np.dot(query[i, part], key[j, part]) / np.sqrt(width) for j in range(len(key))]
            shares = np.exp(scores) / np.exp(scores).sum()
            mixed[i, part] = sum(share * value[j, part] for j, share in enumerate(shares))
    return mixed @ attention.output.weight.numpy().T + attention.output.bias.numpy()


@torch.no_grad()
def test_equations_6_and_7():
    """m_1 = phi_1({beta, p}, J_t): queries from the frame, keys and values from the motion; m_2 = phi_2(x, m_1)."""
    torch.manual_seed(0)
    config = UNetConfig(4, 16, 10, channels=(8, 16), attention=(False, True), heads=2, positions="encoding", copies=0)
    attention = randomised(ConditionAttention(16, config, 1))
    x, motion, appearance = torch.randn(1, 16, 3, 3), torch.randn(1, 5, 16), torch.randn(1, 16, 16)
    made = attention(x, Condition(motion, appearance, torch.zeros(1, 6), None))
    frame = x[0].flatten(1).T
    m_1 = frame + literal_attention(attention.phi_1, frame, motion[0])
    queries, keys = m_1 + encoded_grid((3, 3), 16), appearance[0] + encoded_grid((4, 4), 16)
    m_2 = m_1 + literal_attention(attention.phi_2, queries.float(), keys)
    torch.testing.assert_close(made[0].flatten(1).T, m_2.float(), atol=1e-5, rtol=1e-4)


def test_phi_1_attends_to_the_motion_and_phi_2_to_the_reference():
    network = tiny(positions="encoding")
    attention = network.down_blocks[1].attentions[0]
    motion, appearance = input_shapes(attention.phi_1), input_shapes(attention.phi_2)
    with torch.no_grad():
        network(**inputs())
    # Queries from 8 x 8 cells of the frame; 3 tokens of (beta, p); a token for each cell of the reference.
    assert motion == [[(2, 64, 16), (2, 3, 16)]]
    assert appearance == [[(2, 64, 16), (2, 256, 16)]]


def test_one_attention_over_both_conditions_is_the_ablation():
    network = tiny(conditions="concatenated")
    attention = network.down_blocks[1].attentions[0]
    both = input_shapes(attention.phi_1)
    with torch.no_grad():
        network(**inputs())
    # As many tokens again for the change of (beta, p) from the reference.
    assert attention.phi_2 is None and both == [[(2, 64, 16), (2, 3 + 3 + 256, 16)]]


@pytest.mark.parametrize("conditions", ["separate", "concatenated"])
@pytest.mark.parametrize("positions", KINDS)
@pytest.mark.parametrize(
    "changed", ["noisy", "timesteps", "coefficients", "reference", "reference_coefficients", "patches"]
)
def test_every_input_matters(conditions, positions, changed):
    network, values = tiny(conditions=conditions, positions=positions), inputs()
    other = {**values, changed: values[changed] + 1}
    with torch.no_grad():
        effect = (network(**values) - network(**other)).abs().max()
    # The paper's network knows neither the coefficients of the reference nor further latents of it.
    assert effect == 0 if changed in ("reference_coefficients", "patches") and positions != "pose" else effect > 1e-4


@pytest.mark.parametrize("attention", ["phi_1", "phi_2"])
def test_both_attentions_matter(attention):
    network, values = tiny(copies=0), inputs()
    with torch.no_grad():
        before = network(**values)
        for module in network.modules():
            if isinstance(module, ConditionAttention):
                for parameter in getattr(module, attention).output.parameters():
                    parameter.zero_()
        after = network(**values)
        assert (before - after).abs().max() > 1e-2
        # The one that is left still brings its condition into the frame, the other condition no longer arrives but by
        # the places that the motion says.
        lost = {"phi_1": "coefficients", "phi_2": "reference"}[attention]
        kept = {"phi_1": "reference", "phi_2": "coefficients"}[attention]
        assert (network(**{**values, kept: values[kept] + 1}) - after).abs().max() > 1e-3
        if lost == "reference":
            assert (network(**{**values, lost: values[lost] + 1}) - after).abs().max() == 0


def test_a_new_network_returns_nothing_but_copies():
    torch.manual_seed(0)
    sizes = {"channels": (8, 16), "attention": (True, True), "heads": 2}
    with torch.no_grad():
        assert UNet(UNetConfig(4, 16, 10, copies=0, **sizes))(**inputs()).abs().max() == 0
        network, copied = UNet(UNetConfig(4, 16, 10, copies=2, **sizes)), []
        network.copy.register_forward_hook(lambda _, given, made: copied.append(made[1]))
        torch.testing.assert_close(network(**inputs()), copied[0])


def test_the_papers_network_has_nothing_else():
    """Its only inputs beside J_t and t are those of phi_1 and phi_2."""
    paper = {"positions": "encoding", "copies": 0, "self_attention": False, "reference_blocks": 0}
    network, values = tiny(**paper), inputs()
    appearance = input_shapes(network.down_blocks[1].attentions[0].phi_2)
    with torch.no_grad():
        made = network(**values)
        for module in network.modules():
            if isinstance(module, CrossAttention):
                module.output.weight.zero_()
        deaf = network(**values)
        other = {**inputs(seed=2), "noisy": values["noisy"]}
        torch.testing.assert_close(network(**other), deaf)
    assert network.conv_in.in_channels == 4 and appearance[0][1] == (2, 256, 16)
    assert (made - deaf).abs().max() > 1e-2


def test_a_place_has_the_same_position_on_grids_of_any_resolution():
    coarse = encoded_grid((5, 5), 32).view(5, 5, 32)
    fine = encoded_grid((15, 15), 32).view(15, 15, 32)
    torch.testing.assert_close(fine[1::3, 1::3], coarse, atol=1e-4, rtol=0)
    distance = (coarse[1, 3] - coarse).square().sum(-1).flatten()
    assert distance.argmin() == 1 * 5 + 3 and distance.sort()[0][1] > 0.1


@pytest.mark.parametrize("positions", KINDS)
def test_positions_in_the_reference_matter(positions):
    torch.manual_seed(0)
    sizes = {"channels": (8, 16), "attention": (False, True), "heads": 2, "positions": positions, "copies": 0}
    attention = randomised(ConditionAttention(16, UNetConfig(4, 16, 10, **sizes), 1))
    x, motion, appearance = torch.randn(1, 16, 8, 8), torch.randn(1, 3, 16), torch.randn(1, 64, 16)
    pose = torch.zeros(1, 6)

    def made(motion, appearance):
        with torch.no_grad():
            return attention(x, Condition(motion, appearance, pose, pose))

    torch.testing.assert_close(made(motion.flip(1), appearance), made(motion, appearance))  # tokens have no order
    assert (made(motion, appearance.flip(1)) - made(motion, appearance)).abs().max() > 1e-3


@pytest.mark.parametrize(
    "wrong",
    [{"attention": (True,)}, {"conditions": "both"}, {"positions": "none"}, {"positions": "gaussian"}],
    ids=lambda wrong: next(iter(wrong)),
)
def test_settings_that_do_not_fit_are_refused(wrong):
    settings = {"channels": (8, 16), "attention": (False, True)}
    with pytest.raises(ValueError, match="must"):
        UNetConfig(4, 16, 10, **{**settings, **wrong})
