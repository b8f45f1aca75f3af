"""The traffic database: written by a thread as things happen, whatever the disk does."""

from __future__ import annotations

import gzip
import sqlite3
import stat
import threading
from typing import TYPE_CHECKING

import pytest
from tests.egress.databases import interpose
from tests.followers import commits_seen

from moat.egress.traffic import queue
from moat.egress.traffic import writer as module
from moat.egress.traffic.entry import TrafficEntry
from moat.egress.traffic.reader import Filter, Follower, TrafficReader, is_readable
from moat.egress.traffic.schema import SCHEMA_VERSION, Row
from moat.egress.traffic.writer import BODY_LIMIT, INTERRUPTED, Bounds, TrafficWriter
from moat.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

NOW = 1_767_225_600.0
ALL = Filter()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run.db"


@pytest.fixture
def record(path: Path) -> Iterator[TrafficWriter]:
    record = TrafficWriter(path)
    yield record
    record.close()


def entry(host: str = "example.com", *, total: float = 0.5, **fields: object) -> TrafficEntry:
    """Return the entry of a completed request, with other values where they are given."""
    made = TrafficEntry("request", NOW)
    made.scheme, made.method, made.host, made.port, made.path = "https", "GET", host, 443, "/"
    made.protocol, made.status, made.total = "HTTP/1.1", 200, total
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def rows(path: Path, wanted: Filter = ALL) -> list[Row]:
    with TrafficReader(path) as reader:
        return list(reader.rows(wanted, NOW))


def until(holds: Callable[[], bool]) -> None:
    """Wait for the writer, which doesn't notify anybody; the test's timeout ends the waiting."""
    pause = threading.Event()
    while not holds():
        pause.wait(0.005)


def test_an_entry_becomes_a_row(path: Path, record: TrafficWriter) -> None:
    """An entry is soon a row with all its fields, while the database stays open."""
    done = entry(rule="allow example.com", dns=0.1, tls=0.25, sent=3, received=1 << 40)
    done.usage = {"model": "m", "input_tokens": 5}
    record.put(done)
    until(lambda: len(rows(path)) == 1)
    (row,) = rows(path)
    for name in set(Row._fields) - {"usage"}:
        assert getattr(row, name) == getattr(done, name)
    assert row.as_json()["usage"] == done.usage
    assert row.url == "https://example.com/"
    assert record.healthy


def test_the_files_are_the_users_alone(path: Path, record: TrafficWriter) -> None:
    """The files are the user's alone, those that SQLite adds included."""
    record.put(entry())
    until(lambda: len(rows(path)) == 1)
    names = sorted(path.parent.glob("run.db*"))
    assert len(names) == 3
    assert {stat.S_IMODE(name.stat().st_mode) for name in names} == {0o600}


def test_an_entry_that_changes_is_put_again(path: Path, record: TrafficWriter) -> None:
    """A changed entry keeps its row, which is in progress until the entry is complete."""
    ongoing = entry(total=-1.0)
    record.put(ongoing)
    until(lambda: len(rows(path)) == 1)
    assert rows(path)[0].in_progress
    ongoing.total, ongoing.received = 7.0, 99
    record.put(ongoing)
    record.put(ongoing)
    record.close()
    (row,) = rows(path)
    assert (row.in_progress, row.total, row.received) == (False, 7.0, 99)


def test_ten_thousand_entries_are_all_there_in_their_order(
    path: Path, record: TrafficWriter
) -> None:
    """Whole batches, a partial one, and what is queued at the end are all written in order."""
    for number in range(10_007):
        record.put(entry(f"h{number}.example"))
    record.close()
    found = rows(path)
    assert [row.host for row in found] == [f"h{number}.example" for number in range(10_007)]
    assert [row.id for row in found] == list(range(1, 10_008))


def test_a_later_supervisor_goes_on(path: Path) -> None:
    """A later supervisor continues the ids and marks entries in progress as interrupted."""
    record = TrafficWriter(path)
    record.put(entry("done.example"))
    record.put(entry("open.example", total=-1.0))
    record.put(entry("refused.example", total=-1.0, verdict="denied", error="not in the policy"))
    record.close()
    record = TrafficWriter(path)
    record.put(entry("next.example", total=-1.0))
    record.close()
    found = {row.host: row for row in rows(path)}
    assert found["next.example"].id == 4
    assert found["next.example"].in_progress
    assert found["done.example"].error == ""
    assert (found["open.example"].error, found["open.example"].verdict) == (INTERRUPTED, "failed")
    assert found["refused.example"].error == "not in the policy"


