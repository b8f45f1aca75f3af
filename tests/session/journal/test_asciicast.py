"""The export as asciicast v3."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from moat.session.journal.asciicast import Recording, lines
from moat.session.journal.events import Event, Written
from moat.session.journal.index import Resized, Stream
from moat.spec import TerminalSize

OUT, ERR = Stream.STDOUT, Stream.STDERR
RECORDING = Recording(size=TerminalSize(80, 24), command="sh -c x", title="fix")


def cast(events: list[Event], recording: Recording = RECORDING) -> list[Any]:
    """Return the recording's lines, decoded; each must be a line of its own."""
    written = list(lines(recording, events))
    assert all(line.count("\n") == 1 and line.endswith("\n") for line in written)
    return [json.loads(line) for line in written]


def test_a_recording_has_header_output_sizes_and_the_exit() -> None:
    """Intervals count from the event before, and the first event is the beginning."""
    recording = Recording(size=TerminalSize(80, 24), command="sh", title="fix", exit_code=3)
    events = [
        Written(100.5, OUT, b"a\x1b[1m"),
        Resized(101.75, TerminalSize(90, 30), 5),
        Written(101.875, ERR, b"b\n"),
    ]
    assert cast(events, recording) == [
        {
            "version": 3,
            "term": {"cols": 80, "rows": 24},
            "timestamp": 100,
            "command": "sh",
            "title": "fix",
        },
        [0.0, "o", "a\x1b[1m"],
        [1.25, "r", "90x30"],
        [0.125, "o", "b\n"],
        [0.0, "x", "3"],
    ]


def test_an_empty_recording_is_a_header() -> None:
    """A run that wrote nothing can be exported, too."""
    assert [line["version"] for line in cast([])] == [3]


@given(st.text(st.characters(exclude_categories=["Cs"])), st.data())
def test_text_survives_any_cutting(text: str, data: st.DataObject) -> None:
    """A character that was cut by two writes is whole again."""
    left, events, time = text.encode(), list[Event](), 0.0
    while left:
        size = data.draw(st.integers(1, len(left)))
        events.append(Written(time, OUT, left[:size]))
        left, time = left[size:], time + 0.25
    body = cast(events)[1:]
    assert "".join(event[2] for event in body) == text


@given(st.lists(st.tuples(st.sampled_from(Stream), st.binary())))
def test_any_bytes_make_a_recording(pieces: list[tuple[Stream, bytes]]) -> None:
    """Bytes that are not UTF-8 are replaced, and so is an incomplete character at the end."""
    cast([Written(float(time), stream, data) for time, (stream, data) in enumerate(pieces)])
