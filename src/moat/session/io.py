"""A program's terminal or pipes, as its session reads and writes them.

`ProgramIO` is what an engine hands over for each session. Whoever implements it decides how bytes
travel; the session decides when. `TerminalIO` and `PipeIO` serve engines that have the descriptors
themselves: output is moved by splice(2), so at no moment is a byte only in the memory of a process
that may be killed.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import termios
from contextlib import suppress
from enum import Enum, auto
from typing import TYPE_CHECKING, Final, Protocol

from moat.session.journal.index import Stream

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Mapping

    from moat.spec import PixelSize, TerminalSize

# A terminal gives at most 4 KiB per read; a pipe holds sixteen such pieces (pipe(7)).
_READS_PER_PIPE: Final = 16
_PIPE_BYTES: Final = 1 << 16


class Moved(Enum):
    """The outcome of one move of output into the journal."""

    MORE = auto()
    """More may be there to move now."""
    NOTHING_NOW = auto()
    """The program has written nothing else yet."""
    CLOSED = auto()
    """No process can write to this stream any more."""


class JournalWriter(Protocol):
    """The writing half of a journal."""

    def take(self, stream: Stream, pipe: int) -> int:
        """Move what is in `pipe` into the journal and return the number of bytes, 0 at its end.

        Raises `BlockingIOError` when the pipe is empty, and `OSError` when the disk is full: the
        bytes are still in the pipe then.
        """
        ...


class ProgramIO(Protocol):
    """The input and output of one program."""

    @property
    def tty(self) -> bool:
        """Tell whether the program has a terminal; all of its output is `Stream.STDOUT` then."""
        ...

    @property
    def streams(self) -> tuple[Stream, ...]:
        """The output streams that may still have something to move."""
        ...

    def resume_reading(self, readable: Callable[[Stream], object]) -> None:
        """Call `readable` with a stream whenever it has output, until `pause_reading`."""
        ...

    def pause_reading(self) -> None:
        """Leave further output with the program, which waits once its terminal or pipe is full."""
        ...

    def move_to_journal(self, stream: Stream, journal: JournalWriter) -> Moved:
        """Move one bounded piece of output. Raises `OSError` when the journal can't take it."""
        ...

    def write(self, data: memoryview) -> int:
        """Pass input to the program and return how many bytes it has room for.

        Input that no process will ever read counts as passed.
        """
        ...

    def call_when_writable(self, writable: Callable[[], None] | None) -> None:
        """Call `writable` whenever there is room for input; `None` ends that."""
        ...

    def close_stdin(self) -> None:
        """Let the program read end of file behind its input so far."""
        ...

    def resize(self, size: TerminalSize, pixels: PixelSize) -> None:
        """Set the size of the program's terminal (SIGWINCH tells the program)."""
        ...

    def close(self) -> None:
        """Release the descriptors. The program keeps its own and goes on."""
        ...


class TerminalIO:
    """A program behind a pty whose output travels over a pipe.

    The engine holds both ends of the pipe, too: what lies in it survives this process.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, terminal: int, pipe_read: int, pipe_write: int
    ) -> None:
        """Take over the descriptors: the pty's master and the ends of the pipe, all non-blocking."""
        self._loop = loop
        self._terminal = terminal
        self._pipe_read = pipe_read
        self._pipe_write = pipe_write
        self._hung_up = False
        """Every process has closed its side of the terminal."""
        self._reading = False
        self._waiting = False

    @property
    def tty(self) -> bool:
        return True

    @property
    def streams(self) -> tuple[Stream, ...]:
        return (Stream.STDOUT,)

    def resume_reading(self, readable: Callable[[Stream], object]) -> None:
        if not self._reading and not self._hung_up:
            self._reading = True
            self._loop.add_reader(self._terminal, readable, Stream.STDOUT)

    def pause_reading(self) -> None:
        if self._reading:
            self._reading = False
            self._loop.remove_reader(self._terminal)

    def move_to_journal(self, stream: Stream, journal: JournalWriter) -> Moved:
        outcome = self._fill_pipe()
        with suppress(BlockingIOError):  # the pipe is empty, too
            journal.take(stream, self._pipe_read)
        return outcome

    def _fill_pipe(self) -> Moved:
        if self._hung_up:
            return Moved.CLOSED
        try:
            for _ in range(_READS_PER_PIPE):
                os.splice(self._terminal, self._pipe_write, _PIPE_BYTES, flags=os.SPLICE_F_NONBLOCK)
        except BlockingIOError:
            return Moved.NOTHING_NOW
        except OSError as exc:
            if exc.errno != errno.EIO:
                raise
            self.pause_reading()
            self._hung_up = True
            return Moved.CLOSED
        return Moved.MORE

    def write(self, data: memoryview) -> int:
        try:
            return os.write(self._terminal, data)
        except BlockingIOError:
            return 0
        except OSError as exc:
            if exc.errno != errno.EIO:
                raise
            return len(data)

    def call_when_writable(self, writable: Callable[[], None] | None) -> None:
        self._waiting = _watch_writable(self._loop, self._terminal, writable, self._waiting)

    def close_stdin(self) -> None:
        """Type the character that means end of file, where the terminal is in canonical mode.

        A terminal has no other end; in raw mode the program has to be told in its own way.
        """
        attributes = termios.tcgetattr(self._terminal)
        local_flags, characters = attributes[3], attributes[6]
        if local_flags & termios.ICANON:
            os.write(self._terminal, characters[termios.VEOF])

    def resize(self, size: TerminalSize, pixels: PixelSize) -> None:
        packed = struct.pack("HHHH", size.rows, size.columns, pixels.width, pixels.height)
        fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, packed)

    def close(self) -> None:
        self.pause_reading()
        self.call_when_writable(None)
        for fd in (self._terminal, self._pipe_read, self._pipe_write):
            os.close(fd)


