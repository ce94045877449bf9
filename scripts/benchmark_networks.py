"""Ways to run the renderer's networks, timed: precision, memory layout, ONNX Runtime, OpenVINO. A Markdown table.

    python scripts/benchmark_networks.py [--weights assets/renderer] [--threads 2] [--batch 4]

One denoising step and one decoding, as for each frame. "differs" is the mean absolute difference of the picture to
float32's, of 255. ONNX Runtime and OpenVINO are tried when they are installed (packages onnxruntime with onnx and
onnxscript, and openvino); they are no dependency.
"""

from __future__ import annotations

import copy
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import click
import torch
from torch import Tensor, nn

from shared.weights import bundled
from stage2_render.diffusion.render_model import RenderNetworks

_RUNS = 20


class OneStep(nn.Module):
    """What every frame costs: a step of the UNet from the warped latent, and the decoder."""

    def __init__(self, networks: RenderNetworks) -> None:
        super().__init__()
        self.networks = networks

    def forward(self, warped: Tensor, reference: Tensor, maps: Tensor, coefficients: Tensor, noise: Tensor) -> Tensor:
        """The picture laid over the warp, [B, 3, 256, 256]."""
        networks = self.networks
        now = torch.full((warped.shape[0],), networks.first_timestep)
        shown = networks.autoencoder.encode(warped)
        noisy = networks.schedule.add_noise(shown, noise, now)
        clean = networks.unet(noisy, now, coefficients, reference, shown, maps)
        content, opacity = networks.autoencoder.decode(reference, clean, warped, maps)
        return warped + opacity * (content - warped)


@click.command(help=__doc__)
@click.option("--weights", type=click.Path(exists=True, path_type=Path), help="default: the bundled renderer")
@click.option("--threads", default=2, show_default=True)
@click.option("--batch", default=4, show_default=True)
def main(weights: Path | None, threads: int, batch: int) -> None:
    torch.set_num_threads(threads)
    network = OneStep(RenderNetworks.load(weights or bundled("renderer"))).eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(0)
    latent = network.networks.unet.config.latent_channels
    given = (
        torch.rand(batch, 3, 256, 256, generator=generator) * 2 - 1,
        torch.randn(batch, latent, 32, 32, generator=generator),
        torch.rand(batch, network.networks.unet.config.maps, 64, 64, generator=generator),
        torch.randn(batch, network.networks.unet.config.coefficients, generator=generator),
        torch.randn(batch, latent, 32, 32, generator=generator),
    )
    expected = network(*given)
    print(f"| {threads} threads, {batch} frames at once | ms a frame | differs |\n|---|---|---|")
    for name, make in WAYS.items():
        try:
            run = make(network, given, threads)
            made = run()
        except Exception as error:  # whatever a package that is tried lacks or cannot do
            print(f"| {name} | not possible: {' '.join(str(error).split())[:90]} | |", flush=True)
            continue
        before = time.perf_counter()
        for _ in range(_RUNS):
            run()
        spent = (time.perf_counter() - before) / _RUNS / batch
        print(f"| {name} | {1000 * spent:.1f} | {127.5 * float((made - expected).abs().mean()):.3f} |", flush=True)


def _plain(bf16: bool, channels_last: bool) -> Callable:
    def make(network: OneStep, given: tuple[Tensor, ...], threads: int) -> Callable[[], Tensor]:
        network = copy.deepcopy(network)
        if channels_last:
            network = network.to(memory_format=torch.channels_last)

        def run() -> Tensor:
            with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                return network(*given).float()

        return run

    return make


def _weights_bf16(network: OneStep, given: tuple[Tensor, ...], threads: int) -> Callable[[], Tensor]:
    network = copy.deepcopy(network).to(torch.bfloat16)
    network.networks.schedule = copy.copy(network.networks.schedule)
    given = tuple(value.bfloat16() for value in given)

    def run() -> Tensor:
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
            return network(*given).float()

    return run


def _compiled(network: OneStep, given: tuple[Tensor, ...], threads: int) -> Callable[[], Tensor]:
    compiled = torch.compile(copy.deepcopy(network))

    def run() -> Tensor:
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            return compiled(*given).float()

    return run


def _onnx_runtime(network: OneStep, given: tuple[Tensor, ...], threads: int) -> Callable[[], Tensor]:
    import onnxruntime

    names = ("warped", "reference", "maps", "coefficients", "noise")
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "renderer.onnx")
        torch.onnx.export(network, given, path, input_names=names, dynamo=True, external_data=False, verbose=False)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    arrays = {name: value.numpy() for name, value in zip(names, given)}
    return lambda: torch.from_numpy(session.run(None, arrays)[0])


def _openvino(precision: str) -> Callable:
    def make(network: OneStep, given: tuple[Tensor, ...], threads: int) -> Callable[[], Tensor]:
        import openvino

        model = openvino.convert_model(network, example_input=given)
        settings = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": precision}
        compiled = openvino.compile_model(model, "CPU", settings)
        arrays = [value.numpy() for value in given]
        return lambda: torch.from_numpy(compiled(arrays)[0])

    return make


WAYS = {
    "torch, float32": _plain(False, False),
    "torch, float32, channels last": _plain(False, True),
    "torch, bf16 autocast": _plain(True, False),
    "torch, bf16 autocast, channels last": _plain(True, True),
    "torch, bf16 weights": _weights_bf16,
    "torch, bf16 autocast, compiled": _compiled,
    "ONNX Runtime, float32": _onnx_runtime,
    "OpenVINO, float32": _openvino("f32"),
    "OpenVINO, bf16": _openvino("bf16"),
}

if __name__ == "__main__":
    main()
