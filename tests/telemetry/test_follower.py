"""Spans that wait for a collector."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from moat.telemetry import follower
from moat.telemetry.follower import RETRY_S, Queue
from moat.telemetry.otlp import BATCH
from moat.telemetry.spans import Span

if TYPE_CHECKING:
    from collections.abc import Sequence


class Collector:
    """Takes spans while it is up."""

    def __init__(self) -> None:
        self.up = True
        self.taken: list[int] = []
        self.asked = 0

    def send(self, spans: Sequence[Span]) -> bool:
        self.asked += 1
        if self.up:
            self.taken += [each.id for each in spans]
        return self.up


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def collector() -> Collector:
    return Collector()


@pytest.fixture
def queue(collector: Collector, clock: Clock) -> Queue:
    return Queue(collector, clock)


def spans(*numbers: int) -> list[Span]:
    return [Span(1, number, 0, "GET", "client", 0.0, 1.0, {}) for number in numbers]


def test_spans_are_sent_in_their_order(queue: Queue, collector: Collector) -> None:
    """Many of them in several requests."""
    queue.add(spans(*range(BATCH + 1)))
    queue.flush()
    assert collector.taken == list(range(BATCH + 1))
    assert (collector.asked, queue.sent, queue.dropped) == (2, BATCH + 1, 0)


def test_nothing_is_sent_without_spans(queue: Queue, collector: Collector) -> None:
    """An empty request would be one for nothing."""
    queue.flush()
    assert collector.asked == 0


def test_a_collector_that_is_down_is_left_alone_for_a_while(
    queue: Queue, collector: Collector, clock: Clock
) -> None:
    """And gets everything once it is back."""
    collector.up = False
    queue.add(spans(1))
    queue.flush()
    queue.add(spans(2))
    queue.flush()
    assert collector.asked == 1
    collector.up = True
    clock.now += RETRY_S
    queue.flush()
    assert (collector.taken, queue.sent) == ([1, 2], 2)


def test_the_oldest_are_dropped_and_counted(
    queue: Queue, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The queue is bounded, however long the collector is down."""
    monkeypatch.setattr(follower, "MOST_WAITING", 2)
    queue.add(spans(1, 2, 3))
    queue.flush()
    assert (collector.taken, queue.dropped) == ([2, 3], 1)


def test_the_last_time_it_is_asked_once_more(queue: Queue, collector: Collector) -> None:
    """What it doesn't take then is dropped: the run has ended."""
    collector.up = False
    queue.add(spans(1))
    queue.flush()
    queue.flush(last=True)
    assert (collector.asked, queue.sent, queue.dropped) == (2, 0, 1)
