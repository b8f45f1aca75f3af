"""Versions of the traffic database: how they are told apart, read and continued.

The version of a file is its `PRAGMA user_version`; 0 stands for a file without tables. A version is
never changed, only followed by another, which may add columns, tables and indexes, but no more:

- Every file of an earlier version can be read for ever, by a reader that writes nothing: a column that
  the file lacks has its default.
- The database of a live run is continued by the supervisor of a newer moat, which first adds what the
  file lacks.
- A file of a later version is neither read nor changed.

`tests/egress/traffic/corpus` has a file of each version. A change of `SCHEMA` needs a new version,
its columns in `_ADDED`, and a new file there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from moat.egress.traffic.schema import DROPPED, SCHEMA, SCHEMA_VERSION
from moat.errors import StoreError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable
    from pathlib import Path


WITH_SUMS: Final = 3
"""The first version that keeps the sums of rows that were dropped."""


class _Added(NamedTuple):
    """A column that earlier files lack."""

    table: str
    name: str
    type: str
    default: str
    """An SQL literal."""


_ADDED: Final = (
    _Added("entries", "address", "TEXT NOT NULL", "''"),  # in the course of version 1
    _Added("captures", "response_size", "INTEGER", "NULL"),  # in version 2
)


def version_of(db: sqlite3.Connection, path: Path) -> int:
    """Return the version of a file; 0: it has no tables. Raises `StoreError` for a later version."""
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version > SCHEMA_VERSION:
        raise StoreError(f"the record {path} was written by a newer moat", "Update moat")
    return version


def bring_up_to_date(db: sqlite3.Connection, version: int) -> None:
    """Make the tables of a new file, or add what a file of an earlier version lacks."""
    if version == SCHEMA_VERSION and not _missing(db):
        return
    script = SCHEMA if version == 0 else "".join(map(_add, _missing(db))) + DROPPED
    db.executescript(f"BEGIN; {script} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")


def selection(db: sqlite3.Connection, table: str, columns: Iterable[str]) -> str:
    """Return an SQL list of these columns, with the defaults of those that the file lacks."""
    defaults = {each.name: f"{each.default} AS {each.name}" for each in _missing(db, table)}
    return ", ".join(defaults.get(name, name) for name in columns)


def _missing(db: sqlite3.Connection, table: str | None = None) -> list[_Added]:
    added = [each for each in _ADDED if table in {None, each.table}]
    return [each for each in added if each.name not in _columns(db, each.table)]


def _columns(db: sqlite3.Connection, table: str) -> set[str]:
    return {name for _, name, *_ in db.execute(f"PRAGMA table_info({table})")}


def _add(column: _Added) -> str:
    table, name, kind, default = column
    return f"ALTER TABLE {table} ADD COLUMN {name} {kind} DEFAULT {default};"
