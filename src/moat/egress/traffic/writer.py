"""The record of a run's traffic (`run.db`), written while it happens.

The event loop hands entries over in well under a microsecond; a thread writes them, many in one
transaction. Where the disk fails, nothing is lost but time: `problem` says so, whoever lets traffic
through asks for it and stops, and the batch is written when there is room again.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
from collections import deque
from dataclasses import dataclass
from functools import cache
from itertools import chain
from typing import TYPE_CHECKING, Final

from moat.egress.traffic import versions
from moat.egress.traffic.schema import (
    BODY_LIMIT,
    IN_PROGRESS,
    Captured,
    Row,
    capture_of,
    row_of,
    storable,
)
from moat.errors import StoreError
from moat.platform import commits

if TYPE_CHECKING:
    from pathlib import Path

    from moat.egress.traffic.entry import TrafficEntry

__all__ = ["BODY_LIMIT", "Bounds", "TrafficWriter"]

log = logging.getLogger(__name__)

PAUSE_S: Final = 0.02
"""Between two transactions under load. What was quiet before is written at once."""
RETRY_S: Final = 0.5
"""Until a failed transaction is tried again."""
BATCH: Final = 4096
"""Entries of one transaction: a twentieth of a second's work."""
AT_ONCE: Final = 32
"""Rows of one statement, at most. SQLite runs without the GIL, which changes hands each time."""
WAL_BYTES: Final = 16 << 20
"""What the write-ahead log is cut to when it has grown beyond that."""

CACHE_KIB: Final = 256
"""Of pages: what is only ever appended to is not read again."""

INTERRUPTED: Final = "interrupted: the supervisor ended"


@dataclass(frozen=True, slots=True)
class Bounds:
    """What is kept; the oldest goes first. `meta.dropped` counts what went."""

    rows: int = 1_000_000
    bytes: int = 1 << 30
    queued: int = 20_000
    """Entries that wait to be written: more, and nothing may pass. With bodies, take fewer."""


def _insertion(table: str, columns: tuple[str, ...], rows: int = 1) -> str:
    # By name: in a file that was begun by an earlier version they have another order.
    values = ", ".join([f"({', '.join('?' * len(columns))})"] * rows)
    return f"INSERT OR REPLACE INTO {table} ({', '.join(columns)}) VALUES {values}"  # noqa: S608  ours


_INSERT_CAPTURE: Final = _insertion("captures", Captured._fields)


