"""Networks that judge results and are not bundled: which file, from where, under which terms, and finding it.

A metric that needs one is only ever computed with the published weights: a file with another digest is refused.
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
"""Environment variable: a folder of judges that is always looked in, after the folders given."""

_TIMEOUT = 30  # seconds without a byte

_LPIPS = "https://raw.githubusercontent.com/richzhang/PerceptualSimilarity/master/lpips/weights/v0.1"


@dataclass(frozen=True)
class Judge:
    """One file of published weights.

    file: its published name, under which it is looked for. url: its authors' address, or None where the very file has
    none. sha256: all 64 digits. used_by: keys of the metrics that need it. terms: what its publishers allow.
    """

    name: str
    file: str
    url: str | None
    sha256: str
    used_by: tuple[str, ...]
    terms: str


JUDGES = {
    judge.name: judge
    for judge in (
        Judge(
            "syncnet",
            "syncnet_v2.model",
            "http://www.robots.ox.ac.uk/~vgg/software/lipsync/data/syncnet_v2.model",
            "961e8696f888fce4f3f3a6c3d5b3267cf5b343100b238e79b2659bff2c605442",
            ("lse_c", "lse_d", "syncnet_confidence", "syncnet_offset"),
            "none stated for the weights; the authors' code (syncnet_python) is MIT",
        ),
        Judge(
            "inception",
            "pt_inception-2015-12-05-6726825d.pth",
            "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/"
            "pt_inception-2015-12-05-6726825d.pth",
            "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
            ("fid",),
            "Apache-2.0 (TensorFlow's network of 2015-12-05, converted by pytorch-fid)",
        ),
        Judge(
            "lpips_alex_trunk",
            "alexnet-owt-7be5be79.pth",
            "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
            "7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
            ("lpips_alex",),
            "none stated for the weights (trained on ImageNet); torchvision is BSD-3-Clause",
        ),
        Judge(
            "lpips_vgg_trunk",
            "vgg16-397923af.pth",
            "https://download.pytorch.org/models/vgg16-397923af.pth",
            "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
            ("lpips_vgg",),
            "none stated for the weights (trained on ImageNet); torchvision is BSD-3-Clause",
        ),
        Judge(
            "lpips_alex_linear",
            "alex.pth",
            f"{_LPIPS}/alex.pth",
            "df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0",
            ("lpips_alex",),
            "BSD-2-Clause",
        ),
        Judge(
            "lpips_vgg_linear",
            "vgg.pth",
            f"{_LPIPS}/vgg.pth",
            "a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868",
            ("lpips_vgg",),
            "BSD-2-Clause",
        ),
        Judge(
            "squeezenet",
            "squeezenet1_1_caffe.safetensors",
            None,
            "e5781aeab8fa0a66c73cae051bc4c78a8ea701b3da136712b33728d0385bbf7d",
            ("squeeze_distance",),
            "MIT (the Caffe release of SqueezeNet 1.1 under torchvision's names)",
        ),
        Judge(
            "identity",
            "mobilefacenet.onnx",
            None,
            "f055d9c9a4d826d198c42666590fdefa0fdc1374a75ccb6306c3d1b1bf8f74c5",
            ("identity",),
            "none stated",
        ),
    )
}
"""Every judge by its name."""


def find_judge(name: str, folders: Iterable[str | Path] = (), download: bool = False) -> Path:
    """The path of a judge's file: in `folders`, the folder of FD2TALK_MODELS, or the user's cache; the first counts.

    download: fetch it from its authors' address into the cache when it is nowhere.

    Raises:
        InputError: it is nowhere and may or can not be fetched, or a file of its name is not the published one.
        Fd2TalkError: the download fails, or brings another file; nothing is left behind.
    """
    judge = JUDGES[name]
    places = [Path(folder) for folder in folders]
    if os.environ.get(MODELS_VARIABLE):
        places.append(Path(os.environ[MODELS_VARIABLE]))
    places.append(cache_folder())
    for place in places:
        path = place / judge.file
        if path.is_file():
            return _checked(path, judge)
    if download and judge.url:
        return _download(judge)
    remedy = "put it into a folder named with --models FOLDER"
    remedy += f", or fetch it from {judge.url} with --download" if judge.url else " (it has no official download)"
    looked = ", ".join(str(place) for place in places)
    raise InputError(f"{', '.join(judge.used_by)}: needs {judge.file}, which is not in {looked}; {remedy}")


def cache_folder() -> Path:
    """Where downloads go: fd2talk/models in the user's cache (XDG_CACHE_HOME, else ~/.cache)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fd2talk" / "models"


def digest(path: str | Path) -> str:
    """Hex SHA-256 of a file, read once as long as the file does not change. Raises InputError: it cannot be read."""
    try:
        status = Path(path).stat()
        return _digest(str(path), status.st_size, status.st_mtime_ns)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error


@cache
def _digest(path: str, size: int, changed: int) -> str:
    return sha256(path)


def _checked(path: Path, judge: Judge) -> Path:
    found = digest(path)
    if found != judge.sha256:
        raise InputError(
            f"{path}: not the published {judge.file} (SHA-256 {found[:16]}..., should be {judge.sha256[:16]}...); "
            "remove it or replace it"
        )
    return path


def _download(judge: Judge) -> Path:
    """Fetch into the cache under a temporary name, which becomes the file when every byte is as it should be."""
    target = cache_folder() / judge.file
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Fd2TalkError(f"cannot make the folder {target.parent}: {error.strerror}") from error
    with atomic_output(target, overwrite=True) as temporary:  # overwrite: another process may be first with the same
        found = _fetch(judge, temporary)
        if found != judge.sha256:
            raise Fd2TalkError(
                f"{judge.url} did not bring the published {judge.file} "
                f"(SHA-256 {found[:16]}..., should be {judge.sha256[:16]}...); nothing was kept"
            )
    return target


def _fetch(judge: Judge, path: Path) -> str:
    """Copy what is at the address to `path`, with progress on a terminal; return its SHA-256."""
    hasher, received = hashlib.sha256(), 0
    with _network_errors(judge.url):
        answer = urllib.request.urlopen(judge.url, timeout=_TIMEOUT)
    with answer, path.open("wb") as file:
        total = int(answer.headers.get("Content-Length") or 0)
        hidden = not sys.stderr.isatty()
        with tqdm(total=total or None, desc=judge.file, unit="B", unit_scale=True, disable=hidden) as bar:
            while True:
                with _network_errors(judge.url):
                    block = answer.read(1 << 16)
                if not block:
                    break
                file.write(block)
                hasher.update(block)
                received += len(block)
                bar.update(len(block))
    if received < total:
        raise Fd2TalkError(f"cannot fetch {judge.url}: it ended after {received} of {total} bytes")
    return hasher.hexdigest()


@contextmanager
def _network_errors(url: str) -> Iterator[None]:
    try:
        yield
    except (OSError, http.client.HTTPException) as error:  # urllib's errors and timeouts are OSErrors
        reason = getattr(error, "reason", None) or error
        raise Fd2TalkError(f"cannot fetch {url}: {getattr(reason, 'strerror', None) or reason}") from error
