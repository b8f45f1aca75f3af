"""The way of a run's events to their subscribers, and their public shape."""

from __future__ import annotations

from dataclasses import fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

from moat import timestamps
from moat.events import Peer

if TYPE_CHECKING:
    from collections.abc import Callable

    from moat.events import Event


class Subscriber(Protocol):
    """A receiver of events. It must not block, nor raise."""

    def __call__(self, at: float, event: Event, /) -> None:
        """`at`: seconds since the epoch."""
        ...


class Stream:
    """The one place through which a run's events pass."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock` returns seconds since the epoch."""
        self._clock = clock
        self._subscribers: list[Subscriber] = []

    def subscribe(self, subscriber: Subscriber) -> None:
        self._subscribers.append(subscriber)

    def emit(self, event: Event) -> None:
        """Give the event to every subscriber, with the same time."""
        at = self._clock()
        for subscriber in self._subscribers:
            subscriber(at, event)


def as_json(at: float, event: Event) -> dict[str, Any]:
    """Return the public shape of an event, as `moat events --json` prints it.

    The time is RFC 3339 in UTC, with milliseconds.
    """
    time = timestamps.text_of(datetime.fromtimestamp(at, UTC))
    content: dict[str, Any] = {"time": time, "event": event.KIND}
    for field in fields(event):
        value = getattr(event, field.name)
        content[field.name] = (
            {"uid": value.uid, "pid": value.pid} if isinstance(value, Peer) else value
        )
    return content
