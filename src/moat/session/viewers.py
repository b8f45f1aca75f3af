"""Those who watch a session, each a reader at its own pace.

A `StreamViewer` gets every byte of the journal in order, however slow it is. A `TerminalViewer` gets
what its terminal needs to show the screen: the program's own output while it keeps up and has the
program's size, and else a picture painted from the screen model. Neither ever makes another wait.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from moat.session.journal.index import Stream
from moat.session.terminal.reset import CANCEL
from moat.wire import frames
from moat.wire.frames import FrameType

if TYPE_CHECKING:
    import asyncio

    from moat.session.journal.journal import Journal
    from moat.session.terminal.screen import Screen
    from moat.spec import TerminalSize

# What a terminal may have on the way before it counts as behind: more than a full repaint of a
# large screen, and little enough that a slow line sees the present again within a second or so.
BEHIND_BYTES: Final = 256 * 1024
# The same for streams: enough to keep a socket busy, nothing else needs to be in memory.
STREAM_QUEUE_BYTES: Final = 256 * 1024
CHUNK_BYTES: Final = 64 * 1024
# Painted viewers (another size than the program's) get this many pictures a second.
PICTURES_PER_SECOND: Final = 30


class Sink(Protocol):
    """Where a viewer's bytes go; `session.outbox` with or without frames around them."""

    @property
    def queued(self) -> int: ...
    def output(self, stream: Stream, data: bytes, /) -> None: ...


class StreamViewer:
    """Every byte, from its offsets on."""

    def __init__(self, sink: Sink, journal: Journal, offsets: dict[Stream, int]) -> None:
        self._sink = sink
        self._journal = journal
        self.offsets = {
            stream: max(offset, journal.start(stream)) for stream, offset in offsets.items()
        }

    @property
    def caught_up(self) -> bool:
        """Everything that the journal has was written to the peer's socket."""
        return self._sink.queued == 0 and all(
            self._journal.ends[stream] <= offset for stream, offset in self.offsets.items()
        )

    def pump(self) -> None:
        """Sends on until the peer is slower than the journal, or there is nothing more."""
        moved = True
        while moved:
            moved = False
            for stream, offset in self.offsets.items():
                if self._sink.queued >= STREAM_QUEUE_BYTES:
                    return
                if offset < self._journal.ends[stream]:
                    offset = max(offset, self._journal.start(stream))  # noqa: PLW2901  trimmed
                    data = self._journal.read(stream, offset, CHUNK_BYTES)
                    self._sink.output(stream, data)
                    self.offsets[stream] = offset + len(data)
                    moved = True


class TerminalViewer:
    """A terminal that shows the screen."""

    def __init__(
        self, sink: Sink, screen: Screen, size: TerminalSize, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._sink = sink
        self._screen = screen
        self._loop = loop
        self._behind = False
        self._paused = False
        self._picture: list[bytes] | None = None
        """The rows last painted, where the viewer is painted."""
        self._resized = False
        """This terminal, or the program's, has another size: nobody knows what is on it now."""
        self._timer: asyncio.TimerHandle | None = None
        self.size = size

    @property
    def alternate(self) -> bool:
        """Whether the viewer's terminal is in its alternate screen."""
        return self._picture is not None or self._screen.alternate

    @property
    def paused(self) -> bool:
        """Whether the terminal is another's at the moment."""
        return self._paused

    @property
    def last_row(self) -> int:
        """The last row (from 0) on which something may stand: where the cursor is, at least."""
        return self._screen.cursor[1] if self.mirrors else self.size.rows - 1

    @property
    def mirrors(self) -> bool:
        """Whether the program's own output fits this terminal."""
        return self.size == self._screen.size

    def begin(self, *, scrollback: bool) -> None:
        self._repaint(scrollback=scrollback)

    def show(self, data: bytes) -> None:
        """Output that the screen has taken already."""
        if self._paused or self._behind:
            return
        if self._picture is not None or not self.mirrors:
            self._later()
        elif self._sink.queued + len(data) > BEHIND_BYTES:
            self._behind = True
        else:
            self._sink.output(Stream.STDOUT, data)

    def drained(self) -> None:
        """The terminal took all that was queued: one that was behind sees the present now."""
        if self._behind:
            self._behind = False
            self._repaint(scrollback=False)

    def refit(self) -> None:
        """The terminal's size or the program's has changed; painted soon, once for many changes."""
        self._resized = True
        self._later()

    def pause(self) -> None:
        self._paused = True
        self._cancel_timer()

    def resume(self) -> None:
        self._paused = False
        self.refresh()

    def refresh(self) -> None:
        """Somebody else has written on the terminal: paints everything again."""
        if not self._paused:
            self._picture = None
            self._repaint(scrollback=False)

    def close(self) -> None:
        self._paused = True
        self._cancel_timer()

    def _later(self) -> None:
        if self._timer is None and not self._paused:
            self._timer = self._loop.call_later(1 / PICTURES_PER_SECOND, self._on_timer)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _on_timer(self) -> None:
        self._timer = None
        if self._sink.queued > BEHIND_BYTES:
            self._behind = True
        elif self.mirrors or self._picture is None or self._resized:
            self._repaint(scrollback=False)
        else:
            self._paint_changes()

    def _repaint(self, *, scrollback: bool) -> None:
        """The whole screen, whatever the terminal shows now."""
        self._cancel_timer()
        self._resized = False
        if self.mirrors:
            leave = b"" if self._picture is None else b"\x1b[?1049l"
            self._picture = None
            self._write(CANCEL + leave + self._screen.restore(scrollback=scrollback))
        else:
            self._picture = []
            # No mode of the program's is set here: a viewer of another size looks on until it
            # types, and then it leads and is mirrored.
            self._write(CANCEL + b"\x1b[?1049h\x1b[m\x1b[r\x1b[2J")
            self._paint_changes()

    def _paint_changes(self) -> None:
        columns, rows = self.size.columns, self.size.rows
        picture = self._screen.rows_vt(0, columns, rows)
        before = self._picture or []
        out = bytearray()
        for number, row in enumerate(picture):
            if number >= len(before) or before[number] != row:
                # Erased before it is written: behind a full row the cursor still stands on its
                # last cell, and erasing from there would take that with it.
                out += b"\x1b[%d;1H\x1b[m\x1b[K%b\x1b[m" % (number + 1, row)
        self._picture = picture
        x, y = self._screen.cursor
        visible = b"h" if x < columns and y < rows and self._screen.cursor_visible else b"l"
        out += b"\x1b[%d;%dH\x1b[?25%b" % (min(y, rows - 1) + 1, min(x, columns - 1) + 1, visible)
        self._write(bytes(out))

    def _write(self, data: bytes) -> None:
        if not self._paused:
            self._sink.output(Stream.STDOUT, data)


class FrameSink:
    """Output as frames on an attached connection."""

    def __init__(self, outbox: _Writes) -> None:
        self._outbox = outbox

    @property
    def queued(self) -> int:
        return self._outbox.queued

    def output(self, stream: Stream, data: bytes) -> None:
        kind = FrameType.STDOUT if stream is Stream.STDOUT else FrameType.STDERR
        for start in range(0, len(data), frames.MAX_PAYLOAD):
            self._outbox.write(frames.encode(kind, data[start : start + frames.MAX_PAYLOAD]))


class _Writes(Protocol):
    @property
    def queued(self) -> int: ...
    def write(self, data: bytes | memoryview) -> None: ...
