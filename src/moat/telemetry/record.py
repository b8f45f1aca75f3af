"""The record of one run, read as spans: once, or again and again while it grows."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Self

from moat.egress.traffic.reader import Filter, Follower, TrafficReader, is_readable
from moat.runs.event_reader import EventReader
from moat.telemetry.spans import RunSpans

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moat.runs.store import Run, Store
    from moat.telemetry.spans import Span


class Record:
    """Spans of a run, each once. A context manager that closes the run's database."""

    def __init__(self, store: Store, run: Run) -> None:
        self._folder = store.folder(run.id)
        self._spans = RunSpans(run.id)
        self._events = EventReader(self._folder.events)
        self._started: dict[str, dict[str, Any]] = {}
        """The events of further commands that have not ended, by their sessions."""
        self._stack = ExitStack()
        self._follower: Follower | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def news(self) -> Iterator[Span]:
        """Yield what was completed since the last call."""
        for event in self._events.read():
            session = str(event.get("session", ""))
            if event["event"] == "exec_started":
                self._started[session] = event
            elif event["event"] == "exec_ended" and session in self._started:
                yield self._spans.command(self._started.pop(session), event)
        if self._follower is None and is_readable(self._folder.database):
            reader = self._stack.enter_context(TrafficReader(self._folder.database))
            self._follower = Follower(reader, Filter())
        if self._follower is not None:
            for row in self._follower.news(time.time()):
                if not row.in_progress:
                    yield from self._spans.of_row(row)

    def end(self, run: Run) -> Iterator[Span]:
        """Yield what was not completed, and last the run itself, once it has ended."""
        if self._follower is not None:
            for row in self._follower.rest(time.time()):
                yield from self._spans.of_row(row)
        yield self._spans.run(run)
