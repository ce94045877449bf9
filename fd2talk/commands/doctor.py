"""`fd2talk doctor`: do the packages, models and devices work here, and how fast?"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterator
from importlib import metadata
from importlib.util import find_spec
from typing import Any

from fd2talk.dependencies import unmet_requirements
from fd2talk.terminal import announce

_PACKAGES = ("torch", "numpy", "mediapipe", "protobuf", "opencv-contrib-python", "av", "pillow")
_OPTIONAL = {
    "pillow_heif": "HEIC photos: pip install pillow-heif",
    "face_alignment": 'faces in drawings, and the published LSE-C: pip install "fd2talk[faces]"',
    "transformers": 'training, and other speech encoders: pip install "fd2talk[train]" or "fd2talk[encoders]"',
    "onnxruntime": 'training and the metric of identity: pip install "fd2talk[train,metrics]"',
}
_SECONDS = 1.0  # of speech that is tried out


def doctor(device: str) -> int:
    """Print a line for each thing that is checked, and what to do about those that do not work.

    Args:
        device: on which everything is tried out.

    Returns:
        The exit code: 0 if all is well, else 1.
    """
    announce(f"fd2talk {_version('fd2talk')}, Python {platform.python_version()}, {platform.platform()}")
    problems = unmet_requirements()
    for problem in problems:
        _line("packages", f"{problem.sentence}: {problem.remedy}", fine=False)
    if not problems:
        _line("packages", ", ".join(f"{name} {_version(name)}" for name in _PACKAGES))
    for module, use in _OPTIONAL.items():
        if find_spec(module) is None:
            announce(f"  --  optional: {module} is not installed ({use})")
    remedy = problems[0].remedy if problems else "pip install --force-reinstall fd2talk"
    for what, work in _trials(device):
        try:
            _line(what, work())
        except Exception as error:  # whatever it is: this command is for finding out
            _line(what, " ".join(f"{type(error).__name__}: {error}".split()), fine=False)
            announce(f"      {what}: try {remedy}")
            return 1
    return 1 if problems else 0


def _line(what: str, text: str, fine: bool = True) -> None:
    announce(f"{'  ok  ' if fine else 'WRONG '}{what}: {text}")


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "(not installed)"


def _trials(device: str) -> Iterator[tuple[str, Callable[[], str]]]:
    """Names of the trials and what runs each; one builds on the results of those before it."""
    state: dict[str, Any] = {}

    def devices() -> str:
        import torch

        from shared.device import require_device

        require_device(device)
        others = [f"cuda ({torch.cuda.get_device_name()})"] if torch.cuda.is_available() else []
        others += ["mps"] if torch.backends.mps.is_available() else []
        found = ", ".join(others) or "no GPU, none is needed"
        return f"{device} is used here; {torch.get_num_threads()} threads of {os.cpu_count()} CPU cores; {found}"

    def models() -> str:
        from fd2talk.pipeline import TalkingHeadPipeline

        begun = time.monotonic()
        state["pipeline"] = TalkingHeadPipeline.from_pretrained(device=device)
        return f"the bundled weights were loaded in {time.monotonic() - begun:.1f} s"

    def photo() -> str:
        from shared.media import read_image
        from shared.photo_fit import PhotoFit
        from shared.weights import bundled

        begun, image = time.monotonic(), read_image(bundled("demo/portrait_woman.jpg"))
        state["photo"] = PhotoFit.fit(image, state["pipeline"].render.model)
        return f"the face of the demo portrait was found in {time.monotonic() - begun:.1f} s"

    def speed() -> str:
        from shared.media import SAMPLE_RATE, read_audio
        from shared.weights import bundled

        speech = read_audio(bundled("demo/sense_and_sensibility_01_austen_64kb-0880.wav"))
        begun = time.monotonic()
        talk = state["pipeline"](state["photo"], speech[: round(_SECONDS * SAMPLE_RATE)])
        generated = time.monotonic()
        frames = sum(1 for _ in talk.frames)
        height, width = state["photo"].image.shape[:2]
        return (
            f"motion {1000 * (generated - begun) / frames:.0f} ms a frame, rendering at {width} x {height} "
            f"{1000 * (time.monotonic() - generated) / frames:.0f} ms a frame (40 ms would be as fast as it plays)"
        )

    yield from {"device": devices, "models": models, "photo": photo, "speed": speed}.items()