def test_a_supervisor_that_does_nothing_marks_what_was_left_open(path: Path) -> None:
    """Interrupted entries are marked even if nothing new is recorded."""
    record = TrafficWriter(path)
    record.put(entry(total=-1.0))
    record.close()
    again = TrafficWriter(path)
    until(lambda: rows(path)[0].error == INTERRUPTED)
    again.close()


def test_headers_and_bodies_are_kept_beside_bounded_and_redacted(
    path: Path, record: TrafficWriter
) -> None:
    """Captures are written for captured entries alone, bounded and redacted."""
    plain, captured = entry(), entry()
    captured.request_fields = [(b"Authorization", b"Bearer s3cr3t"), (b"Accept", b"*/*")]
    captured.response_fields = [(b"Content-Type", b"text/plain")]
    captured.request_body, captured.response_body = b"", b"x" * (BODY_LIMIT + 5)
    record.put(plain)
    record.put(captured)
    record.close()
    with TrafficReader(path) as reader:
        kept = reader.captures([captured.id])[0]
        assert kept.request_fields == [["Authorization", "***"], ["Accept", "*/*"]]
        assert (kept.request_body, kept.response_body) == (None, b"x" * BODY_LIMIT)
        assert reader.captures([plain.id])[0].request_fields == []
    assert b"s3cr3t" not in path.read_bytes()


def test_secrets_of_a_query_are_never_on_disk(path: Path, record: TrafficWriter) -> None:
    """Secrets in a query never reach the disk; the entry keeps them for the request."""
    asked = entry(path="/x?access_token=s3cr3t&a=1")
    record.put(asked)
    record.close()
    assert rows(path)[0].path == "/x?access_token=***&a=1"
    assert "s3cr3t" in asked.path
    assert b"s3cr3t" not in path.read_bytes()


def test_what_is_no_text_is_recorded_all_the_same(path: Path, record: TrafficWriter) -> None:
    """No name that a hostile program chooses stops the recording."""
    strange = ["\udcff\ud800", "a\x00b", "\x1b[2J", "\u202e", "x" * 100_000]
    for name in strange:
        record.put(entry(path=name))
    record.close()
    found = rows(path)
    assert len(found) == len(strange)
    assert found[0].path == "\\udcff\\ud800"
    assert len(found[-1].path) < 10_000


def test_a_loop_that_is_too_fast_waits_and_loses_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A burst beyond the queue's limits takes time: no request fails for it, and all are recorded."""
    monkeypatch.setattr(queue, "STALL_S", 120.0)
    record = TrafficWriter(path, Bounds(queued=10))
    for number in range(2_000):
        record.put(entry(f"h{number}"))
        assert record.healthy
    record.close()
    assert [row.host for row in rows(path)] == [f"h{number}" for number in range(2_000)]


@pytest.mark.parametrize("bounds", [Bounds(rows=500), Bounds(bytes=200_000)], ids=repr)
def test_the_oldest_go_when_there_are_too_many(path: Path, bounds: Bounds) -> None:
    """The oldest rows are dropped with their captures and counted, and the newest always stay."""
    record = TrafficWriter(path, bounds)
    for number in range(5_000):
        each = entry(f"h{number}", path="/" + "x" * 100)
        each.request_fields = [(b"A", b"b")]
        record.put(each)
    record.close()
    found = rows(path)
    assert 0 < len(found) <= 1_500
    assert found[-1].host == "h4999"
    assert found[0].id == found[-1].id - len(found) + 1
    with TrafficReader(path) as reader:
        assert reader.counts() == {"dropped": 5_000 - len(found), "lost": 0}
        assert reader.captures([found[0].id])[0].request_fields
        assert not reader.captures([found[0].id - 1])[0].request_fields


