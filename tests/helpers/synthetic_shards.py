"""Shards of synthetic data for trainings of both stages."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from one_process import in_this_process
from synthetic_frames import write_frames
from synthetic_prepared import write_prepared

from fd2talk.commands import shard as command
from stage2_render.training import picture_shards
from stage2_render.training.frame_set import FramesConfig, FrameSet


def shard(*arguments, **options) -> None:
    """`fd2talk shard` without other processes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(command, "in_processes", in_this_process)
        command.shard(*arguments, **options)


def write_shards(root: Path, *configs: Path, quality: int | None = None) -> Path:
    """Write a prepared folder, a `frame_set`, and the shards of both below `root`; return the shards.

    Args:
        root: an empty folder.
        configs: of trainings whose features are stored.
        quality: of the frames; None: without loss.
    """
    prepared = root / "prepared"
    if not prepared.exists():
        write_prepared(prepared)
    shard(str(prepared), str(root / "shards"), configs=tuple(map(str, configs)), size=1)
    frames = FrameSet(write_frames(root / "frames"))
    config = FramesConfig(frames=str(root / "unused"), clips="none", prepared=str(root / "shards"))
    folder = picture_shards.pictures_folder(config, root / "shards")
    folder.mkdir()
    facts = ("person", "take", "time", "coefficients", "boxes", "aperture")
    every = [(frames.frames[k], {name: getattr(frames, name)[k] for name in facts}) for k in range(len(frames))]
    for number, chosen in enumerate((every[:25], every[25:])):
        path = folder / f"pictures-{number:05d}.parquet"
        picture_shards.write_frames(path, chosen, frames.coefficients.shape[1], quality)
    picture_shards.finish_pictures(config, folder, [0, 1], np.asarray(frames.mirror))
    return root / "shards"
