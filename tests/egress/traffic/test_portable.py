"""The record of a run's traffic, taken to another store as lines."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moat.egress.traffic import portable
from moat.egress.traffic.reader import Filter, TrafficReader
from moat.egress.traffic.schema import Row

CORPUS = sorted((Path(__file__).parent / "corpus").glob("*.db"))
ROW: list[Any] = [
    1,
    "request",
    1.5,
    "allowed",
    200,
    "GET",
    "https",
    "a.test",
    443,
    "",
    "",
    "",
    "",
    "",
]
ROW += [-1.0, -1.0, -1.0, -1.0, 0.5, 0, 4, "/", None]


def row(**columns: object) -> bytes:
    values = dict(zip(Row._fields, ROW, strict=True)) | columns
    return json.dumps({"entries": list(values.values())}).encode()


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.name)
def test_a_record_of_every_version_is_the_same_elsewhere(path: Path, tmp_path: Path) -> None:
    """Rows, headers, bodies and sums."""
    original = tmp_path / "run.db"
    shutil.copy(path, original)
    other = tmp_path / "other.db"
    portable.write(other, portable.lines(original))
    with TrafficReader(original) as one, TrafficReader(other) as two:
        rows = list(one.rows(Filter(), 0.0))
        assert rows
        assert list(two.rows(Filter(), 0.0)) == rows
        assert list(one.captured(rows)) == list(two.captured(rows))
        assert one.counts() == two.counts()
        assert one.spent() == two.spent()
        assert one.dropped_hosts(Filter()) == two.dropped_hosts(Filter())
        assert one.dropped_models(Filter(models=True)) == two.dropped_models(Filter(models=True))


def test_a_file_without_tables_has_no_lines(tmp_path: Path) -> None:
    """As one whose maker was killed over it."""
    with closing(sqlite3.connect(tmp_path / "run.db")) as db:
        db.execute("VACUUM")
    assert list(portable.lines(tmp_path / "run.db")) == []


def test_a_row_is_taken_as_it_is() -> None:
    """Whole numbers become the numbers with a fraction that the column has."""
    assert portable.row_of(row()) == ("entries", ROW)
    assert portable.row_of(row(time=2)) == ("entries", [*ROW[:2], 2.0, *ROW[3:]])
    usage = '{"provider": "openai", "input_tokens": 3, "complete": true, "model": null}'
    assert portable.row_of(row(usage=usage))[1][-1] == usage


@pytest.mark.parametrize(
    "line",
    [
        row(kind="gossip"),
        row(verdict=3),
        row(time="now"),
        row(time=-1.0),
        row(time=1e300),
        row(total=float("nan")),
        row(total=True),
        row(status=-1),
        row(sent=1 << 63),
        row(host=None),
        row(host="\ud800"),
        row(path="x" * 70_000),
        row(usage="[]"),
        row(usage="{"),
        row(usage='{"input_tokens": -1}'),
        row(usage='{"input_tokens": [1]}'),
        row(usage="[" * 60_000),
        b'{"captures": [1, "{}", null, null, null, null]}',
        b'{"captures": [1, "[[1, 2]]", null, null, null, null]}',
        b'{"captures": [1, "[[\\"a\\"]]", null, null, null, null]}',
        b'{"captures": [1, null, null, "body", null, null]}',
        b'{"captures": [1, null, null, {"base64": "?"}, null, null]}',
        b'{"captures": [1, null, null, {"base64": 3}, null, null]}',
        json.dumps({"captures": [1, None, None, {"base64": "A" * 100_000}, None, None]}).encode(),
        b'{"meta": ["sqlite_sequence", 1]}',
        b'{"entries": {}}',
        b'{"entries": [], "meta": []}',
        b'{"sqlite_master; DROP TABLE entries": []}',
        b"[]",
        b"{" * 50_000,
        b"\xff",
    ],
)
def test_no_other_row_is_taken(line: bytes) -> None:
    """Whoever reads the record later believes its columns."""
    with pytest.raises(ValueError, match=r"."):
        portable.row_of(line)


@given(st.binary(max_size=200) | st.recursive(st.none() | st.text() | st.floats(), st.lists).map(
    lambda value: json.dumps({"entries": value}).encode()
))  # fmt: skip
def test_no_line_is_a_traceback(line: bytes) -> None:
    """Whatever is in it."""
    with pytest.raises(ValueError, match=r"."):
        portable.row_of(line)


def test_a_row_twice_is_refused(tmp_path: Path) -> None:
    """An id is that of one request."""
    with pytest.raises(ValueError, match="there twice"):
        portable.write(tmp_path / "run.db", [row(), row()])
