"""The database `moat.db`: its tables, how an older one is brought up to date, and its failures in words.

SQLite in WAL mode, so readers never wait for the writer. `PRAGMA user_version` is the number of `STEPS`
that the file has been through; a file that has been through more of them than there are here belongs to
a newer Moat, and is left alone.
"""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from moat.errors import NameTakenError, StoreError
from moat.runs import lock

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

STEPS: Final = (
    (
        """
        CREATE TABLE runs (
          id TEXT PRIMARY KEY,
          name TEXT NOT NULL UNIQUE,
          state TEXT NOT NULL,
          exit_code INTEGER,
          error TEXT,
          engine TEXT NOT NULL,
          command TEXT NOT NULL,           -- JSON array
          workspace TEXT NOT NULL,
          interactive INTEGER NOT NULL,
          tty INTEGER NOT NULL,
          created_at TEXT NOT NULL,        -- RFC 3339, UTC, like the other two
          started_at TEXT,
          stopped_at TEXT,
          pid INTEGER,                     -- the command's, as the host numbers it
          shim_pid INTEGER,                -- until version 3
          supervisor_pid INTEGER,
          supervisor_version TEXT,
          viewers INTEGER NOT NULL DEFAULT 0
        ) WITHOUT ROWID
        """,
        "CREATE INDEX runs_by_age ON runs (created_at)",
        "CREATE INDEX runs_by_state ON runs (state)",
    ),
    # HOST:PORT of each request that waits for the user, separated by spaces.
    ("ALTER TABLE runs ADD COLUMN waiting TEXT NOT NULL DEFAULT ''",),
    # A JSON object: what the engine says of its sandbox.
    (
        "ALTER TABLE runs ADD COLUMN engine_data TEXT NOT NULL DEFAULT '{}'",
        "UPDATE runs SET engine_data = json_object('shim', json_object('pid', shim_pid))",
    ),
    # A JSON array: the ports that are published now.
    ("ALTER TABLE runs ADD COLUMN ports TEXT NOT NULL DEFAULT '[]'",),
    # What the run waits for its user to do; one of `agents.waiting.KINDS`.
    ("ALTER TABLE runs ADD COLUMN waits_for TEXT NOT NULL DEFAULT ''",),
    # Bytes on disk, as measured at the run's end; NULL: they were not.
    (
        "ALTER TABLE runs ADD COLUMN journal_bytes INTEGER",
        "ALTER TABLE runs ADD COLUMN record_bytes INTEGER",
        "ALTER TABLE runs ADD COLUMN other_bytes INTEGER",
    ),
    # RFC 3339, UTC: when the run came here as a file; NULL: it began here.
    ("ALTER TABLE runs ADD COLUMN imported_at TEXT",),
)
"""The statements that lead from each version to the next, beginning with an empty file.

A new version is one more step, and one more file in `tests/runs/corpus`. A step may add columns, tables
and indexes, and fill them in. It must not drop, rename or reinterpret a column: supervisors of the
version before are alive while the step is taken, and go on reading and writing theirs.
"""

DISK_COLUMNS: Final = ("journal_bytes", "record_bytes", "other_bytes")
"""Columns with what a run takes of the disk; see `runs.disk`."""

# How long a statement waits for another process's transaction; ours take well under a millisecond.
BUSY_TIMEOUT_S: Final = 10.0


def connect(path: Path) -> sqlite3.Connection:
    """Open the index, and make it or bring it up to date where necessary. Raises `StoreError`."""
    with reported(f"the index {path}"):
        if not path.exists():
            # SQLite gives the files that it makes beside this one the same mode.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        db, version = _open(path)
        try:
            if version > len(STEPS):
                raise StoreError(f"the index {path} was written by a newer moat", "Update moat")
            if version < len(STEPS):
                # SQLite doesn't wait when two processes switch to WAL: one of them fails at once.
                with lock.locked(path.with_suffix(".lock")):
                    _bring_up_to_date(db)
            db.execute("PRAGMA synchronous = NORMAL")
        except BaseException:
            db.close()
            raise
        return db


def _open(path: Path) -> tuple[sqlite3.Connection, int]:
    """Return a connection, and the version of the file."""
    try:
        # Autocommit: each statement is a transaction of its own.
        return _with_version(sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None))
    except sqlite3.OperationalError as exc:
        if exc.sqlite_errorcode != sqlite3.SQLITE_CANTOPEN:
            raise
    # On a read-only file system SQLite can't make its lock files, and needs none: nobody writes there.
    return _with_version(sqlite3.connect(f"{path.as_uri()}?immutable=1", uri=True))


def _with_version(db: sqlite3.Connection) -> tuple[sqlite3.Connection, int]:
    try:
        return db, int(db.execute("PRAGMA user_version").fetchone()[0])
    except BaseException:
        db.close()
        raise


def _bring_up_to_date(db: sqlite3.Connection) -> None:
    """Take the missing steps, all of them or, where one fails, none."""
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("BEGIN IMMEDIATE")
    # Another process may have taken them since the version was read, or be a newer Moat.
    (version,) = db.execute("PRAGMA user_version").fetchone()
    for step in STEPS[version:]:
        for statement in step:
            db.execute(statement)
    if version < len(STEPS):
        db.execute(f"PRAGMA user_version = {len(STEPS)}")
    db.execute("COMMIT")


@contextmanager
def unique(name: str) -> Generator[None]:
    """Raise `NameTakenError` where another run has the name."""
    try:
        yield
    except sqlite3.IntegrityError as exc:
        raise NameTakenError(
            f"a run named {name} exists",
            f"Choose another --name, or remove it: moat destroy {name}",
        ) from exc


@contextmanager
def reported(failure: str) -> Generator[None]:
    """Raise the errors of disk and database as `StoreError`, with `failure` before the cause."""
    try:
        yield
    except sqlite3.IntegrityError:
        raise  # see `unique`
    except sqlite3.DatabaseError as exc:
        if isinstance(exc, sqlite3.OperationalError):
            raise StoreError(f"{failure}: {exc}", "Check free space and permissions there") from exc
        raise damaged(failure, exc) from exc
    except OSError as exc:
        raise StoreError(f"{failure}: {exc.strerror}: {exc.filename}") from exc


def damaged(failure: str, cause: Exception) -> StoreError:
    return StoreError(
        f"{failure}: the file is damaged ({cause})", "Rebuild it: moat doctor --rebuild-index"
    )


def stored(value: object) -> object:
    """Return a value as SQLite takes it."""
    if isinstance(value, dict | tuple):
        return json.dumps(value)
    return valid(value) if isinstance(value, str) else value


def valid(text: str) -> str:
    """Replace what isn't valid Unicode in a path or an argument. Only the specification keeps it."""
    return text.encode(errors="replace").decode()
