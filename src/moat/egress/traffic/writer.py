"""Writing a run's traffic into its database (`run.db`) while it happens.

The event loop hands entries over in well under a microsecond; a thread writes them, many in one
transaction. Where the loop is faster than the thread, it waits for it. Where the disk fails, nothing is
lost but time: `problem` says why, its caller lets no traffic through, and the batch is written as soon
as there is room again.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
from dataclasses import dataclass
from functools import cache
from itertools import chain
from typing import TYPE_CHECKING, Final, cast

from moat.egress.traffic import versions
from moat.egress.traffic.queue import EntryQueue
from moat.egress.traffic.room import Dropped, drop_through
from moat.egress.traffic.schema import (
    BODY_LIMIT,
    IN_PROGRESS,
    SPENT,
    Captured,
    Row,
    capture_of,
    row_of,
    storable,
)
from moat.errors import StoreError
from moat.platform import commits

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from moat.egress.traffic.entry import TrafficEntry

__all__ = ["BODY_LIMIT", "Bounds", "TrafficWriter"]

log = logging.getLogger(__name__)

PAUSE_S: Final = 0.02
"""Between two transactions under load; the first entry after a pause is written at once."""
RETRY_S: Final = 0.5
"""Delay before a failed transaction is retried."""
AT_ONCE: Final = 32
"""Rows in one statement, at most. SQLite runs without the GIL, which each statement hands over."""
WAL_BYTES: Final = 16 << 20
"""The largest write-ahead log that is worth keeping."""
BATCH_BYTES: Final = 4 << 20
"""Upper bound of what one transaction adds."""
CHECKPOINT_PAGES: Final = 1000
"""The pages of the log that are written into the file at once: SQLite's default."""
CACHE_KIB: Final = 256
"""The page cache: a table that is only appended to is not read again."""

INTERRUPTED: Final = "interrupted: the supervisor ended"


