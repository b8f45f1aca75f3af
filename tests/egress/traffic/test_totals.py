"""Sums of traffic by host and by language model."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from moat.egress.traffic import versions
from moat.egress.traffic.reader import Filter, TrafficReader
from moat.egress.traffic.schema import Row
from moat.egress.traffic.totals import HostTotal, by_host, by_model, percentile

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ROW = Row(
    id=1, kind="request", time=0.0, verdict="allowed", status=200, method="GET", scheme="https",
    host="a", port=443, address="", protocol="HTTP/1.1", rule="", error="", credential="", dns=-1.0,
    connect=-1.0, tls=-1.0, first_byte=0.1, total=1.0, sent=1, received=10, path="/", usage=None,
)  # fmt: skip


@pytest.fixture
def summed(tmp_path: Path) -> Callable[[list[Row]], list[HostTotal]]:
    """Sums of a record that has these rows."""

    def sums(rows: list[Row]) -> list[HostTotal]:
        path = tmp_path / "run.db"
        with closing(sqlite3.connect(path)) as db:
            versions.bring_up_to_date(db, 0)
            numbered = [row._replace(id=number) for number, row in enumerate(rows, 1)]
            db.executemany(f"INSERT INTO entries VALUES ({','.join('?' * len(ROW))})", numbered)
            db.commit()
        with TrafficReader(path) as reader:
            return by_host(reader.by_host(Filter(), 0.0))

    return sums


def test_hosts_are_summed_the_busiest_first(
    summed: Callable[[list[Row]], list[HostTotal]],
) -> None:
    """Times are those of completed requests, and a DNS question is no request."""
    rows = [
        ROW._replace(host="b"),
        *(ROW._replace(total=float(total)) for total in (9, 1, 5)),
        ROW._replace(verdict="denied", total=0.0),
        ROW._replace(verdict="failed", total=99.0),
        ROW._replace(kind="dns", total=0.0),
        ROW._replace(total=-1.0),
    ]
    first, second = summed(rows)
    assert (first.host, first.requests, first.denied, first.failed) == ("a", 6, 1, 1)
    assert first.dns == 1
    assert (first.sent, first.received) == (7, 70)
    assert first.times == [1_000_000, 5_000_000, 9_000_000]
    assert second.host == "b"
    assert first.as_json() == {
        "host": "a", "requests": 6, "dns": 1, "denied": 1, "failed": 1, "sent": 7, "received": 70,
        "durations": {"p50": 5.0, "p95": 9.0},
    }  # fmt: skip


def test_what_was_refused_is_denied_and_no_request(
    summed: Callable[[list[Row]], list[HostTotal]],
) -> None:
    """A refused packet is denied without being a request, and a tunnel counts as one."""
    (total,) = summed([ROW._replace(kind="refusal", verdict="denied"), ROW._replace(kind="tunnel")])
    assert (total.requests, total.dns, total.denied) == (1, 0, 1)


def test_what_was_dropped_is_added() -> None:
    """A host that has dropped rows alone is there as well."""
    sums = [HostTotal("a", requests=1, sent=2, times=[5]), HostTotal("b", requests=9)]
    dropped = [HostTotal("a", 2, 3, 4, 5, 6, 7), HostTotal("c", requests=1)]
    assert by_host(sums, dropped) == [
        HostTotal("b", requests=9),
        HostTotal("a", 3, 3, 4, 5, 8, 7, [5]),
        HostTotal("c", requests=1),
    ]


def test_tokens_are_summed_by_model() -> None:
    """A count that is missing or not a number counts nothing."""

    def used(**usage: object) -> Row:
        return ROW._replace(usage=json.dumps({"provider": "p"} | usage))

    rows = [
        used(model="small", input_tokens=1),
        used(model="big", input_tokens=100, output_tokens=20, cache_read_tokens=7),
        used(model="big", input_tokens=1, output_tokens=None, cache_write_tokens="x"),
        used(model="big"),
        used(),
    ]
    big, small, unknown = by_model(rows)
    assert (big.provider, big.model, big.requests, big.uncounted) == ("p", "big", 3, 1)
    assert list(big.tokens.values()) == [101, 7, 0, 20]
    assert list(small.tokens.values()) == [1, 0, 0, 0]
    assert unknown.as_json() == {
        "provider": "p", "model": None, "requests": 1, "uncounted": 1, "input_tokens": 0,
        "cache_read_tokens": 0, "cache_write_tokens": 0, "output_tokens": 0, "cost": None,
    }  # fmt: skip


def test_percentiles_are_values_that_occurred() -> None:
    """A percentile is a value that occurred, by nearest rank."""
    assert percentile([], 0.5) is None
    assert percentile([3_000_000], 0.95) == 3.0
    times = [number * 1_000_000 for number in range(100)]
    assert (percentile(times, 0.5), percentile(times, 0.95)) == (50.0, 95.0)
