"""The record of a run's traffic as lines of JSON, and a new record made of such lines.

Lines may come from a stranger. Nobody opens his database: its rows are checked one by one, and written
into tables of our own. A line is an object with one key, the table; its value is the row.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final, cast, get_args

from moat import typed_json
from moat.egress.traffic import versions
from moat.egress.traffic.entry import Kind, Verdict
from moat.egress.traffic.schema import BODY_LIMIT, SPENT, Captured, Row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    Check = Callable[[Any], object]

LONGEST_LINE: Final = 4 << 20
"""Bytes of a line: a row with headers and two bodies has a tenth of that."""
_LATEST: Final = 4e9
"""Seconds since the epoch, in the year 2096: times behind it are none that Moat has written."""
_MOST: Final = 1 << 60
_LONGEST_TEXT: Final = 64 * 1024
_LONGEST_FIELDS: Final = 1 << 20
_SUMS: Final = {
    "dropped_hosts": ("host", "requests", "dns", "denied", "failed", "sent", "received"),
    "dropped_models": (
        *("provider", "model", "requests", "uncounted"),
        *("input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens"),
    ),
}
_META: Final = {"dropped", "lost", "dropped_since", "dropped_until", *SPENT}


# --- out ---


def lines(path: Path) -> Iterator[bytes]:
    """Yield the rows of a record to which nobody writes any more. Raises `sqlite3.Error`."""
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as db:
        version = versions.version_of(db, path)
        if not version:
            return
        tables = {"entries": Row._fields, "captures": Captured._fields, "meta": ("name", "value")}
        for table, names in (tables | (_SUMS if version >= versions.WITH_SUMS else {})).items():
            columns = versions.selection(db, table, names)
            for row in db.execute(f"SELECT {columns} FROM {table} ORDER BY 1"):  # noqa: S608  ours
                yield json.dumps({table: list(map(_portable, row))}).encode() + b"\n"


def _portable(value: object) -> object:
    return {"base64": base64.b64encode(value).decode()} if isinstance(value, bytes) else value


# --- in ---


def write(path: Path, given: Iterable[bytes]) -> None:
    """Make a record of lines. Raises `ValueError` for a wrong one, and `sqlite3.Error`."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        versions.bring_up_to_date(db, 0)
        db.execute("BEGIN")
        db.execute("DELETE FROM meta")
        try:
            for line in given:
                table, row = row_of(line)
                marks = ", ".join("?" * len(row))
                db.execute(f"INSERT INTO {table} VALUES ({marks})", row)  # noqa: S608  checked
            for name in ("dropped", "lost"):
                db.execute("INSERT OR IGNORE INTO meta VALUES (?, 0)", (name,))
        except sqlite3.IntegrityError as exc:
            raise ValueError(f"a row is there twice: {exc}") from exc
        db.execute("COMMIT")


def row_of(line: bytes) -> tuple[str, list[object]]:
    """Return the table and the columns that a line is about. Raises `ValueError`."""
    value = typed_json.object_of(typed_json.parse(line), "a row")
    if len(value) != 1:
        raise ValueError("a line is no row of a table")
    ((table, row),) = value.items()
    checks = _CHECKS.get(table)
    if checks is None:
        raise ValueError(f"there is no table {table[:40]!r}")
    columns = _list(row)
    if len(columns) != len(checks):
        raise ValueError(f"a row of {table} has {len(columns)} columns")
    return table, [check(each) for check, each in zip(checks, columns, strict=True)]


def _whole(value: Any) -> int:
    if type(value) is not int or not 0 <= value < _MOST:
        raise ValueError("a column is no whole number")
    return value


def _number(value: Any) -> float:
    if type(value) not in {int, float} or not math.isfinite(value) or abs(value) > _LATEST:
        raise ValueError("a column is no number")
    return float(value)


def _time(value: Any) -> float:
    if _number(value) < 0:
        raise ValueError("a time is before 1970")
    return float(value)


def _text(value: Any, longest: int = _LONGEST_TEXT) -> str:
    if not isinstance(value, str) or len(value) > longest:
        raise ValueError("a column is no text, or too long")
    try:
        value.encode()
    except UnicodeEncodeError as exc:
        raise ValueError("a text is not Unicode") from exc
    return value


def _one_of(choices: Iterable[str]) -> Check:
    known = frozenset(choices)

    def check(value: Any) -> str:
        if not isinstance(value, str) or value not in known:
            raise ValueError("a column has an unknown word")
        return value

    return check


def _usage(value: Any) -> str | None:
    """Check the counts of a language model, an object of words and whole numbers."""
    if value is None:
        return None
    counts = typed_json.object_of(typed_json.parse(_text(value)), "the usage of a model")
    for each in counts.values():
        if isinstance(each, str) or each is None:
            continue
        if type(each) is not bool:
            _whole(each)
    return value


def _fields(value: Any) -> str | None:
    """Check headers, a list of names with values."""
    if value is None:
        return None
    for each in _list(typed_json.parse(_text(value, _LONGEST_FIELDS))):
        pair = _list(each)
        if len(pair) != 2 or not all(isinstance(part, str) for part in pair):
            raise ValueError("a header is no name with a value")
    return value


def _list(value: Any) -> list[Any]:
    match value:
        case list():
            return cast("list[Any]", value)
        case _:
            raise ValueError("something is no list")


def _body(value: Any) -> bytes | None:
    if value is None:
        return None
    text = typed_json.object_of(value, "a body").get("base64", "")
    try:
        body = base64.b64decode(text, validate=True)
    except (binascii.Error, TypeError) as exc:
        raise ValueError(f"a body is no base64: {exc}") from exc
    if len(body) > BODY_LIMIT:
        raise ValueError("a body is too long")
    return body


def _optional_whole(value: Any) -> int | None:
    return None if value is None else _whole(value)


_COLUMNS: Final[dict[str, Check]] = {
    "kind": _one_of(get_args(Kind)),
    "verdict": _one_of(get_args(Verdict)),
    "usage": _usage,
    "time": _time,
    **dict.fromkeys(("dns", "connect", "tls", "first_byte", "total"), _number),
    **dict.fromkeys(("id", "status", "port", "sent", "received"), _whole),
}
_CHECKS: Final[dict[str, list[Check]]] = {
    "entries": [_COLUMNS.get(name, _text) for name in Row._fields],
    "captures": [_whole, _fields, _fields, _body, _body, _optional_whole],
    "meta": [_one_of(_META), _whole],
    "dropped_hosts": [_text, *[_whole] * 6],
    "dropped_models": [_text, _text, *[_whole] * 6],
}