class TrafficWriter:
    """`put` and `problem` belong to the event loop's thread, all SQL to the writer's."""

    def __init__(self, path: Path, bounds: Bounds = Bounds()) -> None:
        """Opens the record, or makes it. Raises `StoreError`."""
        self._bounds = bounds
        self._path = path
        self._db = _open(path)
        self._first, self._last = _ends(self._db)
        self._next = self._last + 1
        self._queue: deque[TrafficEntry] = deque()
        self._problem = ""
        self._unmarked = self._last > 0
        """What an earlier supervisor left open still looks as if it went on."""
        self._lost: int = 0
        """Entries for which there was no room in the queue. Counted by `put` ..."""
        self._lost_told: int = 0
        """... and this many of them are in the database."""
        self._asleep = False
        self._bell = threading.Event()
        self._closing = threading.Event()
        self._writer = threading.Thread(target=self._live, name="record", daemon=True)
        self._writer.start()

    def put(self, entry: TrafficEntry) -> None:
        """Has the entry written as it will be in a moment; again, where it was changed since."""
        if entry.queued:
            return
        if len(self._queue) >= 2 * self._bounds.queued:
            self._lost += 1
            return
        if not entry.id:
            entry.id = self._next
            self._next += 1
        entry.queued = True
        self._queue.append(entry)
        if self._asleep:
            self._asleep = False
            self._bell.set()

    @property
    def problem(self) -> str:
        """Why nothing can be recorded now, in one line; empty where all is well."""
        if len(self._queue) >= self._bounds.queued:
            return self._problem or "the record is written too slowly: the disk is overloaded"
        return self._problem

    @property
    def healthy(self) -> bool:
        return not self.problem

    def close(self) -> None:
        """Writes what waits, and lets go of the file."""
        self._closing.set()
        self._bell.set()
        self._writer.join()

    # --- the writer's thread ---

    def _live(self) -> None:
        try:
            self._write_all()
        except Exception as exc:  # the root of the thread: recorded, and nothing passes any more
            log.exception("the record's writer failed")
            self._problem = f"the record's writer failed: {exc!r}"
        finally:
            self._db.close()

    def _write_all(self) -> None:
        """Until the record is closed and all is written, or can't be."""
        while self._persisted(self._take()):
            if not self._closing.wait(PAUSE_S):
                self._sleep()
            elif not self._queue:
                return
        log.error("the last entries are lost: %s", self._problem)

    def _persisted(self, batch: list[TrafficEntry]) -> bool:
        """Tries until it is done; once it is closed, once more."""
        while not self._written(batch):
            if self._closing.wait(RETRY_S):
                return self._written(batch)
        return True

    def _sleep(self) -> None:
        """Until something waits. `put` rings only who sleeps."""
        self._bell.clear()
        self._asleep = True
        if not self._queue and not self._closing.is_set():
            self._bell.wait()
        self._asleep = False

    def _take(self) -> list[TrafficEntry]:
        queue = self._queue
        batch = [queue.popleft() for _ in range(min(len(queue), BATCH))]
        for entry in batch:
            # Before it is read: what changes from now on is put again.
            entry.queued = False
        return batch

    def _written(self, batch: list[TrafficEntry]) -> bool:
        try:
            if self._db.in_transaction:
                self._db.rollback()  # of the attempt that failed
            self._write(batch)
        except (sqlite3.Error, OSError) as exc:
            if not self._problem:
                log.error("record not written, trying again: %s", exc)  # noqa: TRY400  no traceback
            self._problem = f"the record can't be written: {exc}"
            return False
        if self._problem:
            log.info("the record is written again")
        self._problem = ""
        return True

    def _write(self, batch: list[TrafficEntry]) -> None:
        db, lost = self._db, self._lost
        db.execute("BEGIN IMMEDIATE")
        if self._unmarked:
            _mark_interrupted(db)
        done = 0
        while done < len(batch):
            # Of few lengths, so that SQLite has seen the statement before.
            count = min(AT_ONCE, 1 << ((len(batch) - done).bit_length() - 1))
            self._insert(batch[done : done + count])
            done += count
        captures = [row for row in map(capture_of, batch) if row is not None]
        if captures:
            db.executemany(_INSERT_CAPTURE, captures)
        if lost != self._lost_told:
            _count(db, "lost", lost - self._lost_told)
        last = max(self._last, max((entry.id for entry in batch), default=0))
        first = self._make_room(last)
        db.execute("COMMIT")
        self._first, self._last = first, last
        self._lost_told, self._unmarked = lost, False
        commits.announce(self._path)

    def _insert(self, entries: list[TrafficEntry]) -> None:
        rows = [row_of(entry) for entry in entries]
        try:
            self._insert_rows(rows)
        except UnicodeEncodeError:
            self._insert_rows([tuple(map(storable, row)) for row in rows])

    def _insert_rows(self, rows: list[tuple[object, ...]]) -> None:
        self._db.execute(_insert(len(rows)), list(chain.from_iterable(rows)))

    def _make_room(self, last: int) -> int:
        """Drops the oldest, a twentieth at a time; the first id that is left."""
        first = self._first
        while first < last and self._is_too_much(last - first + 1):
            through = min(last - 1, first + (last - first) // 20)
            dropped = self._db.execute("DELETE FROM entries WHERE id <= ?", (through,)).rowcount
            self._db.execute("DELETE FROM captures WHERE id <= ?", (through,))
            _count(self._db, "dropped", dropped)
            first = through + 1
        return first

    def _is_too_much(self, rows: int) -> bool:
        if rows > self._bounds.rows:
            return True
        pages, free, size = (
            self._db.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_count", "freelist_count", "page_size")
        )
        return (pages - free) * size > self._bounds.bytes


@cache
def _insert(rows: int) -> str:
    return _insertion("entries", Row._fields, rows)


def _open(path: Path) -> sqlite3.Connection:
    try:
        # SQLite gives its files beside it the same mode.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        # Autocommit: transactions are ours to begin. Opened here, used by the writer alone.
        db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        try:
            _prepare(db, path)
        except BaseException:
            db.close()
            raise
    except (sqlite3.Error, OSError) as exc:
        raise StoreError(
            f"the record {path} can't be opened: {exc}",
            "Without it nothing may pass. Check the space and the rights there",
        ) from exc
    return db


def _prepare(db: sqlite3.Connection, path: Path) -> None:
    version = versions.version_of(db, path)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = NORMAL")
    db.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
    db.execute(f"PRAGMA journal_size_limit = {WAL_BYTES}")
    versions.bring_up_to_date(db, version)


def _ends(db: sqlite3.Connection) -> tuple[int, int]:
    """The first and the last id; 1 and 0 where there is none."""
    return db.execute(
        "SELECT ifnull((SELECT min(id) FROM entries), 1), ifnull((SELECT max(id) FROM entries), 0)"
    ).fetchone()


def _mark_interrupted(db: sqlite3.Connection) -> None:
    db.execute(
        f"UPDATE entries SET error = ?, verdict = 'failed' WHERE {IN_PROGRESS}",  # noqa: S608  ours
        (INTERRUPTED,),
    )


def _count(db: sqlite3.Connection, name: str, more: int) -> None:
    db.execute("UPDATE meta SET value = value + ? WHERE name = ?", (more, name))
