"""Databases of every version: the files in `corpus` were written by the moat of their time."""

from __future__ import annotations

import re
import shutil
import sqlite3
from pathlib import Path

import pytest

from moat.egress.traffic.entry import TrafficEntry
from moat.egress.traffic.reader import Filter, TrafficReader
from moat.egress.traffic.schema import SCHEMA, SCHEMA_VERSION, Captured, Row
from moat.egress.traffic.writer import INTERRUPTED, TrafficWriter
from moat.errors import StoreError

CORPUS = sorted(Path(__file__).with_name("corpus").glob("*.db"))
NOW = 1_764_000_000.0
ADDRESSES = ["", "192.0.2.1", "", "2001:db8::1", "", "192.0.2.2"]


@pytest.fixture(params=CORPUS, ids=lambda path: path.stem)
def frozen(request: pytest.FixtureRequest) -> Path:
    return request.param


@pytest.fixture
def path(frozen: Path, tmp_path: Path) -> Path:
    """Return a copy of a frozen file."""
    return shutil.copy(frozen, tmp_path / "run.db")


def _rows(path: Path) -> list[Row]:
    with TrafficReader(path) as reader:
        return list(reader.rows(Filter(), NOW))


def _layout(path: Path) -> dict[str, set[str]]:
    """Return the columns of each table."""
    with sqlite3.connect(path) as db:
        tables = db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
        layout = {
            name: {column for _, column, *_ in db.execute(f"PRAGMA table_info({name})")}
            for (name,) in tables
        }
    db.close()
    return layout


def test_there_is_a_file_of_each_version() -> None:
    """Each version has a frozen file; a new one needs another."""
    versions = {int(path.stem.partition("-")[0]) for path in CORPUS}
    assert versions == set(range(1, SCHEMA_VERSION + 1))


def test_every_version_can_be_read(frozen: Path, path: Path) -> None:
    """All rows of every version can be read, and a column that the version lacked is empty."""
    before = path.read_bytes()
    rows = _rows(path)
    assert [row.kind for row in rows] == [
        "dns", "request", "request", "tunnel", "refusal", "request",
    ]  # fmt: skip
    addresses = [""] * len(rows) if frozen.stem == "1-without-address" else ADDRESSES
    assert [row.address for row in rows] == addresses
    model, denied, tunnel, going_on = rows[1], rows[2], rows[3], rows[5]
    assert model.url == "https://api.example.com/v1/messages?key=***&a=1"
    assert model.as_json()["usage"]["output_tokens"] == 7
    assert (model.time, model.first_byte, model.total) == (NOW + 0.25, 0.5, 1.25)
    assert (denied.verdict, denied.status, denied.path) == ("denied", 403, "/\u202e")
    assert denied.why == "policy: strict: GET denied: no rule allows it"
    assert (tunnel.sent, tunnel.received) == (1 << 33, 3)
    assert going_on.in_progress
    assert path.read_bytes() == before


def test_headers_and_bodies_of_every_version_can_be_read(frozen: Path, path: Path) -> None:
    """Captures of every version can be read, with no decoded length where the version lacked it."""
    with TrafficReader(path) as reader:
        captured = reader.captures([2])[0]
        assert reader.counts() == {"dropped": 0, "lost": 0}
    assert captured.request_fields == [
        ["Authorization", "***"],
        ["Content-Type", "application/json"],
    ]
    assert (captured.request_body, captured.response_body) == (b'{"model": "m"}', b"hello world")
    assert captured.response_size == (None if frozen.stem.startswith("1") else 11)


def test_every_version_is_continued(path: Path) -> None:
    """A newer supervisor leaves the old rows as they are and adds its own."""
    old = _rows(path)
    record = TrafficWriter(path)
    entry = TrafficEntry("request", NOW + 10)
    entry.scheme, entry.host, entry.address, entry.total = "https", "b.test", "192.0.2.7", 0.5
    entry.response_fields, entry.received = [(b"A", b"1")], 3
    record.put(entry)
    record.close()

    *rows, new = _rows(path)
    assert rows[:-1] == old[:-1]
    assert (rows[-1].error, rows[-1].verdict) == (INTERRUPTED, "failed")
    assert (new.id, new.host, new.address, new.total) == (7, "b.test", "192.0.2.7", 0.5)
    with TrafficReader(path) as reader:
        assert reader.captures([2])[0].response_body == b"hello world"
        assert reader.captures([7])[0] == Captured(7, [], [["A", "1"]], None, None, 3)


def test_a_continued_file_has_the_layout_of_a_new_one(path: Path, tmp_path: Path) -> None:
    """A continued file has the same layout as a new one."""
    TrafficWriter(path).close()
    TrafficWriter(tmp_path / "new.db").close()
    assert _layout(path) == _layout(tmp_path / "new.db")
    with sqlite3.connect(path) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
    db.close()


def test_the_present_layout_is_that_of_the_newest_file() -> None:
    """The schema was not changed without a new version."""
    present = sqlite3.connect(":memory:")
    present.executescript(SCHEMA)
    newest = sqlite3.connect(f"{max(CORPUS).as_uri()}?immutable=1", uri=True)
    assert _statements(present) == _statements(newest)
    present.close()
    newest.close()


def _statements(db: sqlite3.Connection) -> list[str]:
    """Return the statements that made the tables and indexes, without comments."""
    rows = db.execute("SELECT sql FROM sqlite_schema ORDER BY name").fetchall()
    return [" ".join(re.sub("--.*", "", sql).split()) for (sql,) in rows]


@pytest.mark.parametrize("opened", [TrafficWriter, TrafficReader])
def test_a_later_version_is_left_alone(tmp_path: Path, opened: type) -> None:
    """A file of a later version is refused with one line, and not a byte is changed."""
    path = shutil.copy(max(CORPUS), tmp_path / "run.db")
    with sqlite3.connect(path) as db:
        db.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    db.close()
    before = path.read_bytes()
    with pytest.raises(StoreError) as caught:
        opened(path)
    assert str(caught.value.summary).endswith("run.db was written by a newer moat")
    assert caught.value.hint == "Update moat"
    assert path.read_bytes() == before
