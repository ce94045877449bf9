"""What an epoch costs on one, eight and sixty-four GPUs: operations that were counted, by speeds that are assumed.

    python scripts/scale_epochs.py --stage-one WINDOWS --stage-two PAIRS

WINDOWS and PAIRS: what one reading thread makes a second, as measured by scripts/simulate_scale.py and
scripts/scale_pictures.py. Operations are counted by torch.utils.flop_counter, forward and backward, of one example of a
training (a multiplication and an addition are two). An epoch of stage one is as many windows as the hours have frames,
over the window's length; of stage two as many pairs as there are frames, 64 for each person of five minutes, as configs
choose them, and for the paper's UNet all frames. Hours are those of the computation, and where four reading threads for
each GPU are slower than that, those of the reading.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import click
import torch
from markdown_tables import print_head, print_row
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from shared.config import Config
from shared.face_model import load_bundled
from shared.weights import bundled_config
from stage1_motion.models.fd2talk.network import MotionTransformer, MotionTransformerConfig
from stage2_render.diffusion.unet import UNet, UNetConfig

HOURS, GPUS = (1000, 10_000), (1, 8, 64)
# Dense bf16 operations a second of an H100 SXM by its data sheet, and the shares of them that networks of this size are
# assumed to reach: small ones wait for launches of kernels.
PEAK, SMALL, LARGE = 989e12, 0.02, 0.30
PERSON_MINUTES, FRAMES_PER_PERSON = 5, 64
# Threads that read for each GPU, and KB of a picture (`fd2talk shard` on filmed faces, quality 90).
THREADS, PICTURE = 4, 6.2
# Channels of the first stage of latent diffusion models at factor 4, whose encoder the paper's UNet trains behind.
_ENCODER = {
    "down_block_types": ["DownEncoderBlock2D"] * 3, "up_block_types": ["UpDecoderBlock2D"] * 3,
    "block_out_channels": [128, 256, 512], "layers_per_block": 2, "latent_channels": 3,
}  # fmt: skip


@dataclass
class Case:
    """A training: its name, operations of one example, whether it is of stage one, and examples of one hour."""

    name: str
    operations: float
    stage_one: bool
    per_hour: float
    kilobytes: float

    @property
    def share(self) -> float:
        return LARGE if self.operations > 1e11 else SMALL


def counted(work: Callable[[], Tensor]) -> float:
    with FlopCounterMode(display=False) as counter:
        work().float().square().mean().backward()
    return float(counter.get_total_flops())


def motion(path: str, features: int) -> Case:
    """A training of the Expression Transformer."""
    values = Config.load(bundled_config(path)).resolved()["network"]
    config = MotionTransformerConfig(load_bundled().num_expression, features, **values)
    model = MotionTransformer(config)
    x, speech = torch.randn(1, config.window, config.coefficients), torch.randn(1, config.window, features)
    operations = counted(lambda: model(x, torch.zeros(1, dtype=torch.long), speech))
    read = config.window * 4 * (config.coefficients + 6 + features) / 1e3
    return Case(path.split("/")[1] + " expression", operations, True, 90_000 / config.window, read)


def renderer(path: str, window: int, channels: int, factor: int, per_hour: float) -> Case:
    """A training of the UNet behind its encoder, which does not learn."""
    values = Config.load(bundled_config(path)).resolved()["network"]
    size = window // factor
    config = UNetConfig(channels, size, load_bundled().num_expression + 6, **values)
    model, given = UNet(config), torch.randn(1, config.coefficients)
    latents, t = torch.randn(1, channels, size, size), torch.zeros(1, dtype=torch.long)
    patches = torch.randn(1, channels, window // 4 + 1, window // 4 + 1) if config.copies else None
    operations = counted(lambda: model(latents, t, given, latents, given, patches))
    if factor == 4:
        operations += 2 * of_encoder()
    return Case(path.split("/")[1] + " UNet", operations, False, per_hour, 2 * PICTURE)


def of_encoder() -> float:
    from diffusers import VQModel

    encoder: nn.Module = VQModel(**_ENCODER).encoder
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        encoder(torch.randn(1, 3, 256, 256))
    return float(counter.get_total_flops())


def hours_of(examples: float, computed: float, read: float) -> str:
    """Hours of one GPU for so many examples: those of the computation, and of the reading where that is slower."""
    hours = [examples / rate / 3600 for rate in (computed, read)]
    return f"{hours[0]:.2g}" if hours[0] >= hours[1] else f"{hours[0]:.2g}, reading {hours[1]:.2g}"


@click.command(help=__doc__)
@click.option("--stage-one", type=float, required=True, help="Windows a second of one reading thread.")
@click.option("--stage-two", type=float, required=True, help="Pairs a second of one reading thread.")
def main(stage_one: float, stage_two: float) -> None:
    chosen = FRAMES_PER_PERSON * 60 / PERSON_MINUTES
    cases = [
        motion("train/bundled/stage1_motion/fd2talk/expression.yaml", 256),
        motion("train/paper/stage1_motion/fd2talk/expression.yaml", 768),
        renderer("train/bundled/stage2_render/unet.yaml", 192, 20, 8, chosen),
        renderer("train/paper/stage2_render/unet.yaml", 256, 3, 4, 90_000),
    ]
    print_head(
        ["training", "operations of an example, 10^9", "hours", "examples of an epoch, 10^6"]
        + ["examples a second of a GPU", *(f"hours on {count}" for count in GPUS), "threads that keep a GPU busy"]
        + [f"MB a second on {GPUS[-1]}"]
    )
    for case in cases:
        rate = PEAK * case.share / case.operations
        threads = rate / (stage_one if case.stage_one else stage_two)
        for hours in HOURS:
            examples = case.per_hour * hours
            print_row(
                [case.name, f"{case.operations / 1e9:.3g}", f"{hours:,}", f"{examples / 1e6:.3g}", f"{rate:,.0f}"]
                + [hours_of(examples / count, rate, rate * THREADS / threads) for count in GPUS]
                + [f"{threads:.2g}", f"{rate * GPUS[-1] * case.kilobytes / 1e3:,.0f}"]
            )


if __name__ == "__main__":
    main()
