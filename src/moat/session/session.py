"""One session of a run: a command's output on its way to the journal, and from there to everybody.

The order is fixed: program → pipe → journal → screen → viewers. What is shown is always on disk
already. `_shown` is the offset up to which screen and viewers have been served; after a fault (a full
disk, a new supervisor) serving goes on from there.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import termios
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from moat.session.input import ProgramInput
from moat.session.journal.index import Stream
from moat.session.viewers import StreamViewer, TerminalViewer
from moat.spec import TerminalSize

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from moat.session.journal.journal import Journal
    from moat.session.terminal.filter import OutputFilter
    from moat.session.terminal.screen import Screen

Viewer = StreamViewer | TerminalViewer

# No terminal that a person looks at is smaller; a viewer that is does not set the program's size
# while others watch.
SMALLEST: Final = TerminalSize(columns=10, rows=3)
# A full disk tells nobody when it has room again.
DISK_RETRY_S: Final = 1.0
# One pass over the terminal moves at most this much, so that a flood leaves time for the rest.
PASS_BYTES: Final = 256 * 1024

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@dataclass(slots=True)
class Streams:
    """Descriptors of the program's terminal or pipes, as the shim handed them; owned by the session."""

    fds: dict[str, int] = field(default_factory=dict[str, int])

    def close(self, name: str) -> None:
        fd = self.fds.pop(name, None)
        if fd is not None:
            os.close(fd)


