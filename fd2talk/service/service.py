"""The service without HTTP: operations that touch the database and the folders together."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from fd2talk.service.database import Claim, Database
from fd2talk.service.errors import Refused, storing
from fd2talk.service.folders import Folders, Received, remove
from fd2talk.service.form import Form
from fd2talk.service.leases import Leases
from fd2talk.service.limits import Limits
from fd2talk.service.options import FILES
from fd2talk.service.uploads import PREFIX, Upload, Uploads
from fd2talk.service.videos import Video, Videos


class Service:
    """A service in a folder, for one process at a time; it continues what an earlier one left there.

    Args:
        folder: created if it does not exist.
        limits: of clients.
        say: called with lines for the log.

    Raises:
        UsageError: the folder cannot be used, or another service uses it.
    """

    def __init__(self, folder: Path, limits: Limits = Limits(), say: Callable[[str], None] = lambda line: None) -> None:
        self.limits, self.say = limits, say
        self.folders = Folders(folder, limits)
        self._claim = Claim(self.folders.claim)
        self.database = Database(self.folders.database)
        self.videos = Videos(self.database)
        self.uploads = Uploads(self.database, limits.keep_seconds)
        self.leases = Leases(self.database, limits.keep_seconds)
        self.stopping = threading.Event()
        """Set when no further videos are accepted."""
        self.wake: Callable[[], None] = lambda: None
        """Called when a video was queued."""
        self.cancel: Callable[[str], None] = lambda lease: None
        """Called with the lease of a video that was deleted while in progress."""
        self.troubles: Callable[[], list[str | None]] = list
        """For each worker, why it makes no videos, or None."""
        self.start = self.leases.begin()
        """The generation with which workers claim videos, see `Leases.begin`."""
        for lost in self.leases.interrupted(limits.interruptions):
            say(f"{lost.id} was under way when the service ended: {lost.failed or 'it waits again'}")
        self.tidy()
        if removed := self.sweep() + self.folders.sweep_received(self.videos.known()[0], self.uploads.known()):
            say(f"removed {removed} unfinished files of an earlier run")

    def close(self) -> None:
        """Close the database, and let other processes use the folder."""
        self.database.close()
        self._claim.close()

    def tidy(self) -> None:
        """Remove expired videos and uploads."""
        for video in self.videos.remove_expired():
            self._remove_files(video)
        for name in self.uploads.remove_expired():
            remove(self.folders.uploads / name)

    def sweep(self, processes: Collection[str] = ()) -> int:
        """Remove files that ended workers left: unfinished videos, and the inputs of finished ones.

        Args:
            processes: names of running workers, whose files stay.

        Returns:
            How many files and folders.
        """
        finished = self.videos.finished()
        left = [path for path in self.folders.inputs.iterdir() if path.name in finished]
        for path in left:
            remove(path)
        return len(left) + self.folders.sweep(self.videos.known()[1], processes)

    def add_upload(self, form: Form, client: str = "") -> Upload:
        """Keep a file for later. Raises Refused: there is none, or the disk is full."""
        if set(form.files) != {"file"} or form.values:
            raise Refused(422, "invalid_request", "file: a form with this one file is expected")
        received, name = form.files["file"], self.uploads.new_id()
        try:
            with storing():
                self.folders.keep_upload(received, name)
                return self.uploads.add(name, received.name, received.bytes, received.sha256, client)
        except BaseException:
            remove(self.folders.uploads / name)
            raise

    def delete_upload(self, name: str, client: str = "") -> None:
        """Remove an upload; videos that use it keep their copies. Raises Refused: there is none."""
        if not self.uploads.delete(name, client):
            raise _missing("upload", name)
        remove(self.folders.uploads / name)

    def add_video(
        self, options: dict[str, Any], form: Form, key: str | None = None, client: str = ""
    ) -> tuple[Video, bool]:
        """Queue a video: see `Videos.add`.

        Args:
            options: checked, with the ids of uploads.
            form: whose files are used, and to which those of the uploads are added.
            key: the client's Idempotency-Key, or None.
            client: name of its owner; other clients have no access.

        Raises:
            Refused: an upload does not exist, too many videos wait, the disk is full.
        """
        try:
            for role in FILES:
                name = options.get(role)
                if role in form.files or not isinstance(name, str) or not name.startswith(PREFIX):
                    continue
                if (upload := self.uploads.find(name, client)) is None:
                    raise Refused(404, "not_found", f"{role}: there is no upload {name}; it may have expired")
                with storing():
                    copy = self.folders.copy_of_upload(name, upload.name, upload.bytes, upload.sha256)
                form.files[role] = copy
            return self._queue(options, form.files, key, client)
        finally:
            for received in form.files.values():
                remove(received.path)

    def _queue(
        self, options: dict[str, Any], files: dict[str, Received], key: str | None, client: str
    ) -> tuple[Video, bool]:
        with storing():
            self.folders.check_room()
            folder = self.folders.keep_inputs(files)
            new = False
            try:
                video, new = self.videos.add(
                    options,
                    folder,
                    {role: received.name for role, received in files.items()},
                    most=self.limits.waiting,
                    key=key,
                    digest=_digest(options, files),
                    client=client,
                )
            finally:
                if not new:
                    remove(self.folders.inputs / folder)
        if new:
            self.wake()
        return video, new

    def video(self, name: str, client: str = "") -> Video:
        """A video. Raises Refused: the client has none of this id."""
        if (found := self.videos.find(name, client)) is None:
            raise _missing("video", name)
        return found

    def result(self, name: str, client: str = "") -> tuple[Video, Path]:
        """A completed video and its file. Raises Refused: it does not exist, or is not complete."""
        video = self.video(name, client)
        if video.result is None:
            failed = video.status == "failed"
            sentence = f"the video has failed: {video.error_message}" if failed else "the video is not complete yet"
            raise Refused(409, "failed" if failed else "not_ready", sentence, {} if failed else {"Retry-After": "1"})
        return video, self.folders.results / video.result

    def delete_video(self, name: str, client: str = "") -> None:
        """Remove a video, and stop the work on it. Raises Refused: there is none."""
        if (video := self.videos.delete(name, client)) is None:
            raise _missing("video", name)
        self._remove_files(video)
        if video.lease is not None:
            self.cancel(video.lease)

    def _remove_files(self, video: Video) -> None:
        remove(self.folders.inputs / video.folder)
        if video.result is not None:
            remove(self.folders.results / video.result)


def _missing(kind: str, name: str) -> Refused:
    return Refused(404, "not_found", f"there is no {kind} {name[:60]!r}; it may have been removed or have expired")


def _digest(options: dict[str, Any], files: dict[str, Received]) -> str:
    """SHA-256 of options and contents of files: the same for another boundary, or an upload instead of a file."""
    said = {name: value for name, value in options.items() if name not in files}
    contents = {role: received.sha256 for role, received in files.items()}
    return hashlib.sha256(json.dumps([said, contents], sort_keys=True).encode()).hexdigest()
