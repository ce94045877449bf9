"""The SQLite database of the service: queue, uploads and totals, which survive a crash of the process."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from shared.errors import UsageError

_VERSION = 2
_SCHEMA = """
CREATE TABLE videos (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,  -- the order of the queue
    id TEXT NOT NULL UNIQUE,
    status TEXT NOT NULL CHECK (status IN ('queued', 'in_progress', 'completed', 'failed')),
    progress INTEGER NOT NULL DEFAULT 0,
    stage TEXT,
    created REAL NOT NULL,
    started REAL,
    updated REAL,
    completed REAL,
    expires REAL,
    options TEXT NOT NULL,      -- JSON, as the client gave them
    folder TEXT NOT NULL,       -- of its files, in inputs/
    files TEXT NOT NULL,        -- JSON: role of a file, such as photo -> its name
    lease TEXT,                 -- of the worker that makes it: only its holder may publish
    crashes INTEGER NOT NULL DEFAULT 0,
    interruptions INTEGER NOT NULL DEFAULT 0,
    result TEXT,                -- name in results/; set once, together with the status
    bytes INTEGER,
    sha256 TEXT,
    seconds REAL,
    width INTEGER,
    height INTEGER,
    error_code TEXT,
    error_message TEXT,
    client TEXT NOT NULL DEFAULT ''  -- whose it is; '' without names
);
CREATE INDEX videos_by_status ON videos (status, seq);
CREATE INDEX videos_by_client ON videos (status, client, seq);
CREATE TABLE turns (
    client TEXT PRIMARY KEY,
    turn INTEGER NOT NULL       -- the client with the lowest one, of those of whom a video waits, comes next
);
CREATE TABLE keys (
    key TEXT PRIMARY KEY,
    digest TEXT NOT NULL,       -- of the request
    video TEXT NOT NULL REFERENCES videos (id) ON DELETE CASCADE
);
CREATE INDEX keys_by_video ON keys (video);
CREATE TABLE uploads (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    created REAL NOT NULL,
    expires REAL NOT NULL,
    client TEXT NOT NULL DEFAULT ''
);
CREATE TABLE totals (name TEXT PRIMARY KEY, value REAL NOT NULL);
"""


# From the first version, in which clients had no names.
_SECOND = """
ALTER TABLE videos ADD COLUMN client TEXT NOT NULL DEFAULT '';
ALTER TABLE uploads ADD COLUMN client TEXT NOT NULL DEFAULT '';
CREATE INDEX videos_by_client ON videos (status, client, seq);
CREATE TABLE turns (client TEXT PRIMARY KEY, turn INTEGER NOT NULL);
INSERT INTO turns VALUES ('', 1);
"""


class Database:
    """A connection, for several threads of one process; every process has its own.

    Args:
        path: the file; created if it does not exist.

    Raises:
        UsageError: the file is no database of the service, or of another version.
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.RLock()
        _keep_private(path)
        try:
            self._connection = sqlite3.connect(path, timeout=60, isolation_level=None, check_same_thread=False)
            self._connection.row_factory = sqlite3.Row
            self._connection.execute("PRAGMA journal_mode = WAL")  # readers do not wait for a writer
            self._connection.execute("PRAGMA synchronous = FULL")  # what a client was answered survives a loss of power
            self._connection.execute("PRAGMA foreign_keys = ON")
            self._make()
        except sqlite3.Error as error:
            raise UsageError(f"cannot use {path}: {error}") from error

    def _make(self) -> None:
        with self.writing() as connection:
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if version in (0, 1):
                for statement in (_SCHEMA, _SECOND)[version].split(";\n"):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {_VERSION}")
            elif version != _VERSION:
                raise UsageError(f"its videos were kept by another version of fd2talk (format {version})")

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """The connection without a transaction: for one statement, or several that need no common snapshot."""
        with self._lock:
            yield self._connection

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction: committed to the disk when the block ends, rolled back when it raises."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()


def _keep_private(path: Path) -> None:
    """Create a file that only this user may read; SQLite gives its journal the same rights."""
    with suppress(OSError):  # said by SQLite, if it matters
        path.touch(0o600)
        path.chmod(0o600)


class Claim:
    """An exclusive lock on a folder; the system releases it when the process ends, also after a crash.

    It is a lock of SQLite on a file of its own, which works alike on every operating system.

    Args:
        path: the file to lock.

    Raises:
        UsageError: another process uses the folder.
    """

    def __init__(self, path: Path) -> None:
        _keep_private(path)
        self._connection = sqlite3.connect(path, timeout=0.5, isolation_level=None, check_same_thread=False)
        try:
            self._connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            self._connection.close()
            raise UsageError(f"another service uses the folder {path.parent} ({error})") from error

    def close(self) -> None:
        """Release the lock."""
        self._connection.close()
