"""What `TalkingHeadPipeline` returns: the generated motion, its frames and their sound."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from fd2talk.output import write_video
from shared.media import FPS
from shared.motion import Motion

if TYPE_CHECKING:
    from fd2talk.provenance.signer import Signer


@dataclass(frozen=True)
class Frames:
    """Frames that are rendered when they are iterated over, each time again.

    Args:
        render: starts to render, and returns an iterator of uint8 [H, W, 3].
        count: number of frames.
    """

    render: Callable[[], Iterator[np.ndarray]] = field(repr=False)
    count: int

    def __iter__(self) -> Iterator[np.ndarray]:
        return self.render()

    def __len__(self) -> int:
        return self.count


@dataclass(frozen=True)
class TalkingHead:
    """A talking portrait, not yet rendered.

    Args:
        motion: with its sound, at 25 frames per second.
        frames: uint8 [H, W, 3] RGB each, H and W even; rendered when they are iterated over.
        sound: what `save` writes: the file with the speech, or float32 [n] mono at 16 kHz.
    """

    motion: Motion
    frames: Frames
    sound: str | os.PathLike | np.ndarray = field(repr=False)

    @property
    def audio(self) -> np.ndarray:
        """The speech, float32 [n], mono, 16 kHz."""
        assert self.motion.audio is not None  # it was generated from this sound
        return self.motion.audio

    @property
    def fps(self) -> float:
        """Frames per second."""
        return float(FPS)

    def __len__(self) -> int:
        return len(self.frames)

    def save(self, path: str | os.PathLike, *, overwrite: bool = False, signer: Signer | None = None) -> None:
        """Render the frames and write them with the sound to an MP4 video that is tagged as synthetic.

        Args:
            path: of the video, ending in .mp4. It appears only when the video is complete.
            overwrite: replace an existing file.
            signer: signs it with C2PA (`fd2talk.Signer`).

        Raises:
            UsageError, Fd2TalkError: as `fd2talk.write_video`, and what rendering raises.
        """
        write_video(
            path, self.frames, audio=self.sound, fps=self.fps, overwrite=overwrite,
            source=self.motion.source, signer=signer,
        )  # fmt: skip
