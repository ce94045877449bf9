"""What an edit of a video keeps, and whether it jumps.

    python scripts/evaluate_edited_video.py BEFORE.mp4 AFTER.mp4 --keep 0:1.2,2.8:4

Of the frames that `fd2talk edit` was told to keep: peak signal-to-noise ratio between what the encoder was given and
what the edited video holds, of the luminance as it is stored and of the colours as they are read. Of the borders of
what is kept: mean difference of successive frames in grey levels, and the 99th percentile of it in the original.
"""

from __future__ import annotations

import av
import click
import numpy as np

from shared.media import read_video
from shared.video_writer import _planes
from stage1_motion.editing.request import parse_ranges
from stage1_motion.editing.timeline import frame_range


@click.command(help=__doc__)
@click.argument("before")
@click.argument("after")
@click.option("--keep", required=True, metavar="FROM:TO,...", help="As of the edit, which neither cut nor inserted.")
def main(before: str, after: str, keep: str) -> None:
    original, edited = (np.stack(list(read_video(path, exact=True))) for path in (before, after))
    with av.open(after) as container:
        stored = [frame.to_ndarray()[: len(original[0])] for frame in container.decode(video=0)]
    kept = np.zeros(len(edited), bool)
    for span in parse_ranges(keep, "--keep"):
        kept[slice(*frame_range(span, len(original), "--keep"))] = True
    luminance = [_psnr(_planes(original[i])[: len(original[0])], stored[i]) for i in np.flatnonzero(kept)]
    colours = [_psnr(original[i], edited[i]) for i in np.flatnonzero(kept)]
    print(f"kept {kept.sum()} of {len(kept)} frames, PSNR in dB, least and mean:")
    for name, values in (("luminance", luminance), ("RGB", colours)):
        print(f"  {name} {min(values):.1f} {np.mean(values):.1f}")
    steps = [np.abs(np.diff(video.astype(np.float32), axis=0)).mean((1, 2, 3)) for video in (original, edited)]
    borders = np.flatnonzero(np.diff(kept.astype(int)))
    shown = ", ".join(f"{(border + 1) / 25:.2f} s: {steps[1][border]:.2f}" for border in borders)
    print(f"difference of successive frames at the borders: {shown}; 99th percentile {np.percentile(steps[0], 99):.2f}")


def _psnr(one: np.ndarray, other: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / max(np.square(one.astype(float) - other).mean(), 1e-9)))


if __name__ == "__main__":
    main()
