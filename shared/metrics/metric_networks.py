"""Metric networks, whose weights are not bundled: files, addresses and terms.

A metric that needs one is only computed with the published weights (see `shared.published_files`).
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

from shared.errors import InputError
from shared.published_files import PublishedFile, find_published

_TORCHVISION = "none stated for the weights (trained on ImageNet); torchvision is BSD-3-Clause"

METRIC_NETWORKS = {
    "syncnet": PublishedFile(
        "syncnet_v2.model",
        "http://www.robots.ox.ac.uk/~vgg/software/lipsync/data/syncnet_v2.model",
        "961e8696f888fce4f3f3a6c3d5b3267cf5b343100b238e79b2659bff2c605442",
        ("lse_c", "lse_d", "syncnet_confidence", "syncnet_offset"),
        "none stated for the weights; the authors' code (syncnet_python) is MIT",
    ),
    "inception": PublishedFile(
        "pt_inception-2015-12-05-6726825d.pth",
        "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth",
        "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
        ("fid",),
        "Apache-2.0 (TensorFlow's network of 2015-12-05, converted by pytorch-fid)",
    ),
    "lpips_alex_trunk": PublishedFile(
        "alexnet-owt-7be5be79.pth",
        "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
        "7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
        ("lpips_alex",),
        _TORCHVISION,
    ),
    "lpips_vgg_trunk": PublishedFile(
        "vgg16-397923af.pth",
        "https://download.pytorch.org/models/vgg16-397923af.pth",
        "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
        ("lpips_vgg",),
        _TORCHVISION,
    ),
    "squeezenet": PublishedFile(
        "squeezenet1_1_caffe.safetensors",
        None,
        "e5781aeab8fa0a66c73cae051bc4c78a8ea701b3da136712b33728d0385bbf7d",
        ("squeeze_distance",),
        "MIT (the Caffe release of SqueezeNet 1.1 under torchvision's names)",
    ),
    "identity": PublishedFile(
        "mobilefacenet.onnx",
        None,
        "f055d9c9a4d826d198c42666590fdefa0fdc1374a75ccb6306c3d1b1bf8f74c5",
        ("identity",),
        "none stated",
    ),
}
"""Every metric network by its name."""


_PACKAGES = {"lpips_alex_trunk": "lpips", "lpips_vgg_trunk": "lpips", "identity": "onnxruntime"}


def find_metric_network(name: str, folders: Iterable[str | Path] = (), download: bool = False) -> Path:
    """Find the file of the metric network of that name; see `shared.published_files.find_published`.

    Raises:
        InputError: also if the package that applies the network is not installed.
        Fd2TalkError: see `find_published`.
    """
    network, package = METRIC_NETWORKS[name], _PACKAGES.get(name)
    if package and find_spec(package) is None:
        raise InputError(f'{", ".join(network.used_by)}: needs the package {package}: pip install "fd2talk[metrics]"')
    return find_published(network, folders, download)
