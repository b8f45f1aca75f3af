"""Making room in the traffic database: what was dropped is counted, summed and told."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from moat.egress.traffic import room, totals
from moat.egress.traffic.entry import TrafficEntry
from moat.egress.traffic.reader import Filter, TrafficReader
from moat.egress.traffic.room import Dropped, drop_through
from moat.egress.traffic.writer import Bounds, TrafficWriter

if TYPE_CHECKING:
    from pathlib import Path

    from moat.egress.traffic.entry import Kind, Verdict

NOW = 1_767_225_600.0


def _entry(number: int) -> TrafficEntry:
    """Return an entry of some kind or other, the same each time."""
    chosen = random.Random(number)
    kind: Kind = chosen.choice(("request", "dns", "tunnel", "refusal"))
    entry = TrafficEntry(kind, NOW + number)
    entry.host = f"h{chosen.randrange(5)}.test"
    verdicts: tuple[Verdict, ...] = ("allowed", "denied", "failed")
    entry.verdict = chosen.choice(verdicts)
    entry.total, entry.sent, entry.received = 0.5, chosen.randrange(99), chosen.randrange(99)
    if kind == "request":
        counts = {name: chosen.randrange(9) for name in totals.TOKENS[: chosen.randrange(5)]}
        entry.usage = {"provider": "p", "model": chosen.choice(("m", "n", None)), **counts}
    return entry


def _write(path: Path, entries: list[TrafficEntry], bounds: Bounds) -> list[Dropped]:
    record = TrafficWriter(path, bounds)
    told: list[Dropped] = []
    record.on_dropped = told.append
    for entry in entries:
        record.put(entry)
    record.close()
    return told


def _sums(path: Path, wanted: Filter) -> list[list[object]]:
    """Return the sums by host and by model, but for the times, which are not kept."""
    models = Filter(models=True)
    with TrafficReader(path) as reader:
        hosts = totals.by_host(reader.by_host(wanted, NOW), reader.dropped_hosts(wanted))
        found = totals.by_model(reader.rows(models, NOW), reader.dropped_models(models))
    for host in hosts:
        host.times = []
    return [
        sorted(hosts, key=lambda each: each.host),
        sorted(found, key=lambda each: each.model),
    ]


@pytest.mark.parametrize("wanted", [Filter(), Filter(host="h[12].*")], ids=repr)
def test_sums_are_the_same_whatever_was_dropped(tmp_path: Path, wanted: Filter) -> None:
    """Sums by host and by model count each entry once, whether it was dropped or not."""
    whole, bounded = tmp_path / "whole.db", tmp_path / "bounded.db"
    _write(whole, [_entry(number) for number in range(500)], Bounds())
    _write(bounded, [_entry(number) for number in range(500)], Bounds(rows=50))
    with TrafficReader(bounded) as reader:
        assert len(list(reader.rows(Filter(), NOW))) <= 50
    assert _sums(bounded, wanted) == _sums(whole, wanted)


def test_what_was_dropped_is_told_with_its_times(tmp_path: Path) -> None:
    """Each time, the writer tells how many entries it dropped, and the database has the whole."""
    path = tmp_path / "run.db"
    told = _write(path, [_entry(number) for number in range(500)], Bounds(rows=50))
    with TrafficReader(path) as reader:
        first = next(reader.rows(Filter(), NOW))
        assert reader.counts()["dropped"] == sum(each.entries for each in told) == first.id - 1
        assert reader.dropped_until() == told[-1].until == first.time - 1
    assert told[0].since == NOW
    with closing(sqlite3.connect(path)) as db:
        meta = dict(db.execute("SELECT name, value FROM meta"))
    assert meta["dropped_since"] == NOW * 1000
    assert meta["dropped_until"] == told[-1].until * 1000


def test_sums_of_a_condition_that_they_can_not_answer_are_left_out(tmp_path: Path) -> None:
    """Of what was dropped, only the host is known."""
    path = tmp_path / "run.db"
    _write(path, [_entry(number) for number in range(500)], Bounds(rows=50))
    with TrafficReader(path) as reader:
        assert reader.dropped_hosts(Filter())
        for wanted in (Filter(denied=True), Filter(since=NOW), Filter(kinds=("dns",), host="h1.*")):
            assert reader.dropped_hosts(wanted) == []
        assert reader.dropped_models(Filter(models=True))
        assert reader.dropped_models(Filter(models=True, host="h1.*")) == []


def test_an_entry_in_progress_stays_and_is_counted_once(tmp_path: Path) -> None:
    """An entry in progress is not dropped: it will be written again, and would be counted twice."""
    path = tmp_path / "run.db"
    record = TrafficWriter(path, Bounds(rows=50))
    going_on = _entry(0)
    going_on.host, going_on.total, going_on.kind, going_on.usage = "on.test", -1.0, "request", None
    record.put(going_on)
    for number in range(1, 500):
        record.put(_entry(number))
    going_on.total = 1.0
    record.put(going_on)
    for number in range(500, 1000):
        record.put(_entry(number))
    record.close()
    hosts, _ = _sums(path, Filter())
    assert [each.requests for each in hosts if each.host == "on.test"] == [1]  # type: ignore[attr-defined]


def test_hosts_and_models_beyond_a_number_are_summed_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that asks for names without end keeps those with requests, and fills no disk."""
    monkeypatch.setattr(room, "MAX_HOSTS", 3)
    monkeypatch.setattr(room, "MAX_MODELS", 2)
    entries: list[TrafficEntry] = []
    for number in range(400):
        asked = TrafficEntry("dns", NOW)
        asked.host, asked.total = f"h{number}.test", 0.1
        request = TrafficEntry("request", NOW)
        request.host, request.total, request.sent = f"r{number % 2}.test", 0.1, 3
        request.usage = {"provider": "p", "model": f"m{number}", "input_tokens": 2}
        entries += asked, request
    path = tmp_path / "run.db"
    _write(path, entries, Bounds(rows=20))
    with TrafficReader(path) as reader:
        (dropped, rows) = reader.counts()["dropped"], list(reader.rows(Filter(), NOW))
        hosts = {each.host: each for each in reader.dropped_hosts(Filter())}
        models = {each.model: each for each in reader.dropped_models(Filter(models=True))}
    assert dropped + len(rows) == 800
    assert len(hosts) == 4
    assert {"r0.test", "r1.test", "*"} < hosts.keys()
    assert sum(each.requests + each.dns for each in hosts.values()) == dropped
    assert sum(each.sent for each in hosts.values()) == 3 * sum(
        each.requests for each in hosts.values()
    )
    assert len(models) == 3
    requests = sum(each.requests for each in models.values())
    assert sum(each.tokens["input_tokens"] for each in models.values()) == 2 * requests


def test_nothing_to_drop_changes_nothing(tmp_path: Path) -> None:
    """Where all rows are in progress, none is dropped and none counted."""
    path = tmp_path / "run.db"
    entry = _entry(1)
    entry.total = -1.0
    _write(path, [entry], Bounds())
    with closing(sqlite3.connect(path)) as db:
        assert drop_through(db, 9) is None
    with TrafficReader(path) as reader:
        assert reader.dropped_until() is None


@pytest.mark.parametrize("length", [10, 60_000])
def test_a_flood_keeps_the_file_within_its_bound(tmp_path: Path, length: int) -> None:
    """The database and its log together stay within the bound, give or take a transaction."""
    path = tmp_path / "run.db"
    limit = 4 << 20
    record = TrafficWriter(path, Bounds(bytes=limit))
    largest = 0
    for number in range(30_000 if length == 10 else 1_500):
        entry = TrafficEntry("request", NOW)
        entry.host, entry.path, entry.total = f"h{number}.test", "/" + "x" * length, 0.1
        record.put(entry)
        if number % 100 == 0:
            largest = max(largest, sum(each.stat().st_size for each in tmp_path.iterdir()))
    record.close()
    assert largest < 1.5 * limit
    assert path.stat().st_size < 1.2 * limit
