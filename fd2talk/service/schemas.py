"""JSON schemas of the responses."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from fd2talk.service import videos
from fd2talk.service.uploads import Upload as UploadRow

DEFAULT_MODEL = "fd2talk"


class ErrorDetail(BaseModel):
    """What went wrong: `code` for programs, `message` for people."""

    code: str
    message: str


class ErrorBody(BaseModel):
    """The body of every response with a status of 400 and above."""

    error: ErrorDetail


class Video(BaseModel):
    """A video that is queued, in progress, or finished. Times are seconds since 1970."""

    id: str
    object: Literal["video"] = "video"
    status: Literal["queued", "in_progress", "completed", "failed"]
    progress: int = Field(ge=0, le=100, description="Percent.")
    stage: str | None = Field(description="Current step of the work.")
    position: int | None = Field(description="While it is queued: number of videos that come first.")
    model: str = Field(description="Motion model.")
    created_at: int
    started_at: int | None
    completed_at: int | None = Field(description="When it was completed, or failed.")
    expires_at: int | None = Field(description="When it will be removed; known as soon as it is completed.")
    seconds: float | None = Field(description="Length, when it is completed.")
    size: str | None = Field(description="WIDTHxHEIGHT in pixels, when it is completed.")
    bytes: int | None = Field(description="Size of the file, when it is completed.")
    options: dict[str, Any] = Field(description="Options that were given.")
    error: ErrorDetail | None = Field(description="Why it has failed.")

    @classmethod
    def of(cls, row: videos.Video) -> Video:
        """From rows of the table."""
        error = None
        if row.error_code is not None:
            error = ErrorDetail(code=row.error_code, message=row.error_message or "")
        hidden = ("photo", "audio", "model")
        status: Any = row.status
        return cls(
            id=row.id, status=status, progress=row.progress, stage=row.stage, position=row.ahead,
            model=row.options.get("model", DEFAULT_MODEL), created_at=int(row.created), started_at=_whole(row.started),
            completed_at=_whole(row.completed), expires_at=_whole(row.expires), seconds=row.seconds,
            size=f"{row.width}x{row.height}" if row.width and row.height else None, bytes=row.bytes,
            options={name: value for name, value in row.options.items() if name not in hidden}, error=error,
        )  # fmt: skip


class VideoList(BaseModel):
    """A page of videos; the next one begins `after` the `last_id`."""

    object: Literal["list"] = "list"
    data: list[Video]
    first_id: str | None
    last_id: str | None
    has_more: bool

    @classmethod
    def of(cls, rows: list[videos.Video], more: bool) -> VideoList:
        """From rows of the table."""
        data = [Video.of(row) for row in rows]
        ids = [one.id for one in data] or [None]  # type: ignore[list-item]
        return cls(data=data, first_id=ids[0], last_id=ids[-1], has_more=more)


class Upload(BaseModel):
    """A file that was uploaded, for any number of videos."""

    id: str
    object: Literal["upload"] = "upload"
    filename: str
    bytes: int
    created_at: int
    expires_at: int

    @classmethod
    def of(cls, row: UploadRow) -> Upload:
        """From rows of the table."""
        return cls(
            id=row.id, filename=row.name, bytes=row.bytes, created_at=int(row.created), expires_at=int(row.expires)
        )


class Deleted(BaseModel):
    """Something that was removed."""

    id: str
    object: Literal["video.deleted", "upload.deleted"]
    deleted: Literal[True] = True


class Health(BaseModel):
    """Whether videos are being made."""

    status: Literal["ok", "stopping", "degraded"]
    reason: str | None = Field(description="Why the status is not `ok`.")
    queued: int
    in_progress: int
    workers: int = Field(description="Processes that make videos.")
    workers_up: int = Field(description="Those of them that work.")


def _whole(seconds: float | None) -> int | None:
    return None if seconds is None else int(seconds)
