"""Reading a run's traffic while it is written, and afterwards. Nothing here writes.

Rows are read in pieces, each in a transaction of its own: a slow reader (a pager) does not keep SQLite
from emptying its write-ahead log.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Self

from moat.egress.traffic import versions
from moat.egress.traffic.schema import (
    HOST_SUMS,
    IN_PROGRESS,
    NO_CAPTURE,
    SPENT,
    TOKENS,
    Captured,
    Row,
)
from moat.egress.traffic.totals import HostTotal, ModelTotal
from moat.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Sequence
    from pathlib import Path

    from moat.egress.traffic.entry import Kind

_PIECE = 1000
_CAPTURES = 64
"""Rows whose bodies are read together: some megabytes."""
# Stages of a row in progress. An ordinary request has none: it is over before anybody reads its row.
_STAGE = (
    "CASE WHEN verdict = 'asking' THEN 'asking'"
    " WHEN kind = 'tunnel' OR protocol = 'websocket' THEN 'lasting' ELSE '' END"
)
_OPEN = f"SELECT id, {_STAGE} FROM entries WHERE {IN_PROGRESS}"  # noqa: S608  ours, as all below
# Whole microseconds are quick to be passed on as text, and to be sorted.
_TIMES = (
    "group_concat(CASE WHEN kind != 'dns' AND verdict = 'allowed' AND total >= 0"
    " THEN CAST(total * 1000000 AS INTEGER) END)"
)
_LAST_AND_OPEN = f"SELECT ifnull(max(id), 0), '' FROM entries UNION ALL {_OPEN}"  # noqa: S608

_COUNTS = (
    "SELECT ifnull(max(id), 0), count(*) FILTER (WHERE kind IN ('request', 'tunnel')),"
    " count(*) FILTER (WHERE verdict = 'denied') FROM entries WHERE id > ?"
)
_DROPPED_COUNTS = "SELECT ifnull(sum(requests), 0), ifnull(sum(denied), 0) FROM dropped_hosts"


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """A condition on rows: all that is given must hold."""

    host: str | None = None
    """A glob, in which `*` and `?` match dots, too."""
    denied: bool = False
    slow: float | None = None
    """Seconds that a row took at least, or has taken so far."""
    kinds: Sequence[Kind] = ()
    since: float | None = None
    """Seconds since the epoch."""
    models: bool = False
    """Only requests to language models."""
    tools: bool = False
    """Only calls of tools on MCP servers."""

    def sql(self, now: float) -> tuple[str, list[Any]]:
        """Return an SQL condition with its parameters."""
        conditions, values = ["1"], list[Any]()
        if self.host is not None:
            conditions.append("host GLOB ?")
            values.append(self.host.lower())
        if self.denied:
            conditions.append("verdict = 'denied'")
        if self.slow is not None:
            conditions.append(f"(total >= ? OR ({IN_PROGRESS} AND time <= ?))")
            values += self.slow, now - self.slow
        if self.kinds:
            conditions.append(f"kind IN ({', '.join('?' * len(self.kinds))})")
            values += self.kinds
        if self.since is not None:
            conditions.append("time >= ?")
            values.append(self.since)
        if self.models:
            conditions.append("usage IS NOT NULL")
        if self.tools:
            conditions.append("rule GLOB 'mcp *: *'")
        return " AND ".join(conditions), values


class TrafficReader:
    """A reader of one database, as a context manager that closes it. Raises `StoreError`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._reported():
            self._db = _open(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    @property
    def is_made(self) -> bool:
        """The database has its tables, which are written first."""
        with self._reported():
            return versions.version_of(self._db, self._path) > 0

    def rows(self, wanted: Filter, now: float, *, after: int = 0) -> Iterator[Row]:
        """Yield the rows with an id above `after`, oldest first."""
        condition, values = wanted.sql(now)
        columns = self._columns("entries", Row._fields)
        sql = f"SELECT {columns} FROM entries WHERE id > ? AND {condition} ORDER BY id LIMIT ?"  # noqa: S608
        while True:
            piece = list(map(Row._make, self._select(sql, after, *values, _PIECE)))
            yield from piece
            if len(piece) < _PIECE:
                return
            after = piece[-1].id

    def rows_with(self, ids: Iterable[int], wanted: Filter, now: float) -> Iterator[Row]:
        """Yield the rows with these ids."""
        condition, values = wanted.sql(now)
        columns = self._columns("entries", Row._fields)
        sql = (
            f"SELECT {columns} FROM entries WHERE id IN (SELECT value FROM json_each(?))"  # noqa: S608
            f" AND {condition} ORDER BY id"
        )
        yield from map(Row._make, self._select(sql, json.dumps(list(ids)), *values))

    def totals(self, *, after: int = 0) -> tuple[int, int, int]:
        """Return the last id, and how many requests and denials have an id above `after`.

        Those that were dropped to make room count with the first.
        """
        ((last, requests, denied),) = self._select(_COUNTS, after)
        if after == 0:
            ((dropped, refused),) = self._select(_DROPPED_COUNTS)
            requests, denied = requests + dropped, denied + refused
        return max(last, after), requests, denied

    def in_progress(self) -> tuple[int, dict[int, str]]:
        """Return the last id, and the stages of the rows in progress by id, at one moment."""
        (last, _), *others = self._select(_LAST_AND_OPEN)
        return last, dict(others)

    def captured(self, rows: Iterable[Row]) -> Iterator[tuple[Row, Captured]]:
        """Yield rows, each with the headers and bodies that were recorded of it."""
        rows = iter(rows)
        while piece := list(islice(rows, _CAPTURES)):
            yield from zip(piece, self.captures([row.id for row in piece]), strict=True)

    def captures(self, ids: Sequence[int]) -> list[Captured]:
        """Return the headers and bodies of the rows with these ids, as far as they were recorded."""
        columns = self._columns("captures", Captured._fields)
        sql = f"SELECT {columns} FROM captures WHERE id IN (SELECT value FROM json_each(?))"  # noqa: S608
        found = {row[0]: Captured.of(row) for row in self._select(sql, json.dumps(ids))}
        return [found.get(each, NO_CAPTURE) for each in ids]

    def counts(self) -> dict[str, int]:
        """Return how many rows were `dropped` to make room, and how many entries were `lost`.

        An entry is lost where the queue of the writer is full.
        """
        names = "name IN ('dropped', 'lost')"
        return dict(self._select(f"SELECT name, value FROM meta WHERE {names}"))  # noqa: S608

    def spent(self) -> dict[str, int]:
        """Return what the run has used up by the names of `SPENT`, as far as that was counted."""
        names = ", ".join("?" * len(SPENT))
        return dict(self._select(f"SELECT name, value FROM meta WHERE name IN ({names})", *SPENT))  # noqa: S608

    def dropped_until(self) -> float | None:
        """Return when the last row that was dropped began, in seconds since the epoch, if any was."""
        found = self._select("SELECT value FROM meta WHERE name = 'dropped_until'")
        return found[0][0] / 1000 if found else None

    def dropped_hosts(self, wanted: Filter) -> list[HostTotal]:
        """Return the sums of the rows that were dropped, by host, if they are all of one answer.

        Only hosts can be told apart in them: with another condition there are none.
        """
        if wanted != Filter(host=wanted.host) or not self._has_sums:
            return []
        condition, values = wanted.sql(0.0)
        rows = self._select(f"SELECT * FROM dropped_hosts WHERE {condition}", *values)  # noqa: S608
        return [HostTotal(*row) for row in rows]

    def dropped_models(self, wanted: Filter) -> list[ModelTotal]:
        """Return the sums of the rows that were dropped, by language model; as above."""
        if wanted != Filter(models=True) or not self._has_sums:
            return []
        return [
            ModelTotal(provider, model, requests, uncounted, dict(zip(TOKENS, tokens, strict=True)))
            for provider, model, requests, uncounted, *tokens in self._select(
                "SELECT * FROM dropped_models"
            )
        ]

    @property
    def _has_sums(self) -> bool:
        with self._reported():
            return versions.version_of(self._db, self._path) >= versions.WITH_SUMS

    def by_host(self, wanted: Filter, now: float, *, after: int = 0) -> list[HostTotal]:
        """Return the sums of the rows with an id above `after`, by host.

        SQLite adds up, because a million rows would take Python seconds.
        """
        condition, values = wanted.sql(now)
        sql = (
            f"SELECT {HOST_SUMS}, {_TIMES} FROM entries WHERE id > ? AND {condition} GROUP BY host"  # noqa: S608
        )
        return [
            HostTotal(*row[:-1], times=sorted(map(int, row[-1].split(","))) if row[-1] else [])
            for row in self._select(sql, after, *values)
        ]

    def before_the_last(self, count: int, wanted: Filter, now: float) -> int:
        """Return the id after which there are `count` rows."""
        condition, values = wanted.sql(now)
        inner = f"SELECT id FROM entries WHERE {condition} ORDER BY id DESC LIMIT ?"  # noqa: S608
        ((before,),) = self._select(f"SELECT min(id) - 1 FROM ({inner})", *values, count)  # noqa: S608
        return before if before is not None else self.in_progress()[0]

    def _columns(self, table: str, names: tuple[str, ...]) -> str:
        with self._reported():
            return versions.selection(self._db, table, names)

    def _select(self, sql: str, *values: object) -> list[Any]:
        with self._reported():
            return self._db.execute(sql, values).fetchall()

    @contextmanager
    def _reported(self) -> Generator[None]:
        try:
            yield
        except sqlite3.Error as exc:
            raise StoreError(
                f"the record {self._path} can't be read: {exc}", "Check the permissions there"
            ) from exc


class Follower:
    """An iteration over rows as they are completed, and earlier over those that may take long.

    A request that waits for the user is yielded at once, and so is a tunnel or a WebSocket.
    """

    def __init__(self, reader: TrafficReader, wanted: Filter, *, after: int = 0) -> None:
        self._reader = reader
        self._wanted = wanted
        self._after = after
        self._yielded: dict[int, str] = {}
        """The rows in progress, with the stage in which each was yielded; empty: in none yet."""

    def news(self, now: float) -> Iterator[Row]:
        """Yield what has begun or been completed since the last call."""
        last, stages = self._reader.in_progress()
        done = self._yielded.keys() - stages.keys()
        begun = {each: stage for each, stage in stages.items() if self._is_new(each, stage)}
        self._yielded = {each: self._yielded.get(each, "") for each in stages}
        earlier = (each for each in begun if each <= self._after)
        yield from self._reader.rows_with(done, self._wanted, now)
        for row in chain(
            self._reader.rows_with(earlier, self._wanted, now),
            self._reader.rows(self._wanted, now, after=self._after),
        ):
            if row.id > last:
                break
            if row.id not in stages:
                yield row
            elif row.id in begun and _is_still(row, begun[row.id]):
                self._yielded[row.id] = begun[row.id]
                yield row
        self._after = last

    def _is_new(self, number: int, stage: str) -> bool:
        return stage not in {"", self._yielded.get(number)}

    def rest(self, now: float) -> Iterator[Row]:
        """Yield what was not completed, and has not been yielded."""
        ids = (each for each, stage in self._yielded.items() if not stage)
        yield from self._reader.rows_with(ids, self._wanted, now)


def _is_still(row: Row, stage: str) -> bool:
    """Tell whether the row is still in a stage, which was read first; else it is for the next call."""
    return row.in_progress and (row.verdict == "asking") == (stage == "asking")


def is_readable(path: Path) -> bool:
    """Tell whether there is a database with tables; one that is just being made has none yet."""
    if not path.exists():
        return False
    with TrafficReader(path) as reader:
        return reader.is_made


def _open(path: Path) -> sqlite3.Connection:
    try:
        return _connect(path, "mode=ro")
    except sqlite3.OperationalError as exc:
        if exc.sqlite_errorcode != sqlite3.SQLITE_CANTOPEN:
            raise
    # On a read-only file system SQLite can't make its lock files, and needs none.
    return _connect(path, "immutable=1")


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    db = sqlite3.connect(f"{path.as_uri()}?{mode}", uri=True, isolation_level=None)
    try:
        versions.version_of(db, path)
    except BaseException:
        db.close()
        raise
    return db
