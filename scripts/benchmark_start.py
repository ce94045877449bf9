"""Processor time from nothing to the first frame of `fd2talk generate`, by part, on demo files (3 s of speech).

    OMP_NUM_THREADS=1 python scripts/benchmark_start.py

Of all threads; hardly dependent on what else the machine does.
"""

from __future__ import annotations

import time

from markdown_tables import print_head, print_row


def main() -> None:
    marks = [("Python", time.process_time())]

    def mark(part: str) -> None:
        marks.append((part, time.process_time()))

    import torch  # noqa: F401

    mark("import torch")
    from shared.media import read_audio, read_image
    from shared.photo_fit import PhotoFit
    from shared.weights import bundled
    from stage2_render.pipeline import RenderPipeline

    mark("import stage two")
    image = read_image(bundled("demo/portrait_woman.jpg"))
    speech = read_audio(bundled("demo/sense_and_sensibility_01_austen_64kb-0880.wav"))
    render = RenderPipeline.from_pretrained("bundled")
    mark("read the files, load the renderer")
    photo = PhotoFit.fit(image, render.model)
    mark("import mediapipe, find and fit the face")
    from fd2talk.pipeline import TalkingHeadPipeline
    from stage1_motion.pipeline import MotionPipeline

    pipeline = TalkingHeadPipeline(MotionPipeline.from_pretrained("bundled"), render)
    mark("import and load stage one")
    talk = pipeline(photo, speech)
    mark("motion")
    frames = iter(talk.frames)  # kept: closing it waits for the frames that are under way
    next(frames)
    mark("prepare the warp, first frames")
    print_head(["part", "processor time, s"])
    for (_, before), (part, after) in zip([("", 0.0), *marks], marks):
        print_row([part, f"{after - before:.2f}"])
    print_row(["all", f"{marks[-1][1]:.2f}"])


if __name__ == "__main__":
    main()
