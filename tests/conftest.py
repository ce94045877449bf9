"""Material for the tests of several rooms."""

import gc
import os
import signal

# Networks here are small: threads would only wait for each other, above all while other processes are running. Set
# before torch is imported, and for the processes that tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest  # noqa: E402
from situations import Recorder  # noqa: E402

# A shell that starts the tests in the background lets them, and every process that they start, ignore Ctrl-C.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser):
    parser.addoption("--compatibility", action="store_true", help="write docs/compatibility.md (with -m situation)")


def pytest_configure(config):
    if config.getoption("--compatibility"):
        config.pluginmanager.register(Recorder())


@pytest.hookimpl(hookwrapper=True)
def pytest_collection():
    """What is imported stays: the garbage collector need not look through it, neither meanwhile nor later."""
    gc.disable()
    yield
    gc.collect()
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session")
def renderer_weights(tmp_path_factory):
    """A folder of weights whose renderer is small and knows nothing: all its numbers are random."""
    import torch

    from shared.face_model import load_bundled
    from stage2_render.diffusion.autoencoder import Autoencoder, AutoencoderConfig
    from stage2_render.diffusion.render_model import RenderNetworks
    from stage2_render.diffusion.unet import UNet, UNetConfig

    torch.manual_seed(0)
    size, coefficients, view = 24, load_bundled().num_expression + 6, (0.0, 0.046875, 0.75)
    unet = UNet(UNetConfig(4, size, coefficients, view, channels=(8, 8, 8), heads=2, time_width=16))
    networks = RenderNetworks(Autoencoder(AutoencoderConfig(4, coarse=8, fine=8, fine_blocks=1)), unet)
    with torch.no_grad():  # layers that begin at zero would hide what the others do
        for parameter in networks.parameters():
            parameter.normal_(0, 0.1)
    folder = tmp_path_factory.mktemp("weights")
    (folder / "diffusion").mkdir()
    networks.save(folder / "diffusion")
    return folder
