"""Run time of the renderer's networks by precision, memory layout, ONNX Runtime and OpenVINO: a Markdown table.

    python scripts/benchmark_networks.py [--weights assets/diffusion] [--threads 2] [--batch 4]

One denoising step and one decoding, as for each frame. "differs" is the mean absolute difference of the image from
float32's, of 255. ONNX Runtime and OpenVINO are tried if they are installed (packages onnxruntime with onnx and
onnxscript, and openvino); they are no dependency.
"""

from __future__ import annotations

import copy
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import click
import torch
from markdown_tables import print_head, print_row
from torch import Tensor, nn

from shared.weights import bundled
from stage2_render.diffusion.render_model import TRAIN_TIMESTEPS, RenderNetworks

_RUNS = 20
_INPUTS = ("reference", "coefficients", "reference_coefficients", "noise")
Inputs = tuple[Tensor, ...]


class OneStep(nn.Module):
    """A step of the UNet, and the decoder."""

    def __init__(self, networks: RenderNetworks) -> None:
        super().__init__()
        self.networks = networks

    def forward(self, reference: Tensor, coefficients: Tensor, reference_coefficients: Tensor, noise: Tensor) -> Tensor:
        """Return the image, [B, 3, S, S]."""
        now = torch.full((noise.shape[0],), TRAIN_TIMESTEPS - 1)
        clean = self.networks.unet(noise, now, coefficients, reference, reference_coefficients)
        return self.networks.autoencoder.decode(reference, clean)


@click.command(help=__doc__)
@click.option("--weights", type=click.Path(exists=True, path_type=Path), help="Default: the bundled renderer.")
@click.option("--threads", default=2, show_default=True)
@click.option("--batch", default=4, show_default=True)
def main(weights: Path | None, threads: int, batch: int) -> None:
    torch.set_num_threads(threads)
    network = OneStep(RenderNetworks.load(weights or bundled("diffusion"))).eval().requires_grad_(False)
    generator, config = torch.Generator().manual_seed(0), network.networks.unet.config
    latents = (batch, config.latent_channels, config.size, config.size)
    inputs = (
        torch.randn(latents, generator=generator),
        0.1 * torch.randn(batch, config.coefficients, generator=generator),
        0.1 * torch.randn(batch, config.coefficients, generator=generator),
        torch.randn(latents, generator=generator),
    )
    expected = network(*inputs)
    print_head([f"{threads} threads, batch of {batch} frames", "ms per frame", "differs"])
    for name, build in VARIANTS.items():
        try:
            run = build(network, inputs, threads)
            image = run()
        except Exception as error:  # an optional package is missing or lacks an operation
            print_row([name, f"not possible: {' '.join(str(error).split())[:90]}", ""])
            continue
        before = time.perf_counter()
        for _ in range(_RUNS):
            run()
        duration = (time.perf_counter() - before) / _RUNS / batch
        print_row([name, f"{1000 * duration:.1f}", f"{127.5 * float((image - expected).abs().mean()):.3f}"])


def _autocast(network: nn.Module, inputs: Inputs, bf16: bool = True) -> Tensor:
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        return network(*inputs).float()


def _plain(network: OneStep, inputs: Inputs, threads: int, *, bf16: bool, channels_last: bool) -> Callable[[], Tensor]:
    network = copy.deepcopy(network)
    if channels_last:
        network = network.to(memory_format=torch.channels_last)
    return partial(torch.inference_mode()(_autocast), network, inputs, bf16)


def _weights_bf16(network: OneStep, inputs: Inputs, threads: int) -> Callable[[], Tensor]:
    network = copy.deepcopy(network).to(torch.bfloat16)
    network.networks.schedule = copy.copy(network.networks.schedule)
    return partial(torch.inference_mode()(_autocast), network, tuple(value.bfloat16() for value in inputs))


def _compiled(network: OneStep, inputs: Inputs, threads: int) -> Callable[[], Tensor]:
    return partial(torch.no_grad()(_autocast), torch.compile(copy.deepcopy(network)), inputs)


def _onnx_runtime(network: OneStep, inputs: Inputs, threads: int) -> Callable[[], Tensor]:
    import onnxruntime

    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "renderer.onnx")
        torch.onnx.export(network, inputs, path, input_names=_INPUTS, dynamo=True, external_data=False, verbose=False)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    arrays = {name: value.numpy() for name, value in zip(_INPUTS, inputs)}
    return lambda: torch.from_numpy(session.run(None, arrays)[0])


def _openvino(network: OneStep, inputs: Inputs, threads: int, *, precision: str) -> Callable[[], Tensor]:
    import openvino

    model = openvino.convert_model(network, example_input=inputs)
    settings = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": precision}
    compiled = openvino.compile_model(model, "CPU", settings)
    arrays = [value.numpy() for value in inputs]
    return lambda: torch.from_numpy(compiled(arrays)[0])


VARIANTS: dict[str, Callable[[OneStep, Inputs, int], Callable[[], Tensor]]] = {
    "torch, float32": partial(_plain, bf16=False, channels_last=False),
    "torch, float32, channels last": partial(_plain, bf16=False, channels_last=True),
    "torch, bf16 autocast": partial(_plain, bf16=True, channels_last=False),
    "torch, bf16 autocast, channels last": partial(_plain, bf16=True, channels_last=True),
    "torch, bf16 weights": _weights_bf16,
    "torch, bf16 autocast, compiled": _compiled,
    "ONNX Runtime, float32": _onnx_runtime,
    "OpenVINO, float32": partial(_openvino, precision="f32"),
    "OpenVINO, bf16": partial(_openvino, precision="bf16"),
}

if __name__ == "__main__":
    main()
