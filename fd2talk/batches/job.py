"""Jobs of a batch and their outcomes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

MADE, KEPT, FAILED, OPEN = "made", "kept", "failed", "not made"
"""States of a video: made by this run, made by an earlier run, failed, and not begun when the run was stopped."""


@dataclass(frozen=True)
class Job:
    """A checked row.

    Args:
        row: its number in the table.
        photo: absolute path.
        audio: absolute path.
        output: of the video, relative to the output folder, with `/`.
        values: options of `fd2talk generate` by name.
        facts: everything the video depends on, by name: digests of files, options, version.
        digest: of the output name and all facts.
        frames: expected number, from the recording's length.
    """

    row: str
    photo: str
    audio: str
    output: str
    values: Mapping[str, object]
    facts: Mapping[str, str]
    digest: str
    frames: int = 0


@dataclass(frozen=True)
class Outcome:
    """The outcome of a row.

    Args:
        row: its number.
        photo: as in the report.
        audio: likewise.
        output: name in the output folder; empty if unknown.
        state: `made`, `kept`, `failed` or `not made`.
        video_seconds: length of the video.
        work_seconds: that making it took, in this run or an earlier one.
        worker: process that made it, HOST:PID.
        error: why it failed, one sentence.
        notes: warnings about its inputs.
        digest: of the job, which names its thumbnail.
    """

    row: str
    photo: str
    audio: str
    output: str
    state: str
    video_seconds: float = 0.0
    work_seconds: float = 0.0
    worker: str = ""
    error: str = ""
    notes: list[str] = field(default_factory=list)
    digest: str = ""

    @classmethod
    def of(cls, job: Job, state: str, **facts: Any) -> Outcome:
        """The outcome of a job."""
        return cls(job.row, job.photo, job.audio, job.output, state, digest=job.digest, **facts)

    def as_dict(self) -> dict[str, Any]:
        """The outcome as a JSON object."""
        return asdict(self)
