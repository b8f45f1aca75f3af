"""A run's events on disk."""

from __future__ import annotations

import json
from contextlib import closing
from typing import TYPE_CHECKING

from tests.full_disk import files_of_at_most

from moat.events import Denied, Event, Fault, Peer, ViewerDetached
from moat.runs.event_log import EventLog
from moat.runs.event_reader import EventReader

if TYPE_CHECKING:
    from pathlib import Path


def event(number: int) -> Event:
    return Denied("https", f"{number}.test", 443, "strict", "not allowed")


def hosts(reader: EventReader) -> list[str]:
    return [each["host"] for each in reader.read()]


def test_events_are_read_once_in_order(tmp_path: Path) -> None:
    """Whoever asks again gets what has come since."""
    path = tmp_path / "events.jsonl"
    reader = EventReader(path)
    assert reader.read() == []
    with closing(EventLog(path)) as log:
        log(0.0, event(1))
        log(0.0, event(2))
        assert hosts(reader) == ["1.test", "2.test"]
        assert hosts(reader) == []
        log(0.0, event(3))
        assert hosts(reader) == ["3.test"]


def test_an_event_says_when_what_and_who(tmp_path: Path) -> None:
    """In the public shape."""
    path = tmp_path / "events.jsonl"
    with closing(EventLog(path)) as log:
        log(1700000000.25, ViewerDetached("main", Peer(1000, 7), "detached"))
    assert EventReader(path).read() == [
        {
            "time": "2023-11-14T22:13:20.250Z",
            "event": "viewer_detached",
            "session": "main",
            "peer": {"uid": 1000, "pid": 7},
            "reason": "detached",
        }
    ]


def test_the_next_supervisor_goes_on(tmp_path: Path) -> None:
    """Half a line of one that was killed over it is taken away."""
    path = tmp_path / "events.jsonl"
    with closing(EventLog(path)) as log:
        log(0.0, event(1))
    with path.open("a") as file:
        file.write('{"time": "2026')
    with closing(EventLog(path)) as log:
        log(0.0, event(2))
    assert hosts(EventReader(path)) == ["1.test", "2.test"]


def test_the_log_is_bounded(tmp_path: Path) -> None:
    """The newest are kept, and a reader that keeps up misses none."""
    path = tmp_path / "events.jsonl"
    reader = EventReader(path)
    seen: list[str] = []
    with closing(EventLog(path, limit=1000)) as log:
        for number in range(100):
            log(0.0, event(number))
            seen += hosts(reader)
    assert seen == [f"{number}.test" for number in range(100)]
    assert sum(each.stat().st_size for each in tmp_path.iterdir()) <= 2000
    kept = hosts(EventReader(path))
    assert kept == seen[-len(kept) :]
    assert len(kept) >= 5


def test_a_full_disk_is_said_when_it_has_room_again(tmp_path: Path) -> None:
    """What was not recorded is counted, and no line is cut in two."""
    path = tmp_path / "events.jsonl"
    with closing(EventLog(path)) as log:
        log(0.0, event(1))
        with files_of_at_most(path.stat().st_size + 20):
            log(0.0, event(2))
            log(0.0, event(3))
        log(0.0, event(4))
    first, fault, last = [json.loads(line) for line in path.read_text().splitlines()]
    assert (first["host"], last["host"]) == ("1.test", "4.test")
    assert (fault["event"], fault["detail"]) == (Fault.KIND, "2 events were not recorded")
