"""A report of `fd2talk evaluate` in a browser: everything is visible, in both themes and on a telephone."""

import subprocess
import sys

import numpy as np
import pytest
from material import portrait, short_speech, sine_motion

import fd2talk

SYSTEMS = ("generated", "louder")


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The report on less than a second of one portrait, rendered by the warp: a reference, and two versions of it."""
    folder = tmp_path_factory.mktemp("evaluation")
    photo = fd2talk.PhotoFit.fit(np.array(portrait()))
    renderer = fd2talk.RenderPipeline.from_pretrained(renderer="geometry")
    real = sine_motion(short_speech(), photo)
    motions = {"real": real, "generated": real.scaled(pose=0.5), "louder": real.scaled(expression=1.5)}
    for name, motion in motions.items():
        (folder / name).mkdir()
        fd2talk.write_video(folder / name / "anna__1.mp4", renderer(photo, motion), audio=motion.audio)
    systems = [f"{name}={folder / name}" for name in SYSTEMS]
    command = [sys.executable, "-m", "fd2talk", "evaluate", *systems, "--reference", folder / "real", "--workers", "1"]
    command += ["--metrics", "psnr,ssim,head,mesh,aperture_correlation,aperture_spread", "-o", folder / "report"]
    subprocess.run(command, check=True, timeout=300)
    return (folder / "report" / "report.html").as_uri()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
def test_everything_is_visible(browse, page, width, scheme):
    seen = browse(page, width, scheme, "report")
    assert seen["problems"] == []
    assert seen["overflow"] <= 0
    assert seen["images"]["visible"] == seen["images"]["count"] == len(SYSTEMS) + 1  # and the real clip
    assert seen["plots"]["visible"] == seen["plots"]["count"] >= 5
    assert all(name in seen["text"] for name in (*SYSTEMS, "PSNR", "Clip by clip", "Mouth openings", "Stills"))
    assert (brightness(seen["paper"]) > brightness(seen["ink"])) == (scheme == "light")


def brightness(colour):
    """Of a colour as CSS computes it: rgb(1, 2, 3)."""
    return sum(int(part) for part in colour[4:-1].split(","))
