"""The vocabulary of what happens to a run, and its public shape."""

from __future__ import annotations

import json
from typing import get_args

from moat.event_stream import Stream, as_json
from moat.events import Denied, Event, Peer, ViewerAttached


def test_every_subscriber_gets_every_event_with_one_time() -> None:
    """All subscribers get the same events in the same order, and each event has one time."""
    times = iter((1.0, 2.0))
    stream = Stream(lambda: next(times))
    first: list[tuple[float, Event]] = []
    second: list[tuple[float, Event]] = []
    stream.subscribe(lambda at, event: first.append((at, event)))
    stream.subscribe(lambda at, event: second.append((at, event)))
    asked, denied = Denied("https", "a", 443, "", ""), Denied("https", "b", 443, "", "")

    stream.emit(asked)
    stream.emit(denied)

    assert first == second == [(1.0, asked), (2.0, denied)]


def test_an_event_is_json_with_its_time_and_kind() -> None:
    """Every field is in the JSON, and so is the peer, with the uid and pid that the kernel tells."""
    event = ViewerAttached("main", Peer(uid=1000, pid=7), "/dev/pts/1", read_only=False)

    assert json.loads(json.dumps(as_json(1_767_225_600.25, event))) == {
        "time": "2026-01-01T00:00:00.250Z",
        "event": "viewer_attached",
        "session": "main",
        "peer": {"uid": 1000, "pid": 7},
        "tty": "/dev/pts/1",
        "read_only": False,
    }


def test_kinds_are_distinct() -> None:
    """A reader of JSON can tell every kind of event from every other."""
    kinds = [each.KIND for each in get_args(Event)]
    assert len(set(kinds)) == len(kinds)
