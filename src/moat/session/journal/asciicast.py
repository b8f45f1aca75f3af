"""A journal's events as an asciicast v3 recording, for asciinema's players.

Pure. The format (https://docs.asciinema.org/manual/asciicast/v3/) is a line for the header, then a line
`[interval, code, data]` for each event. An interval is the number of seconds since the event before.
"""

from __future__ import annotations

import codecs
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from moat.session.journal.events import Written
from moat.session.journal.index import Resized, Stream

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from moat.session.journal.events import Event
    from moat.spec import TerminalSize


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """The facts about a recording as a whole."""

    size: TerminalSize
    """The terminal's size at the beginning."""
    command: str
    title: str
    exit_code: int | None = None
    """The last event of the recording, if it is known."""


def lines(recording: Recording, events: Iterable[Event]) -> Iterator[str]:
    """Yield the lines of the file. The recording begins with the first event.

    It holds text: bytes that aren't UTF-8 become U+FFFD, and a character that was written in two
    pieces is put together. Both streams become one, as on a terminal.
    """
    decoders = {stream: codecs.getincrementaldecoder("utf-8")("replace") for stream in Stream}
    before: float | None = None
    for event in events:
        if before is None:
            before = event.time
            yield _header(recording, began=before)
        match event:
            case Written(stream=stream, data=data):
                code, text = "o", decoders[stream].decode(data)
            case Resized(size=size):
                code, text = "r", f"{size.columns}x{size.rows}"
        if text:
            yield _line([round(max(0.0, event.time - before), 3), code, text])
            before = max(before, event.time)
    if before is None:
        yield _header(recording, began=0)
    for decoder in decoders.values():
        if rest := decoder.decode(b"", final=True):
            yield _line([0.0, "o", rest])
    if recording.exit_code is not None:
        yield _line([0.0, "x", str(recording.exit_code)])


def _header(recording: Recording, began: float) -> str:
    term = {"cols": recording.size.columns, "rows": recording.size.rows}
    about = {"command": recording.command, "title": recording.title}
    return _line({"version": 3, "term": term, "timestamp": int(began), **about})


def _line(value: object) -> str:
    return json.dumps(value, ensure_ascii=False) + "\n"
