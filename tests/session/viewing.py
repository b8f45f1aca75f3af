"""Peers of viewers that take their bytes at the test's pace."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from moat.session.journal.index import Stream
from moat.session.terminal.screen import Screen
from moat.session.viewers import StreamViewer, TerminalViewer

if TYPE_CHECKING:
    from tests.manual_loop import ManualLoop

    from moat.session.session import Session
    from moat.spec import TerminalSize


class SlowSink:
    """Implements `session.viewers.Sink`: what is written waits until the peer takes it."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[Stream, bytes]] = deque()
        self.queued = 0
        self.taken = dict.fromkeys(Stream, b"")
        """All that the peer has, by stream."""

    def output(self, stream: Stream, data: bytes) -> None:
        self._waiting.append((stream, data))
        self.queued += len(data)

    def take(self, count: int | None = None) -> bytes:
        """Let the peer take `count` bytes, or all; return them."""
        got = b""
        while self._waiting and (count is None or len(got) < count):
            stream, data = self._waiting.popleft()
            room = len(data) if count is None else count - len(got)
            if data[room:]:
                self._waiting.appendleft((stream, data[room:]))
            self.taken[stream] += data[:room]
            got += data[:room]
        self.queued -= len(got)
        return got


class Reader:
    """A client without a terminal."""

    def __init__(self, session: Session, offsets: dict[Stream, int] | None = None) -> None:
        """Attach; without `offsets` for all that there is."""
        if offsets is None:
            offsets = dict.fromkeys([Stream.STDOUT] if session.tty else Stream, 0)
        self.sink = SlowSink()
        self.viewer = StreamViewer(self.sink, session.journal, offsets)
        self._session = session
        session.add(self.viewer)
        self.viewer.pump()

    def take(self, count: int | None = None) -> None:
        """Read; where all was read, the viewer sends on and the session hears of it."""
        if self.sink.take(count) and not self.sink.queued:
            self.viewer.pump()
            self._session.viewer_moved()

    def take_all(self) -> bytes:
        """Read to the end there is now; return all that was read so far from standard output."""
        while self.sink.queued:
            self.take()
        return self.sink.taken[Stream.STDOUT]


class Window:
    """A client with a terminal, which a `Screen` stands for."""

    def __init__(self, screen: Screen, size: TerminalSize, loop: ManualLoop) -> None:
        self.sink = SlowSink()
        self.screen = Screen(size, 100)
        self.viewer = TerminalViewer(self.sink, screen, size, loop)

    def take(self, count: int | None = None) -> bytes:
        """Draw; where all was drawn, the viewer hears of it."""
        data = self.sink.take(count)
        self.screen.feed(data)
        if data and not self.sink.queued:
            self.viewer.drained()
        return data

    def take_all(self) -> bytes:
        """Draw until nothing is on its way."""
        data = b""
        while self.sink.queued:
            data += self.take()
        return data

    def resize(self, size: TerminalSize) -> None:
        """Change the window; the session has to be told."""
        self.screen.resize(size)
        self.viewer.size = size

    @property
    def rows(self) -> list[str]:
        """The text that stands in the window."""
        self.take_all()
        return self.screen.text().split("\n")

    def shows(self, screen: Screen) -> bool:
        """Whether all of a screen is to be seen, or a part of it around the cursor."""
        columns, rows = self.screen.size.columns, self.screen.size.rows
        x, y = screen.cursor
        text = screen.text().split("\n")
        for top in range(max(0, y - rows + 1), min(y, max(0, len(text) - rows)) + 1):
            for left in range(max(0, x - columns + 1), x + 1):
                part = [row[left : left + columns].rstrip() for row in text[top : top + rows]]
                if self.rows == part + [""] * (rows - len(part)):
                    return True
        return False
