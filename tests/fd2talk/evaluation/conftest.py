"""Two short clips, and `fd2talk evaluate` in this process."""

import json
import shutil

import pytest
from material import SPEECH, fitted_portrait, sine_motion

from fd2talk.evaluation import runner
from shared.errors import Fd2TalkError
from shared.media import VideoWriter, read_audio

FRAMES = 22
PLAIN = "psnr,ssim,psnr_mouth,flicker,sharpness,head,mesh,aperture_correlation,aperture_lag,aperture_spread"


@pytest.fixture(scope="session")
def real(tmp_path_factory):
    """A folder of two people's clips, each a video and its motion."""
    folder = tmp_path_factory.mktemp("real")
    from stage2_render.pipeline import RenderPipeline

    pipeline = RenderPipeline.from_pretrained(renderer="geometry")
    fitted, speech = fitted_portrait(), read_audio(SPEECH)
    for name, start in (("anna__1", 8000), ("bob__1", 30000)):
        sound = speech[start : start + 640 * FRAMES]
        motion = sine_motion(sound, fitted)
        motion.save(folder / f"{name}.npz")
        with VideoWriter(folder / f"{name}.mp4", (240, 240), audio=sound) as writer:
            for frame in pipeline(fitted, motion, relative=False):
                writer.write(frame)
    return folder


@pytest.fixture
def generated(tmp_path, real):
    return shutil.copytree(real, tmp_path / "generated")


@pytest.fixture(autouse=True)
def one_process(monkeypatch):
    """Run in this process: starting others takes half a minute."""

    def in_processes(work, jobs, workers, what, unit, *, start, given, failed):
        start(*given)
        results = []
        for index, job in enumerate(jobs):
            try:
                results.append(work(*job))
            except Fd2TalkError as error:
                failed(index, error)
                results.append(None)
        return results

    monkeypatch.setattr(runner, "in_processes", in_processes)


@pytest.fixture
def report(run, tmp_path, real):
    """Evaluate and read report.json."""

    def report(*arguments, reference=real, output="report", metrics=PLAIN):
        where = ["--reference", reference] if reference else []
        code, out, err = run("evaluate", *arguments, *where, "--metrics", metrics, "-o", tmp_path / output)
        assert code == 0, err
        assert out.split() == [str(tmp_path / output / f"report.{kind}") for kind in ("md", "html", "json")]
        return json.loads((tmp_path / output / "report.json").read_text())

    return report


@pytest.fixture
def means():
    """A report and a row's name -> metric -> mean."""
    return lambda report, row: {key: score["mean"] for key, score in report["systems"][row]["scores"].items()}
