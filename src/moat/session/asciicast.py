"""A journal as an asciicast v3 recording (docs.asciinema.org/manual/asciicast/v3). Pure."""

from __future__ import annotations

import codecs
import json
from typing import TYPE_CHECKING, Any

from moat.session.journal_index import Appended, Resized, Stream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from moat.session.journal_index import Record
    from moat.spec import TerminalSize


def events(
    records: Iterable[Record], read: Callable[[Stream, int, int], bytes]
) -> Iterator[tuple[float, bytes | TerminalSize, Stream]]:
    """(seconds since the epoch, output or a new size, stream) in the order of the index.

    `read` gives the bytes of a stream between two offsets.
    """
    ends = dict.fromkeys(Stream, 0)
    for record in records:
        match record:
            case Appended(time, stream, end):
                data = read(stream, ends[stream], end)
                ends[stream] = end
                if data:
                    yield time, data, stream
            case Resized(time, size, _):
                if time:
                    yield time, size, Stream.STDOUT


def lines(
    header: dict[str, Any],
    size: TerminalSize,
    recorded: Iterable[tuple[float, bytes | TerminalSize]],
) -> Iterator[str]:
    """The recording, a line at a time; times in it are relative to the event before."""
    yield json.dumps({"version": 3, "term": {"cols": size.columns, "rows": size.rows}, **header})
    # A character may be cut by two reads; a recording holds text.
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    before: float | None = None
    for time, what in recorded:
        interval = 0.0 if before is None else max(0.0, time - before)
        before = time
        if isinstance(what, bytes):
            yield json.dumps([round(interval, 6), "o", decoder.decode(what)], ensure_ascii=False)
        else:
            yield json.dumps([round(interval, 6), "r", f"{what.columns}x{what.rows}"])
