"""A video that is to be made, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

MADE, KEPT, FAILED, OPEN = "made", "kept", "failed", "not made"
"""States of a video: made by this run, made by an earlier one, not possible, and left when the run was stopped."""


@dataclass(frozen=True)
class Job:
    """A checked row.

    Args:
        row: its number in the table.
        photo: absolute path.
        audio: absolute path.
        output: of the video, relative to the output folder, with `/`.
        values: options of `fd2talk generate` by name.
        facts: what the video depends on, by name: digests of files, options, version.
        digest: of all facts.
        frames: as many as the recording's length lets expect.
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
    """What became of a row.

    Args:
        row: its number.
        photo: as in the report.
        audio: likewise.
        output: name in the output folder; an empty string where not even that is known.
        state: `made`, `kept`, `failed` or `not made`.
        video_seconds: length of the video.
        work_seconds: that making it took, in whichever run.
        worker: which process made it.
        error: why it failed, one sentence.
        notes: what was said about the inputs meanwhile.
        digest: of the job, the name of its thumbnail.
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
        """All of it, as JSON takes it."""
        return asdict(self)
