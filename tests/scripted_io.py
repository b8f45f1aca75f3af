"""A program without a process: its output comes from the test, and its input goes there."""

from __future__ import annotations

import os
from collections import deque
from typing import TYPE_CHECKING

from moat.session.io import JournalWriter, Moved
from moat.session.journal.index import Stream

if TYPE_CHECKING:
    from collections.abc import Callable

    from moat.spec import PixelSize, TerminalSize


class ScriptedIO:
    """Implements `session.io.ProgramIO`."""

    def __init__(self, *, tty: bool = False, room: int = 1 << 20) -> None:
        """`room`: bytes of input that the program takes before it must `read`."""
        self._tty = tty
        self._outputs: dict[Stream, deque[bytes]] = {Stream.STDOUT: deque()}
        if not tty:
            self._outputs[Stream.STDERR] = deque()
        self._ended: set[Stream] = set()
        self._readable: Callable[[Stream], object] | None = None
        self._writable: Callable[[], None] | None = None
        self._room = room
        self.input = b""
        """The input that the program has been given and the test has not read yet."""
        self.input_ended = False
        self.size: TerminalSize | None = None
        self.pixels: PixelSize | None = None
        self.closed = False

    # --- the test's side ---

    def write_output(self, data: bytes, stream: Stream = Stream.STDOUT) -> None:
        """Let the program write."""
        self._outputs[stream].append(data)
        self._wake(stream)

    def end_output(self, stream: Stream = Stream.STDOUT) -> None:
        """Let the program close a stream."""
        self._ended.add(stream)
        self._wake(stream)

    def read(self, room: int = 1 << 20) -> bytes:
        """Let the program read its input, after which it takes `room` bytes more."""
        data, self.input = self.input, b""
        self._room = room
        if self._writable is not None:
            self._writable()
        return data

    def turn(self) -> None:
        """Report the output that is there, as a loop does again and again."""
        for stream in self.streams:
            self._wake(stream)

    @property
    def unread(self) -> int:
        """Bytes of output that the session has left with the program."""
        return sum(len(piece) for pieces in self._outputs.values() for piece in pieces)

    @property
    def reading(self) -> bool:
        """Whether the session takes output at the moment."""
        return self._readable is not None

    @property
    def watched(self) -> bool:
        """Whether the session waits for the program to read its input."""
        return self._writable is not None

    def _wake(self, stream: Stream) -> None:
        while self._readable is not None and self._outputs[stream]:
            self._readable(stream)
        if self._readable is not None and stream in self._ended:
            self._readable(stream)

    # --- the session's side ---

    @property
    def tty(self) -> bool:
        return self._tty

    @property
    def streams(self) -> tuple[Stream, ...]:
        return tuple(self._outputs)

    def resume_reading(self, readable: Callable[[Stream], object]) -> None:
        self._readable = readable

    def pause_reading(self) -> None:
        self._readable = None

    def move_to_journal(self, stream: Stream, journal: JournalWriter) -> Moved:
        waiting = self._outputs[stream]
        if not waiting:
            return Moved.CLOSED if stream in self._ended else Moved.NOTHING_NOW
        read, write = os.pipe2(os.O_NONBLOCK)
        try:
            os.write(write, waiting[0])
            # What the journal does not take, because it raises or the disk is nearly full, stays
            # the program's.
            count = journal.take(stream, read)
        finally:
            os.close(read)
            os.close(write)
        rest = waiting.popleft()[count:]
        if rest:
            waiting.appendleft(rest)
        return Moved.MORE

    def write(self, data: memoryview) -> int:
        taken = bytes(data[: self._room])
        self.input += taken
        self._room -= len(taken)
        return len(taken)

    def call_when_writable(self, writable: Callable[[], None] | None) -> None:
        self._writable = writable

    def close_stdin(self) -> None:
        self.input_ended = True

    def resize(self, size: TerminalSize, pixels: PixelSize) -> None:
        self.size, self.pixels = size, pixels

    def close(self) -> None:
        self.closed = True
        self._readable = self._writable = None