def test_a_bound_smaller_than_an_empty_file_keeps_the_newest(path: Path) -> None:
    """A limit below the size of an empty file keeps the newest row."""
    record = TrafficWriter(path, Bounds(bytes=1))
    for number in range(50):
        record.put(entry(f"h{number}"))
    record.close()
    assert [row.host for row in rows(path)] == ["h49"]


def fill_disk(record: TrafficWriter, *, free_pages: int) -> None:
    """Set SQLite's own limit of the file, which to SQLite is a full disk."""
    (pages,) = record._db.execute("PRAGMA page_count").fetchone()
    record._db.execute(f"PRAGMA max_page_count = {pages + free_pages}")


def test_a_full_disk_loses_nothing_and_is_said(
    path: Path, record: TrafficWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the disk is full nothing may pass; when there is room again, everything is written."""
    monkeypatch.setattr(module, "RETRY_S", 0.01)
    fill_disk(record, free_pages=2)
    for number in range(3_000):
        record.put(entry(f"h{number}"))
    until(lambda: not record.healthy)
    assert record.problem == "the record can't be written: database or disk is full"
    record.put(entry("meanwhile"))
    fill_disk(record, free_pages=10_000)
    until(lambda: record.healthy)
    record.close()
    assert [row.host for row in rows(path)] == [*(f"h{n}" for n in range(3_000)), "meanwhile"]


def test_closing_on_a_full_disk_ends(
    path: Path,
    record: TrafficWriter,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Closing makes one more attempt, and what was written before stays."""
    monkeypatch.setattr(module, "RETRY_S", 0.01)
    record.put(entry("before"))
    until(lambda: len(rows(path)) == 1)
    fill_disk(record, free_pages=0)
    for _ in range(3_000):
        record.put(entry())
    record.close()
    assert "lost" in caplog.text
    assert [row.host for row in rows(path)] == ["before"]


@pytest.mark.parametrize("bounds", [Bounds(queued=100), Bounds(queued_bytes=100 * 201)], ids=repr)
def test_a_disk_that_stalls_stops_traffic_before_memory_is_full(path: Path, bounds: Bounds) -> None:
    """Entries of open connections are queued up to a limit, and counted beyond it."""
    record = TrafficWriter(path, bounds)
    stalled, going = threading.Event(), threading.Event()

    def stall() -> None:
        stalled.set()
        going.wait()

    interpose(record, stall)
    record.put(entry("first"))
    stalled.wait()
    for number in range(250):
        assert record.healthy is (number < 100), number
        record.put(entry(f"h{number}"))
    assert "slowly" in record.problem
    going.set()
    until(lambda: record.healthy)
    record.close()
    assert len(rows(path)) == 201
    with TrafficReader(path) as reader:
        assert reader.counts()["lost"] == 50


def test_a_bug_of_the_writers_stops_traffic(
    record: TrafficWriter, caplog: pytest.LogCaptureFixture
) -> None:
    """A bug in the writer stops traffic: nothing passes unrecorded."""

    def fail() -> None:
        raise ZeroDivisionError

    interpose(record, fail)
    record.put(entry())
    until(lambda: not record.healthy)
    assert "ZeroDivisionError" in record.problem
    assert "Traceback" in caplog.text


def test_a_record_that_can_not_be_opened_is_an_error_before_anything_runs(tmp_path: Path) -> None:
    """A missing folder, a file that is no database, and one of a later version are errors."""
    with pytest.raises(StoreError, match="can't be opened"):
        TrafficWriter(tmp_path / "missing" / "run.db")
    damaged = tmp_path / "damaged.db"
    damaged.write_bytes(b"no database" * 1000)
    with pytest.raises(StoreError, match="not a database"):
        TrafficWriter(damaged)
    newer = tmp_path / "newer.db"
    with sqlite3.connect(newer) as db:
        db.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    db.close()
    for opened in (TrafficWriter, TrafficReader):
        with pytest.raises(StoreError, match="newer"):
            opened(newer)


def test_a_record_of_an_older_moat_is_taken_on(path: Path) -> None:
    """The supervisor that adopts a run after an update continues its database."""
    TrafficWriter(path).close()
    with sqlite3.connect(path) as db:
        db.execute("ALTER TABLE captures DROP COLUMN response_size")
        db.execute("INSERT INTO captures VALUES (1, '[]', '[]', NULL, x'61')")
        db.execute("PRAGMA user_version = 1")
    db.close()
    with TrafficReader(path) as reader:
        assert reader.captures([1])[0].response_size is None
    record = TrafficWriter(path)
    captured = entry(response_fields=[], received=3)
    captured.id = 2
    record.put(captured)
    record.close()
    with TrafficReader(path) as reader:
        assert reader.captures([1])[0].response_body == b"a"
        assert reader.captures([2])[0].response_size == 3


TEXT = b"hello " * 100_000


@pytest.mark.parametrize(
    ("coding", "sent", "begins", "size"),
    [
        (b"", TEXT, TEXT[:BODY_LIMIT], len(TEXT)),
        (b"identity", b"hello", b"hello", 5),
        (b"gzip", gzip.compress(TEXT, mtime=0), TEXT[:BODY_LIMIT], len(TEXT)),
        (b"gzip", gzip.compress(TEXT, mtime=0)[:-9], TEXT[:BODY_LIMIT], None),
        (b"gzip", gzip.compress(b"", mtime=0), None, 0),
        (b"gzip", b"no gzip", b"", None),
        (b"br", b"\x0b\x02", b"", None),
        (b"br", b"", None, 0),
    ],
)
def test_a_body_is_kept_as_it_was_meant(
    path: Path, coding: bytes, sent: bytes, begins: bytes | None, size: int | None
) -> None:
    """A body is recorded decoded, with its decoded length, and empty if it can't be decoded."""
    record = TrafficWriter(path)
    captured = entry(response_fields=[(b"Content-Encoding", coding)], received=len(sent))
    captured.response_body = sent[:BODY_LIMIT]
    record.put(captured)
    record.close()
    with TrafficReader(path) as reader:
        kept = reader.captures([captured.id])[0]
    assert (kept.response_body, kept.response_size) == (begins, size)


# --- reading ---


def test_filters_choose_rows(path: Path, record: TrafficWriter) -> None:
    """Filters select rows, each alone and together."""
    record.put(entry("api.example.com"))
    record.put(entry("example.com", verdict="denied", kind="refusal"))
    record.put(entry("slow.org", total=3.0, time=NOW + 10))
    record.put(entry("hangs.org", total=-1.0, time=NOW - 60))
    record.close()

    def hosts(**wanted: object) -> list[str]:
        return [row.host for row in rows(path, Filter(**wanted))]  # type: ignore[arg-type]

    assert hosts(host="*.Example.com") == ["api.example.com"]
    assert hosts(host="*.org") == ["slow.org", "hangs.org"]
    assert hosts(host="' OR 1 --") == []
    assert hosts(denied=True) == ["example.com"]
    assert hosts(kinds=("refusal", "dns")) == ["example.com"]
    assert hosts(slow=2.0) == ["slow.org", "hangs.org"]
    assert hosts(slow=90.0) == []
    assert hosts(since=NOW + 1) == ["slow.org"]
    assert hosts(host="*.com", denied=True, slow=0.1) == ["example.com"]
    assert hosts(models=True) == []


def test_the_last_rows_are_found_among_those_that_are_wanted(
    path: Path, record: TrafficWriter
) -> None:
    """The last N rows are counted among those that the filter selects."""
    for number in range(3_000):
        record.put(entry("even" if number % 2 == 0 else "odd"))
    record.close()
    with TrafficReader(path) as reader:
        for count, wanted, ids in (
            (2, Filter(host="even"), [2997, 2999]),
            (0, ALL, []),
            (9_999, Filter(host="odd"), list(range(2, 3_001, 2))),
            (5, Filter(host="none"), []),
        ):
            after = reader.before_the_last(count, wanted, NOW)
            assert [row.id for row in reader.rows(wanted, NOW, after=after)] == ids


def test_a_follower_gets_every_row_once_when_it_is_complete(
    path: Path, record: TrafficWriter
) -> None:
    """A follower yields each row once, in the order of completion; incomplete ones come at the end."""
    slow, never = entry("slow", total=-1.0), entry("never", total=-1.0)
    for each in (entry("first"), slow, never):
        record.put(each)
    until(lambda: len(rows(path)) == 3)
    with TrafficReader(path) as reader:
        follower = Follower(reader, ALL)
        assert [row.host for row in follower.news(NOW)] == ["first"]
        assert list(follower.news(NOW)) == []
        record.put(entry("second"))
        slow.total, slow.verdict = 1.0, "denied"
        record.put(slow)
        record.close()
        assert [row.host for row in follower.news(NOW)] == ["slow", "second"]
        assert [row.host for row in follower.rest(NOW)] == ["never"]


def test_a_follower_hears_at_once_of_what_may_take_long(path: Path, record: TrafficWriter) -> None:
    """A waiting request, a tunnel and a WebSocket are yielded at their beginning and their end."""
    asked = entry("asked", total=-1.0, verdict="asking")
    tunnel = entry("tunnel", total=-1.0, kind="tunnel")
    plain = entry("plain", total=-1.0)
    with TrafficReader(path) as reader:
        follower = Follower(reader, ALL)

        def news(*changed: TrafficEntry) -> list[tuple[str, str, bool]]:
            for each in changed:
                record.put(each)
            until(lambda: not any(each.queued for each in changed))
            mark = entry("mark")  # which is written behind them
            record.put(mark)
            until(lambda: any(row.id == mark.id for row in rows(path)))
            heard = [(row.host, row.verdict, row.in_progress) for row in follower.news(NOW)]
            return [each for each in heard if each[0] != "mark"]

        assert news(asked, plain, tunnel) == [
            ("asked", "asking", True),
            ("tunnel", "allowed", True),
        ]
        assert news(tunnel) == []
        asked.verdict = "allowed"
        assert news(asked) == []
        asked.protocol = plain.protocol = "websocket"
        assert news(asked, plain) == [("asked", "allowed", True), ("plain", "allowed", True)]
        asked.total = tunnel.total = 1.0
        assert news(asked, tunnel) == [("asked", "allowed", False), ("tunnel", "allowed", False)]
        assert news(plain) == []
        assert list(follower.rest(NOW)) == [], "all has been heard of"


ENTRIES = """
import os, sys
from pathlib import Path
from moat.egress.traffic import writer
from moat.egress.traffic.entry import TrafficEntry
writer.PAUSE_S = 0
record = writer.TrafficWriter(Path(sys.argv[1]) / "run.db")
for _ in range(int(sys.argv[2])):
    record.put(TrafficEntry("dns", 0.0))
    os.read(0, 1)
record.close()
"""


def test_a_follower_sees_every_commit(path: Path) -> None:
    """SQLite writes its log before a commit is visible: to be woken by that alone is too early."""
    TrafficWriter(path).close()
    with TrafficReader(path) as reader:
        assert commits_seen(path.parent, ENTRIES, lambda: reader.in_progress()[0], 300) == 300


def test_a_follower_from_now_on_hears_of_what_goes_on(path: Path, record: TrafficWriter) -> None:
    """A follower that starts at the end yields older rows that are still in progress."""
    record.put(entry("asked", total=-1.0, verdict="asking"))
    record.put(entry("over"))
    record.close()
    with TrafficReader(path) as reader:
        follower = Follower(reader, ALL, after=2)
        assert [row.host for row in follower.news(NOW)] == ["asked"]
        assert list(follower.news(NOW)) == []
        denied = Follower(reader, Filter(denied=True))
        assert list(denied.news(NOW)) == [], "filters hold for these, too"


def test_reading_does_not_keep_the_log_from_being_emptied(
    path: Path, record: TrafficWriter
) -> None:
    """A reader that pauses between rows holds no transaction."""
    for number in range(3_000):
        record.put(entry(f"h{number}"))
    until(lambda: len(rows(path)) == 3_000)
    with TrafficReader(path) as reader:
        found = reader.rows(ALL, NOW)
        next(found)
        with sqlite3.connect(path) as db:
            busy, _, _ = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        db.close()
        assert busy == 0
        assert len(list(found)) == 2_999


def test_a_record_that_is_not_there_yet_is_not_made_by_looking(path: Path) -> None:
    """Looking for a database doesn't make it, and a file without tables isn't taken for one."""
    assert not is_readable(path)
    assert not path.exists()
    path.touch()
    assert not is_readable(path)
    TrafficWriter(path).close()
    assert is_readable(path)
    assert rows(path) == []
