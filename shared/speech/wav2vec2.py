"""wav2vec 2.0 (Baevski et al. 2020) with layer norms, as far as it takes to apply it, without the package transformers.

The bundled encoder is one. Importing transformers and what it needs takes longer than everything else that generating
imports but PyTorch, and weighs 190 MB. Names of tensors and settings are transformers', whose `Wav2Vec2Model` gives the
same numbers (a test compares them); training uses that one, and so do other encoders of the family.
"""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm

from shared.errors import InputError
from shared.metrics.checkpoints import load_into, read_tensors

# The variant that is implemented, in transformers' settings.
_VARIANT = {
    "model_type": "wav2vec2",
    "feat_extract_norm": "layer",
    "do_stable_layer_norm": True,
    "feat_extract_activation": "gelu",
    "hidden_act": "gelu",
    "add_adapter": False,
    "adapter_attn_dim": None,
}


def load_wav2vec2(folder: Path) -> Wav2Vec2 | None:
    """Load a folder in the format of transformers; None if it holds another network than the one implemented here.

    Raises:
        InputError: the weights are missing or do not fit the settings.
    """
    try:
        settings = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    weights = folder / "model.safetensors"
    if not weights.is_file() or any(settings.get(key) != value for key, value in _VARIANT.items()):
        return None
    try:
        network = Wav2Vec2(SimpleNamespace(**settings))
    except (AttributeError, TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{folder / 'config.json'}: not the settings of a speech encoder ({error})") from error
    state = {name: value.float() for name, value in read_tensors(weights).items() if name != "masked_spec_embed"}
    load_into(network, state, weights, "the speech encoder of its config.json")
    return network


class Wav2Vec2(nn.Module):
    """A strided convolutional stem, then a transformer whose layer norms come first in their blocks.

    Args:
        config: transformers' settings.
    """

    feature_extractor: Any
    feature_projection: Any
    encoder: Any

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.config = config
        size, heads = config.hidden_size, config.num_attention_heads
        channels = [1, *config.conv_dim]
        stem = zip(channels[:-1], channels[1:], config.conv_kernel, config.conv_stride, strict=True)
        convolutions = [_ConvLayer(*layer, bias=config.conv_bias) for layer in stem]
        self.feature_extractor = nn.ModuleDict({"conv_layers": nn.ModuleList(convolutions)})
        norm = nn.LayerNorm(channels[-1], config.layer_norm_eps)
        self.feature_projection = nn.ModuleDict({"layer_norm": norm, "projection": nn.Linear(channels[-1], size)})
        width, groups = config.num_conv_pos_embeddings, config.num_conv_pos_embedding_groups
        position = weight_norm(nn.Conv1d(size, size, width, padding=width // 2, groups=groups), dim=2)
        sizes = (size, heads, config.intermediate_size, config.layer_norm_eps)
        layers = [_Layer(*sizes) for _ in range(config.num_hidden_layers)]
        self.encoder = nn.ModuleDict(
            {
                "pos_conv_embed": nn.ModuleDict({"conv": position}),
                "layers": nn.ModuleList(layers),
                "layer_norm": nn.LayerNorm(size, config.layer_norm_eps),
            }
        )

    def forward(self, audio: Tensor, **_: Any) -> SimpleNamespace:
        """Encode audio [B, n]; the hidden states are the input of each layer, then the output, [B, T, D] each."""
        x = audio[:, None]  # [B, 1, n]
        for convolution in self.feature_extractor["conv_layers"]:
            x = convolution(x)  # [B, C, T]
        x = self.feature_projection["projection"](self.feature_projection["layer_norm"](x.transpose(1, 2)))  # [B, T, D]
        position = self.encoder["pos_conv_embed"]["conv"](x.transpose(1, 2)).transpose(1, 2)
        x = x + F.gelu(position[:, : x.shape[1]])  # an even kernel gives one frame more
        states = []
        for layer in self.encoder["layers"]:
            states.append(x)
            x = layer(x)
        states.append(self.encoder["layer_norm"](x))
        return SimpleNamespace(last_hidden_state=states[-1], hidden_states=states)


class _ConvLayer(nn.Module):
    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, bias: bool) -> None:
        super().__init__()
        self.conv = nn.Conv1d(inputs, outputs, kernel, stride, bias=bias)
        self.layer_norm = nn.LayerNorm(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return F.gelu(self.layer_norm(self.conv(x).transpose(1, 2)).transpose(1, 2))  # [B, C, T]


class _Layer(nn.Module):
    def __init__(self, size: int, heads: int, inner: int, epsilon: float) -> None:
        super().__init__()
        self.heads = heads
        self.attention = nn.ModuleDict({f"{name}_proj": nn.Linear(size, size) for name in ("q", "k", "v", "out")})
        self.layer_norm = nn.LayerNorm(size, epsilon)
        parts = {"intermediate_dense": nn.Linear(size, inner), "output_dense": nn.Linear(inner, size)}
        self.feed_forward = nn.ModuleDict(parts)
        self.final_layer_norm = nn.LayerNorm(size, epsilon)

    def forward(self, x: Tensor) -> Tensor:
        normed = self.layer_norm(x)
        split = (
            self.attention[f"{name}_proj"](normed).unflatten(-1, (self.heads, -1)).transpose(1, 2) for name in "qkv"
        )
        attended = F.scaled_dot_product_attention(*split)  # [B, heads, T, D / heads]
        x = x + self.attention["out_proj"](attended.transpose(1, 2).flatten(2))  # [B, T, D]
        inner = F.gelu(self.feed_forward["intermediate_dense"](self.final_layer_norm(x)))
        return x + self.feed_forward["output_dense"](inner)