class Session:
    """Everything about a command's input and output while it lives, and until it is drained."""

    def __init__(
        self,
        name: str,
        journal: Journal,
        screen: Screen | None,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.name = name
        self.journal = journal
        self.screen = screen
        """The terminal's model; `None` where the program has no TTY."""
        self.viewers: dict[Viewer, None] = {}
        self.leader: TerminalViewer | None = None
        self.disk_full = False
        self.exit_code: int | None = None
        self.drained = False
        """The command has ended and all of its output is in the journal."""
        self.on_output: Callable[[], None] = _nothing
        self.on_drained: Callable[[], None] = _nothing
        self.on_disk: Callable[[bool], None] = _nothing_of
        self.on_stdin_closed: Callable[[], None] = _nothing
        self._loop = loop
        self._filter = None if screen is None else _output_filter(screen)
        self._streams = Streams()
        self._shown = journal.ends[Stream.STDOUT]
        self._announced = dict(journal.ends)
        self._reading: set[str] = set()
        self._input = self._input_to(None)
        self._held_back = False
        self._retry: asyncio.TimerHandle | None = None
        self._over = False

    @property
    def tty(self) -> bool:
        return self.screen is not None

    # --- the program's side ---

    def connect(self, fds: dict[str, int]) -> None:
        """Takes the descriptors from the shim and reads on."""
        self._streams = Streams(fds)
        self._input = self._input_to(fds.get("terminal" if self.tty else "stdin"))
        if self.tty:
            self._move_pipe()  # what the last supervisor left between terminal and journal
        self._read_on()

    def _input_to(self, fd: int | None) -> ProgramInput:
        return ProgramInput(self._loop, fd, tty=self.tty, on_end=self._close_stdin)

    def ended(self, exit_code: int | None) -> None:
        """The command is over; what it has written is drained, and then `on_drained` is called."""
        self.exit_code = exit_code
        self._over = True
        self._drain()

    def _read_on(self) -> None:
        for name in ("terminal", "stdout", "stderr"):
            if name in self._streams.fds and name not in self._reading:
                self._reading.add(name)
                read = self._terminal_readable if name == "terminal" else self._pipe_reader(name)
                self._loop.add_reader(self._streams.fds[name], read)

    def _stop_reading(self, name: str) -> None:
        if name in self._reading:
            self._reading.discard(name)
            self._loop.remove_reader(self._streams.fds[name])

    def _terminal_readable(self) -> None:
        self._read_terminal()

    def _read_terminal(self) -> bool:
        """One pass; False when the terminal has nothing more now, or the disk is full."""
        moved = 0
        more = True
        while more and moved < PASS_BYTES:
            count, more = self._fill_pipe()
            moved += count
            if not self._move_pipe():
                return False
        return more

    def _fill_pipe(self) -> tuple[int, bool]:
        """From the terminal into the pipe: how many bytes, and whether there may be more."""
        fds = self._streams.fds
        moved = 0
        try:
            # The terminal gives 4 KiB at a time; the pipe holds sixteen such pieces.
            for _ in range(16):
                moved += os.splice(
                    fds["terminal"], fds["pipe_write"], 1 << 16, flags=os.SPLICE_F_NONBLOCK
                )
        except BlockingIOError:
            return moved, False
        except OSError as exc:
            if exc.errno != errno.EIO:  # EIO: every program has closed its side
                raise
            self._stop_reading("terminal")
            return moved, False
        return moved, True

    def _move_pipe(self) -> bool:
        """From the pipe into the journal, and on to all; False when the disk is full."""
        try:
            self.journal.take(Stream.STDOUT, self._streams.fds["pipe_read"])
        except BlockingIOError:
            return True
        except OSError as exc:
            return self._disk_refused(exc)
        finally:
            self._serve()
        return True

    def _pipe_reader(self, name: str) -> Callable[[], None]:
        stream = Stream.STDOUT if name == "stdout" else Stream.STDERR

        def readable() -> None:
            self._read_pipe(name, stream)

        return readable

    def _read_pipe(self, name: str, stream: Stream) -> bool:
        """One pass; False when the pipe has nothing more now."""
        if not self.journal.trim(self._needed()):
            # A reader that gets every byte is that far behind: the program waits for it.
            self._hold_back()
            return False
        try:
            if self.journal.take(stream, self._streams.fds[name]) == 0:
                self._stop_reading(name)
                self._streams.close(name)
                return False
        except BlockingIOError:
            return False
        except OSError as exc:
            return self._disk_refused(exc)
        finally:
            self._serve()
        return True

    def _needed(self) -> dict[Stream, int]:
        needed: dict[Stream, int] = {}
        for viewer in self.viewers:
            if isinstance(viewer, StreamViewer):
                for stream, offset in viewer.offsets.items():
                    needed[stream] = min(offset, needed.get(stream, offset))
        return needed

    def _hold_back(self) -> None:
        self._held_back = True
        for name in tuple(self._reading):
            self._stop_reading(name)

    def _disk_refused(self, exc: OSError) -> bool:
        if exc.errno not in _FULL:
            raise exc
        if not self.disk_full:
            self.disk_full = True
            self.on_disk(True)
        self._hold_back()
        if self._retry is None:
            self._retry = self._loop.call_later(DISK_RETRY_S, self._try_again)
        return False

    def _try_again(self) -> None:
        self._retry = None
        self._held_back = False
        if self._over:
            self._drain()
        else:
            self._read_on()
            if self.tty and self._move_pipe() and self.disk_full:
                self._disk_has_room()

    def _disk_has_room(self) -> None:
        self.disk_full = False
        self.on_disk(False)

    def _drain(self) -> None:
        """After the end nobody writes any more: empty now is empty for good."""
        if self.drained:
            return
        if self.tty:
            while "terminal" in self._streams.fds and self._read_terminal():
                pass
        else:
            for name, stream in (("stdout", Stream.STDOUT), ("stderr", Stream.STDERR)):
                while name in self._streams.fds and self._read_pipe(name, stream):
                    pass
        if self._held_back:
            return
        self.drained = True
        for name in tuple(self._reading):
            self._stop_reading(name)
        self._input.close()
        for name in tuple(self._streams.fds):
            self._streams.close(name)
        self.on_drained()

    # --- serving ---

    def _serve(self) -> None:
        """Screen and viewers get what the journal has got."""
        if self.disk_full and not self._held_back:
            self._disk_has_room()
        if self.screen is None:
            for viewer in tuple(self.viewers):
                if isinstance(viewer, StreamViewer):
                    viewer.pump()
        else:
            self._show(self.screen)
        if self._announced != self.journal.ends:
            self._announced = dict(self.journal.ends)
            self.on_output()

    def _show(self, screen: Screen) -> None:
        while self._shown < self.journal.ends[Stream.STDOUT]:
            data = self.journal.read(Stream.STDOUT, self._shown, PASS_BYTES)
            self._shown += len(data)
            screen.feed(data)
            replies = screen.take_replies()
            if replies:
                self._input.write(replies, _nothing_of_int)
            visible = data if self._filter is None else self._filter.feed(data)
            for viewer in tuple(self.viewers):
                if isinstance(viewer, TerminalViewer):
                    viewer.show(visible)
                else:
                    viewer.pump()
        # A terminal's program waits for nobody: a stream viewer that far behind loses the oldest.
        self.journal.trim({})

    def viewer_moved(self) -> None:
        """A slow reader has caught up some: a program that was held back for it goes on."""
        if self._held_back and not self.disk_full:
            self._try_again()

    # --- viewers ---

    def add(self, viewer: Viewer, *, leads: bool = False) -> None:
        self.viewers[viewer] = None
        if leads and self.leader is None and isinstance(viewer, TerminalViewer):
            self.lead(viewer)

    def remove(self, viewer: Viewer) -> None:
        self.viewers.pop(viewer, None)
        if viewer is self.leader:
            self.leader = None
        self.viewer_moved()

    def lead(self, viewer: TerminalViewer) -> None:
        """The viewer that typed last sets the program's size."""
        if viewer is not self.leader:
            self.leader = viewer
            self.fit(viewer)

    def fit(self, viewer: TerminalViewer) -> None:
        """A viewer's terminal has a new size."""
        alone = len(self.viewers) <= 1
        tiny = viewer.size.columns < SMALLEST.columns or viewer.size.rows < SMALLEST.rows
        if viewer is self.leader and (alone or not tiny):
            self.resize(viewer.size)
        else:
            viewer.refit()

    def resize(self, size: TerminalSize) -> None:
        if self.screen is None or "terminal" not in self._streams.fds or size == self.screen.size:
            return
        packed = struct.pack("HHHH", size.rows, size.columns, 0, 0)
        fcntl.ioctl(self._streams.fds["terminal"], termios.TIOCSWINSZ, packed)
        self.journal.resized(size)
        self.screen.resize(size)
        for each in self.viewers:
            if isinstance(each, TerminalViewer):
                each.refit()

    # --- input ---

    def write(self, data: bytes, taken: Callable[[int], None]) -> None:
        """Queues bytes for the program; `taken` hears how many it took, and bounds the caller."""
        self._input.write(data, taken)

    def end_input(self) -> None:
        """No more input: the program reads end of file behind what is queued."""
        self._input.end()

    def _close_stdin(self) -> None:
        if "stdin" in self._streams.fds:
            self._streams.close("stdin")
            self.on_stdin_closed()

    def close(self) -> None:
        """Lets go of everything; the program and its shim live on."""
        if self._retry is not None:
            self._retry.cancel()
        for name in tuple(self._reading):
            self._stop_reading(name)
        self._input.close()
        for name in tuple(self._streams.fds):
            self._streams.close(name)
        self.journal.close()
        if self.screen is not None:
            self.screen.close()


def _output_filter(screen: Screen) -> OutputFilter:
    """A filter that is in the middle of whatever sequence the screen is in the middle of."""
    from moat.session.terminal.filter import OutputFilter  # noqa: PLC0415  for sessions with a TTY alone

    output_filter = OutputFilter()
    output_filter.feed(screen.unfinished())
    return output_filter


def _nothing() -> None:
    """Nobody listens yet."""


def _nothing_of(_value: bool) -> None:
    """Nobody listens yet."""


def _nothing_of_int(_count: int) -> None:
    """The emulator's answers are nobody's window."""