class PipeIO:
    """A program with pipes for standard output, error and, where it takes input, standard input."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        outputs: Mapping[Stream, int],
        stdin: int | None,
        *,
        stdin_closed: Callable[[], None],
    ) -> None:
        """Take over the descriptors, all non-blocking.

        `stdin_closed` is called once, after this side of standard input was closed: whoever else
        holds that end of the pipe must let go of it, or the program never reads end of file.
        """
        self._loop = loop
        self._outputs = dict(outputs)
        self._stdin = stdin
        self._stdin_closed = stdin_closed
        self._reading: set[Stream] = set()
        self._waiting = False

    @property
    def tty(self) -> bool:
        return False

    @property
    def streams(self) -> tuple[Stream, ...]:
        return tuple(self._outputs)

    def resume_reading(self, readable: Callable[[Stream], object]) -> None:
        for stream in self._outputs.keys() - self._reading:
            self._reading.add(stream)
            self._loop.add_reader(self._outputs[stream], readable, stream)

    def pause_reading(self) -> None:
        for stream in tuple(self._reading):
            self._stop_reading(stream)

    def _stop_reading(self, stream: Stream) -> None:
        if stream in self._reading:
            self._reading.discard(stream)
            self._loop.remove_reader(self._outputs[stream])

    def move_to_journal(self, stream: Stream, journal: JournalWriter) -> Moved:
        if stream not in self._outputs:
            return Moved.CLOSED
        try:
            if journal.take(stream, self._outputs[stream]):
                return Moved.MORE
        except BlockingIOError:
            return Moved.NOTHING_NOW
        self._stop_reading(stream)
        os.close(self._outputs.pop(stream))
        return Moved.CLOSED

    def write(self, data: memoryview) -> int:
        if self._stdin is None:
            return len(data)
        try:
            return os.write(self._stdin, data)
        except BlockingIOError:
            return 0
        except BrokenPipeError:
            self.close_stdin()
            return len(data)

    def call_when_writable(self, writable: Callable[[], None] | None) -> None:
        if self._stdin is not None:
            self._waiting = _watch_writable(self._loop, self._stdin, writable, self._waiting)

    def close_stdin(self) -> None:
        if self._stdin is not None:
            self.call_when_writable(None)
            os.close(self._stdin)
            self._stdin = None
            self._stdin_closed()

    def resize(self, size: TerminalSize, pixels: PixelSize) -> None:
        """Do nothing: pipes have no size."""

    def close(self) -> None:
        self.pause_reading()
        self.call_when_writable(None)
        for fd in (*self._outputs.values(), self._stdin):
            if fd is not None:
                os.close(fd)
        self._outputs.clear()
        self._stdin = None


def _watch_writable(
    loop: asyncio.AbstractEventLoop,
    fd: int,
    writable: Callable[[], None] | None,
    watched: bool,
) -> bool:
    """Start or end watching `fd`; return whether it is watched now."""
    if writable is not None:
        loop.add_writer(fd, writable)
    elif watched:
        loop.remove_writer(fd)
    return writable is not None
