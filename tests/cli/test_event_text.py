"""What events say on a line."""

from __future__ import annotations

from dataclasses import fields
from typing import get_args

import pytest

from moat import events
from moat.cli.event_text import describe
from moat.event_stream import as_json
from moat.events import Peer

SAMPLES = {"int": 3, "str": "text", "bool": True, "float": 1.5, "Peer": Peer(7, 8)}


def sample(kind: type) -> events.Event:
    values = {}
    for field in fields(kind):
        first = str(field.type).partition(" ")[0]
        values[field.name] = ("one", "two") if first.startswith("tuple") else SAMPLES[first]
    return kind(**values)


@pytest.mark.parametrize("kind", get_args(events.Event))
def test_every_event_has_words(kind: type) -> None:
    """No kind falls back on its fields; who did it stands at the end."""
    event = as_json(0.0, sample(kind))
    text = describe(event)
    assert text
    assert "=" not in text
    assert text.endswith(" (uid 7, pid 8)") == ("peer" in event)


def test_an_event_of_a_newer_supervisor() -> None:
    """Its fields are shown as they are."""
    assert describe({"time": "", "event": "new", "a": 1, "b": "c"}) == "a=1, b=c"


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (
            events.StateChanged("running", "stopped", "x", 4, "why"),
            "running -> stopped, exit code 4: why",
        ),
        (events.SupervisorStarted(3, "1.0", adopted=False), "moat 1.0, pid 3: starts the run"),
        (events.Denied("", "", 0, "", "many others", 5), "5 other denials"),
        (events.Denied("udp", "h", 0, "r", "no", 1), "udp h: no"),
        (events.PortConnected("", "", None, "", 5), "5 other connections"),
        (
            events.PortConnected("web", "::1", 1000, "nobody listens", 3),
            "web from ::1 by uid 1000 (3 times): nobody listens",
        ),
        (events.Fault("disk", ""), "disk: works again"),
        (
            events.SnapshotTaken(3, "asked", "good", 7, 2, "ab12"),
            "3 'good' (asked): 7 paths changed, 2 of them without their content, sha256 ab12",
        ),
        (
            events.SnapshotTaken(4, "end", "", 1, 0, "cd34"),
            "4 (end): 1 paths changed, sha256 cd34",
        ),
        (events.RestoreBegun("start", (), Peer(7, 8)), "to start: everything (uid 7, pid 8)"),
        (
            events.TrafficDropped(2, 0.0, 1.5),
            "2 entries, to 1970-01-01T00:00:01.500Z; their sums are kept",
        ),
    ],
)
def test_what_is_left_out_and_what_is_added(event: events.Event, words: str) -> None:
    """Parts that an event doesn't have leave no trace."""
    assert describe(as_json(0.0, event)) == words
