"""Making room in a traffic database: the oldest rows go, and their sums stay.

A program of the sandbox decides how much there is to record. So rows are dropped, a part of them at a
time; what they add up to by host and by language model is kept, for a bounded number of these.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from moat.egress.traffic.schema import HOST_SUMS, IN_PROGRESS, OTHERS, TOKENS

if TYPE_CHECKING:
    import sqlite3

MAX_HOSTS: Final = 1000
"""Hosts whose dropped rows are summed by themselves: those with the most requests."""
MAX_MODELS: Final = 100


class Dropped(NamedTuple):
    """Entries that were dropped at one time."""

    entries: int
    since: float
    """Times at which the first and the last of the entries began, in seconds since the epoch."""
    until: float

    def with_later(self, other: Dropped) -> Dropped:
        """Return this together with what was dropped later."""
        return Dropped(self.entries + other.entries, self.since, other.until)


class _Sums(NamedTuple):
    """A table of sums."""

    table: str
    keys: tuple[str, ...]
    sums: tuple[str, ...]
    """The table's columns; the first ones decide which rows are worth keeping."""

    def add(self, source: str) -> str:
        """Return the statement that adds rows, which `source` selects, to those of the table."""
        columns = ", ".join((*self.keys, *self.sums))
        more = ", ".join(f"{name} = {name} + excluded.{name}" for name in self.sums)
        return (
            f"INSERT INTO {self.table} ({columns}) {source}"
            f" ON CONFLICT ({', '.join(self.keys)}) DO UPDATE SET {more}"
        )

    def least(self) -> str:
        """Return a condition on the rows that exceed the number given as its parameter."""
        keys = ", ".join(self.keys)
        order = ", ".join(f"{name} DESC" for name in self.sums)
        return (
            f"({keys}) IN (SELECT {keys} FROM {self.table} WHERE {self.keys[-1]} != '{OTHERS}'"  # noqa: S608
            f" ORDER BY {order} LIMIT -1 OFFSET ?)"
        )

    def others(self) -> str:
        """Return the statement that sums these rows up in one."""
        keys = ", ".join(f"'{OTHERS}'" for _ in self.keys)
        sums = ", ".join(f"sum({name})" for name in self.sums)
        source = f"SELECT {keys}, {sums} FROM {self.table} WHERE {self.least()} GROUP BY 1"  # noqa: S608
        return self.add(source)


_HOSTS: Final = _Sums(
    "dropped_hosts", ("host",), ("requests", "dns", "denied", "failed", "sent", "received")
)
_MODELS: Final = _Sums("dropped_models", ("provider", "model"), ("requests", "uncounted", *TOKENS))
_OLD: Final = f"FROM entries WHERE id <= ? AND NOT ({IN_PROGRESS})"
_DROPPED_HOSTS: Final = _HOSTS.add(f"SELECT {HOST_SUMS} {_OLD} GROUP BY host")
_COUNTS: Final = [f"json_extract(usage, '$.{kind}')" for kind in TOKENS]
_DROPPED_MODELS: Final = _MODELS.add(
    "SELECT ifnull(json_extract(usage, '$.provider'), ''), ifnull(json_extract(usage, '$.model'), ''),"
    f" count(*), sum(coalesce({', '.join(_COUNTS)}) IS NULL),"
    f" {', '.join(f'ifnull(sum({count}), 0)' for count in _COUNTS)}"
    f" {_OLD} AND usage IS NOT NULL GROUP BY 1, 2"
)
_COUNT: Final = "UPDATE meta SET value = value + ? WHERE name = 'dropped'"
_BEGIN: Final = "INSERT OR IGNORE INTO meta VALUES ('dropped_since', ?)"
_END: Final = "INSERT OR REPLACE INTO meta VALUES ('dropped_until', ?)"


def drop_through(db: sqlite3.Connection, last: int) -> Dropped | None:
    """Drop the rows up to an id, but for those in progress, whose entries are put again.

    `None` if there are none.
    """
    found = db.execute(f"SELECT count(*), min(time), max(time) {_OLD}", (last,))
    count, since, until = found.fetchone()
    if not count:
        return None
    db.execute(_DROPPED_HOSTS, (last,))
    db.execute(_DROPPED_MODELS, (last,))
    for sums, most in ((_HOSTS, MAX_HOSTS), (_MODELS, MAX_MODELS)):
        db.execute(sums.others(), (most,))
        db.execute(f"DELETE FROM {sums.table} WHERE {sums.least()}", (most,))  # noqa: S608
    db.execute(f"DELETE FROM captures WHERE id IN (SELECT id {_OLD})", (last,))  # noqa: S608
    db.execute(f"DELETE {_OLD}", (last,))
    db.execute(_COUNT, (count,))
    db.execute(_BEGIN, (int(since * 1000),))
    db.execute(_END, (int(until * 1000),))
    return Dropped(count, since, until)