@dataclass(frozen=True, slots=True)
class Bounds:
    """Limits of the record; the oldest rows are dropped, and their sums kept (`room`)."""

    rows: int = 1_000_000
    bytes: int = 256 << 20
    """Size of the database with its write-ahead log."""
    queued: int = 20_000
    """Entries that may wait to be written before nothing passes."""
    queued_bytes: int = 32 << 20
    """Bytes of entries that may wait."""

    @property
    def log_bytes(self) -> int:
        """The size to which the write-ahead log is truncated."""
        return min(WAL_BYTES, self.bytes // 8)

    @property
    def batch_bytes(self) -> int:
        """Number of bytes that one transaction may add: the size of the file is looked at after each."""
        return max(1, min(BATCH_BYTES, self.bytes // 8))


def _insertion(table: str, columns: tuple[str, ...], rows: int = 1) -> str:
    # By name, because the columns have another order in a file that an earlier version began.
    values = ", ".join([f"({', '.join('?' * len(columns))})"] * rows)
    return f"INSERT OR REPLACE INTO {table} ({', '.join(columns)}) VALUES {values}"  # noqa: S608  ours


_TOTAL: Final = Row._fields.index("total")
_NAMES: Final = ", ".join("?" * len(SPENT))
_SELECT_SPENT: Final = f"SELECT name, value FROM meta WHERE name IN ({_NAMES})"  # noqa: S608  ours
_SET_SPENT: Final = "INSERT OR REPLACE INTO meta VALUES (?, ?)"
_INSERT_CAPTURE: Final = _insertion("captures", Captured._fields)


class TrafficWriter:
    """The only writer of a database. Only the event loop calls it; all SQL is the thread's."""

    def __init__(self, path: Path, bounds: Bounds = Bounds()) -> None:
        """Open a database, or make it. Raises `StoreError`."""
        self._bounds = bounds
        self._path = path
        self._db = _open(path, bounds)
        self._first, self._last = _ends(self._db)
        self._next = self._last + 1
        self._queue = EntryQueue(bounds.queued, bounds.queued_bytes, bounds.batch_bytes)
        self._problem = ""
        self._unmarked = self._last > 0
        """Entries that an earlier supervisor left in progress have to be marked as interrupted."""
        self._lost: int = 0
        """Entries for which the queue had no room."""
        self._final: list[tuple[object, ...]] = []
        """Rows that won't change any more, and that were not handed over yet."""
        self._lost_written: int = 0
        """The number of lost entries that the database has."""
        self.spent_before: dict[str, int] = dict(self._db.execute(_SELECT_SPENT, SPENT).fetchall())
        """Counts of what the run had used up when the database was opened, by the names of `SPENT`."""
        self.spent: Callable[[], tuple[int, ...]] = _nothing
        """Returns what it has used up by now, in the order of `SPENT`; the thread calls it."""
        self._spent_written: tuple[int, ...] = ()
        self.on_dropped: Callable[[Dropped], object] = _ignore
        """Called by the writer's thread when rows were dropped to make room."""
        self.on_final: Callable[[list[tuple[object, ...]]], object] = _ignore
        """Called by the writer's thread with rows that are on disk and won't change any more."""
        self._writer = threading.Thread(target=self._run, name="traffic writer", daemon=True)
        self._writer.start()

    def put(self, entry: TrafficEntry) -> None:
        """Have the entry written soon, as it is then; call it again whenever the entry has changed."""
        if entry.queued:
            return
        if not self._queue.accepts():
            self._lost += 1
            return
        if not entry.id:
            entry.id = self._next
            self._next += 1
        self._queue.put(entry)

    @property
    def problem(self) -> str:
        """The reason why nothing can be recorded now, in one line; empty while all is well."""
        if self._queue.is_full:
            return self._problem or "the record is written too slowly: the disk is overloaded"
        return self._problem

    @property
    def healthy(self) -> bool:
        return not self.problem

    def close(self) -> None:
        """Write what is queued, and close the file."""
        self._queue.close()
        self._writer.join()

    # --- the writer's thread ---

    def _run(self) -> None:
        try:
            self._write_all()
        except Exception as exc:  # the root of the thread: logged, and nothing passes any more
            log.exception("the record's writer failed")
            self._problem = f"the record's writer failed: {exc!r}"
        finally:
            self._db.close()

    def _write_all(self) -> None:
        """Write until `close`, and then until the queue is empty or can't be written."""
        while self._persist(self._queue.take()):
            if not self._queue.pause(0.0 if self._queue.has_more else PAUSE_S):
                self._queue.sleep()
            elif not self._queue:
                return
        log.error("the last entries are lost: %s", self._problem)

    def _persist(self, batch: list[TrafficEntry]) -> bool:
        """Try until the batch is written; after `close`, only once more."""
        while not self._try(batch):
            if self._queue.pause(RETRY_S):
                return self._try(batch)
        return True

    def _try(self, batch: list[TrafficEntry]) -> bool:
        try:
            if self._db.in_transaction:
                self._db.rollback()  # the last attempt failed
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
            # Few different lengths, so that the statement is already prepared.
            count = min(AT_ONCE, 1 << ((len(batch) - done).bit_length() - 1))
            part = batch[done : done + count]
            self._note_final(part, self._insert(part))
            done += count
        captures = [row for row in map(capture_of, batch) if row is not None]
        if captures:
            db.executemany(_INSERT_CAPTURE, captures)
        if lost != self._lost_written:
            _count(db, "lost", lost - self._lost_written)
        spent = self.spent()
        if spent != self._spent_written:
            db.executemany(_SET_SPENT, list(zip(SPENT, spent, strict=False)))
        last = max(self._last, max((entry.id for entry in batch), default=0))
        first, dropped = self._make_room(last)
        db.execute("COMMIT")
        self._first, self._last = first, last
        self._lost_written, self._unmarked = lost, False
        self._spent_written = spent
        commits.announce(self._path)
        if self._final:
            final, self._final = self._final, []
            self.on_final(final)
        if dropped is not None:
            self.on_dropped(dropped)

    def _note_final(self, entries: list[TrafficEntry], rows: list[tuple[object, ...]]) -> None:
        for entry, row in zip(entries, rows, strict=True):
            if not entry.final and cast("float", row[_TOTAL]) >= 0:
                entry.final = True
                self._final.append(row)

    def _insert(self, entries: list[TrafficEntry]) -> list[tuple[object, ...]]:
        rows = [row_of(entry) for entry in entries]
        try:
            self._insert_rows(rows)
        except UnicodeEncodeError:
            self._insert_rows([tuple(map(storable, row)) for row in rows])
        return rows

    def _insert_rows(self, rows: list[tuple[object, ...]]) -> None:
        self._db.execute(_insert(len(rows)), list(chain.from_iterable(rows)))

    def _make_room(self, last: int) -> tuple[int, Dropped | None]:
        """Drop the oldest rows, a twentieth at a time; return the first id that is left."""
        first = self._first
        dropped: Dropped | None = None
        while first < last and self._is_too_much(last - first + 1):
            through = min(last - 1, first + (last - first) // 20)
            dropped = _together(dropped, drop_through(self._db, through))
            first = through + 1
        return first, dropped

    def _is_too_much(self, rows: int) -> bool:
        if rows > self._bounds.rows:
            return True
        pages, free, size = (
            self._db.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_count", "freelist_count", "page_size")
        )
        return (pages - free) * size > self._bounds.bytes - self._bounds.log_bytes


def _nothing() -> tuple[int, ...]:
    return ()


def _ignore(_: object) -> None:
    """Do nothing: the database has the rows, and the sums of those that were dropped."""


def _together(earlier: Dropped | None, later: Dropped | None) -> Dropped | None:
    if earlier is None or later is None:
        return earlier or later
    return earlier.with_later(later)


@cache
def _insert(rows: int) -> str:
    return _insertion("entries", Row._fields, rows)


def _open(path: Path, bounds: Bounds) -> sqlite3.Connection:
    try:
        # SQLite gives the files that it puts beside this one the same mode.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        # Autocommit: `_write` begins transactions. Opened here, used by the writer's thread alone.
        db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        try:
            _prepare(db, path, bounds)
        except BaseException:
            db.close()
            raise
    except (sqlite3.Error, OSError) as exc:
        raise StoreError(
            f"the record {path} can't be opened: {exc}",
            "Nothing may pass without it: check the free space and the permissions there",
        ) from exc
    return db


def _prepare(db: sqlite3.Connection, path: Path, bounds: Bounds) -> None:
    version = versions.version_of(db, path)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = NORMAL")
    db.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
    db.execute(f"PRAGMA journal_size_limit = {bounds.log_bytes}")
    pages = min(CHECKPOINT_PAGES, bounds.log_bytes // 4096)
    db.execute(f"PRAGMA wal_autocheckpoint = {max(1, pages)}")
    versions.bring_up_to_date(db, version)


def _ends(db: sqlite3.Connection) -> tuple[int, int]:
    """Return the first and the last id; 1 and 0 where there is none."""
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
