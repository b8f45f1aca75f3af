"""The viewers of a session, each a reader at its own pace.

A `StreamViewer` gets every byte of the journal in order, however slow it is. A `TerminalViewer` gets
what its terminal needs to show the screen: the program's own output while it keeps up and has the
program's size, otherwise a picture painted from the screen model. No viewer makes another wait.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from moat.session.journal.index import Stream
from moat.session.pictures import Picture
from moat.session.terminal.reset import CANCEL, NO_MARGINS, reset_sequence
from moat.spec import PixelSize
from moat.wire import frames
from moat.wire.frames import FrameType

if TYPE_CHECKING:
    import asyncio

    from moat.session.journal.journal import Journal
    from moat.session.terminal.screen import Screen
    from moat.spec import TerminalSize

# The title that a viewer's terminal had goes on its stack, and comes back in the end (xterm's XTWINOPS
# 22 and 23).
PUSH_TITLE, POP_TITLE = b"\x1b[22;0t", b"\x1b[23;0t"

# A terminal counts as behind when more than this is on its way: more than a full repaint of a large
# screen, and little enough that a slow line shows the present again within a second or so.
BEHIND_BYTES: Final = 256 * 1024
# The same for streams: enough to keep a socket busy. The rest stays in the journal.
STREAM_QUEUE_BYTES: Final = 256 * 1024
CHUNK_BYTES: Final = 64 * 1024
# Painted viewers, whose size is not the program's, get this many pictures a second.
PICTURES_PER_SECOND: Final = 30


class Sink(Protocol):
    """The destination of a viewer's bytes: a queue that the kernel empties as the peer reads."""

    @property
    def queued(self) -> int: ...
    def output(self, stream: Stream, data: bytes, /) -> None: ...


