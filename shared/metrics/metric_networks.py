"""Metric networks, whose weights are not bundled: files, addresses, terms, and locating or downloading them.

A metric that needs one is only computed with the published weights: a file with another digest is refused.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import sys
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tqdm import tqdm

from shared.errors import Fd2TalkError, InputError
from shared.files import atomic_output
from shared.weights import sha256

MODELS_VARIABLE = "FD2TALK_MODELS"
"""Environment variable: a folder of metric networks that is always searched, after the folders of the command."""

_TIMEOUT = 30  # seconds without a byte

_LPIPS = "https://raw.githubusercontent.com/richzhang/PerceptualSimilarity/master/lpips/weights/v0.1"
_TORCHVISION = "none stated for the weights (trained on ImageNet); torchvision is BSD-3-Clause"


@dataclass(frozen=True)
class MetricNetwork:
    """One file of published weights.

    Attributes:
        file: its published name, under which it is searched.
        url: its authors' address, or None if this exact file has none.
        sha256: all 64 digits.
        used_by: keys of the metrics that need it.
        terms: licence of its publishers.
    """

    file: str
    url: str | None
    sha256: str
    used_by: tuple[str, ...]
    terms: str


METRIC_NETWORKS = {
    "syncnet": MetricNetwork(
        "syncnet_v2.model",
        "http://www.robots.ox.ac.uk/~vgg/software/lipsync/data/syncnet_v2.model",
        "961e8696f888fce4f3f3a6c3d5b3267cf5b343100b238e79b2659bff2c605442",
        ("lse_c", "lse_d", "syncnet_confidence", "syncnet_offset"),
        "none stated for the weights; the authors' code (syncnet_python) is MIT",
    ),
    "inception": MetricNetwork(
        "pt_inception-2015-12-05-6726825d.pth",
        "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth",
        "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
        ("fid",),
        "Apache-2.0 (TensorFlow's network of 2015-12-05, converted by pytorch-fid)",
    ),
    "lpips_alex_trunk": MetricNetwork(
        "alexnet-owt-7be5be79.pth",
        "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
        "7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
        ("lpips_alex",),
        _TORCHVISION,
    ),
    "lpips_vgg_trunk": MetricNetwork(
        "vgg16-397923af.pth",
        "https://download.pytorch.org/models/vgg16-397923af.pth",
        "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
        ("lpips_vgg",),
        _TORCHVISION,
    ),
    "lpips_alex_linear": MetricNetwork(
        "alex.pth",
        f"{_LPIPS}/alex.pth",
        "df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0",
        ("lpips_alex",),
        "BSD-2-Clause",
    ),
    "lpips_vgg_linear": MetricNetwork(
        "vgg.pth",
        f"{_LPIPS}/vgg.pth",
        "a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868",
        ("lpips_vgg",),
        "BSD-2-Clause",
    ),
    "squeezenet": MetricNetwork(
        "squeezenet1_1_caffe.safetensors",
        None,
        "e5781aeab8fa0a66c73cae051bc4c78a8ea701b3da136712b33728d0385bbf7d",
        ("squeeze_distance",),
        "MIT (the Caffe release of SqueezeNet 1.1 under torchvision's names)",
    ),
    "identity": MetricNetwork(
        "mobilefacenet.onnx",
        None,
        "f055d9c9a4d826d198c42666590fdefa0fdc1374a75ccb6306c3d1b1bf8f74c5",
        ("identity",),
        "none stated",
    ),
}
"""Every metric network by its name."""


def find_metric_network(name: str, folders: Iterable[str | Path] = (), download: bool = False) -> Path:
    """Find the file of a metric network: in `folders`, the folder of FD2TALK_MODELS, then the user's cache.

    Args:
        name: key of `METRIC_NETWORKS`.
        folders: folders to search first.
        download: download a missing file from its authors' address into the cache.

    Raises:
        InputError: the file is missing and was not to be, or cannot be, downloaded, or it is not the published one.
        Fd2TalkError: the download fails, or yields another file; no file remains then.
    """
    network = METRIC_NETWORKS[name]
    places = [Path(folder) for folder in folders]
    if os.environ.get(MODELS_VARIABLE):
        places.append(Path(os.environ[MODELS_VARIABLE]))
    places.append(cache_folder())
    for place in places:
        path = place / network.file
        if path.is_file():
            return _checked(path, network)
    if download and network.url:
        return _download(network)
    remedy = "put it into a folder named with --models FOLDER"
    remedy += f", or download it from {network.url} with --download" if network.url else " (no official download)"
    searched = ", ".join(str(place) for place in places)
    raise InputError(f"{', '.join(network.used_by)}: {network.file} is required, but is not in {searched}; {remedy}")


def cache_folder() -> Path:
    """Folder of downloads: fd2talk/models in the user's cache (XDG_CACHE_HOME, else ~/.cache)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fd2talk" / "models"


def digest(path: str | Path) -> str:
    """Hexadecimal SHA-256 of a file, computed once as long as the file does not change.

    Raises:
        InputError: the file cannot be read.
    """
    try:
        status = Path(path).stat()
        return _digest(str(path), status.st_size, status.st_mtime_ns)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error


@cache
def _digest(path: str, size: int, changed: int) -> str:
    return sha256(path)


def _checked(path: Path, network: MetricNetwork) -> Path:
    if (found := digest(path)) != network.sha256:
        reason = _mismatch(found, network)
        raise InputError(f"{path}: not the published {network.file} ({reason}); remove or replace it")
    return path


def _mismatch(found: str, network: MetricNetwork) -> str:
    return f"SHA-256 {found[:16]}..., expected {network.sha256[:16]}..."


def _download(network: MetricNetwork) -> Path:
    """Download into the cache under a temporary name, which becomes the file once every byte has been verified."""
    target = cache_folder() / network.file
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Fd2TalkError(f"cannot create the folder {target.parent}: {error.strerror}") from error
    with atomic_output(target, overwrite=True) as temporary:  # another process may have finished the same download
        found = _fetch(network, temporary)
        if found != network.sha256:
            raise Fd2TalkError(
                f"{network.url} is not the published {network.file} ({_mismatch(found, network)}); it was deleted again"
            )
    return target


def _fetch(network: MetricNetwork, path: Path) -> str:
    """Copy the content of the address to `path`, with progress on a terminal; return its SHA-256."""
    assert network.url is not None  # otherwise there is no download
    hasher, received = hashlib.sha256(), 0
    with _network_errors(network.url):
        answer = urllib.request.urlopen(network.url, timeout=_TIMEOUT)
    with answer, path.open("wb") as file:
        total = int(answer.headers.get("Content-Length") or 0)
        hidden = sys.stderr is None or not sys.stderr.isatty()
        with tqdm(total=total or None, desc=network.file, unit="B", unit_scale=True, disable=hidden) as bar:
            while True:
                with _network_errors(network.url):
                    block = answer.read(1 << 16)
                if not block:
                    break
                file.write(block)
                hasher.update(block)
                received += len(block)
                bar.update(len(block))
    if received < total:
        raise Fd2TalkError(f"cannot download {network.url}: it ended after {received} of {total} bytes")
    return hasher.hexdigest()


@contextmanager
def _network_errors(url: str) -> Iterator[None]:
    try:
        yield
    except (OSError, http.client.HTTPException) as error:  # urllib's errors and timeouts are OSErrors
        reason = getattr(error, "reason", None) or error
        raise Fd2TalkError(f"cannot download {url}: {getattr(reason, 'strerror', None) or reason}") from error