class StreamViewer:
    """A viewer that gets every byte, from its offsets on."""

    def __init__(self, sink: Sink, journal: Journal, offsets: dict[Stream, int]) -> None:
        self._sink = sink
        self._journal = journal
        self.offsets = {
            stream: max(offset, journal.start(stream)) for stream, offset in offsets.items()
        }

    @property
    def caught_up(self) -> bool:
        """Tell whether the peer's socket has taken everything that is in the journal."""
        return self._sink.queued == 0 and all(
            self._journal.ends[stream] <= offset for stream, offset in self.offsets.items()
        )

    def pump(self) -> None:
        """Send until the peer is slower than the journal, or there is nothing more."""
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
    """A viewer whose terminal shows the screen, and on its last row what Moat has to say."""

    def __init__(
        self, sink: Sink, screen: Screen, size: TerminalSize, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._sink = sink
        self._screen = screen
        self._loop = loop
        self._behind = False
        self._paused = False
        self._picture: Picture | None = None
        """The picture painted last; `None` where the program's own output is passed on."""
        self._apart = False
        """Pictures are on the terminal's alternate screen, where nothing of the program's modes is."""
        self._modes = b""
        """The modes that were set last beside a picture of the program's size."""
        self._status = ""
        self._resized = False
        """This terminal's size, or the program's, has changed: what the terminal shows is unknown."""
        self._timer: asyncio.TimerHandle | None = None
        self.size = size
        self.pixels = PixelSize()
        self.may_type = True

    @property
    def alternate(self) -> bool:
        """Tell whether the viewer's terminal is in its alternate screen."""
        return self._apart or self._screen.alternate

    @property
    def paused(self) -> bool:
        """Tell whether another program has the terminal at the moment."""
        return self._paused

    @property
    def last_row(self) -> int:
        """The last row, from 0, that may show something: the cursor's, at least."""
        if not self.mirrors:
            return self.size.rows - 1
        rows = self._screen.rows_vt(0, self.size.columns, self.size.rows)
        return max(self._screen.cursor[1], *(y for y, row in enumerate(rows) if row), 0)

    def farewell(self) -> bytes:
        """Return what turns off the program's modes and moves below what it has shown.

        While the viewer is paused, its terminal is another program's already.
        """
        if self._paused:
            return b""
        covered = self._picture is not None and not self._apart
        uncover = self._screen.restore(scrollback=False) if covered else b""
        below = (
            b"" if self.alternate else b"\x1b[%d;1H\r\n" % min(self.size.rows, self.last_row + 1)
        )
        reset = reset_sequence(alternate=self.alternate) + self._screen.undo_modes()
        return CANCEL + uncover + reset + below + POP_TITLE

    @property
    def mirrors(self) -> bool:
        """Tell whether the program's own output fits this terminal."""
        return self.size == self._screen.size

    def begin(self, *, scrollback: bool) -> None:
        """Paint the screen, and the lines above it with `scrollback`."""
        self._repaint(scrollback=scrollback)

    def show(self, data: bytes) -> None:
        """Pass on output that is in the journal already, and that the screen takes next."""
        if self._paused or self._behind:
            return
        if self._picture is not None or not self.mirrors:
            self._later()
        elif self._sink.queued + len(data) > BEHIND_BYTES:
            self._behind = True
        else:
            self._sink.output(Stream.STDOUT, data)

    def show_status(self, text: str) -> None:
        """Show lines of Moat's own on the last rows; an empty text takes them away.

        Meanwhile the terminal is painted: the program's own output would tear the row, or scroll it
        into the scrollback.
        """
        before, self._status = self._status, text
        if text == before or self._paused or self._behind or self._resized:
            return  # or it is painted soon
        if not text and not self._apart:
            self.refresh()
        else:
            self._paint_changes()

    def drained(self) -> None:
        """Repaint a terminal that was behind, now that it has taken all that was queued."""
        if self._behind:
            self._behind = False
            self._repaint(scrollback=False)

    def refit(self) -> None:
        """Repaint soon, once for many changes: the terminal's size or the program's has changed."""
        self._resized = True
        self._later()

    def pause(self) -> None:
        """Leave the terminal alone until `resume`."""
        self._paused = True
        self._cancel_timer()

    def resume(self) -> None:
        self._paused = False
        self.refresh()

    def refresh(self) -> None:
        """Paint everything again: another program has written on the terminal."""
        if not self._paused:
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
        elif self._picture is None or self._resized:
            self._repaint(scrollback=False)
        else:
            self._paint_changes()

    def _repaint(self, *, scrollback: bool) -> None:
        """Paint the whole screen, whatever the terminal shows now."""
        self._cancel_timer()
        self._resized = False
        self._picture = None
        if self.mirrors:
            leave = b"\x1b[?1049l" if self._apart else b""
            self._apart = False
            self._write(CANCEL + leave + self._screen.restore(scrollback=scrollback))
        else:
            # None of the program's modes is set: a viewer of another size only watches. Once it
            # types, it leads and gets the program's own output.
            plain = reset_sequence(alternate=False) + self._screen.undo_modes()
            self._apart = True
            self._write(CANCEL + plain + b"\x1b[?1049h\x1b[m\x1b[2J")
        if self._apart or self._status:
            self._paint_changes()

    def _paint_changes(self) -> None:
        if self._picture is None:
            self._picture = Picture(self._screen, self.size)
            self._modes = b""
        modes = b"" if self._apart else self._screen.input_modes()
        if modes != self._modes:
            self._write(CANCEL + modes + NO_MARGINS)
            self._modes = modes
        self._write(self._picture.changes(self._status))

    def act(self, sequence: bytes) -> None:
        """Have the terminal do something that shows nothing, unless another program has it."""
        self._write(sequence)

    def _write(self, data: bytes) -> None:
        if data and not self._paused:
            self._sink.output(Stream.STDOUT, data)


class FrameSink:
    """A sink that sends output as frames on an attached connection."""

    def __init__(self, queue: _Queue) -> None:
        self._queue = queue

    @property
    def queued(self) -> int:
        return self._queue.queued

    def output(self, stream: Stream, data: bytes) -> None:
        kind = FrameType.STDOUT if stream is Stream.STDOUT else FrameType.STDERR
        for start in range(0, len(data), frames.MAX_PAYLOAD):
            self._queue.write(frames.encode(kind, data[start : start + frames.MAX_PAYLOAD]))


class _Queue(Protocol):
    @property
    def queued(self) -> int: ...
    def write(self, data: bytes | memoryview) -> None: ...
