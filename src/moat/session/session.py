"""A session of a run: a command's output on its way to the journal, and from there to its readers.

The order is fixed: program → journal → viewers and screen. Whatever is shown is on disk already.
`_shown` is the offset up to which screen and viewers have been served; after a fault (a full disk, a
new supervisor) serving goes on from there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from moat.session.checkpoints import Checkpoints
from moat.session.input import InputQueue
from moat.session.io import Moved
from moat.session.journal.index import Stream
from moat.session.journal.journal import DISK_FULL
from moat.session.leading import Leading
from moat.session.viewers import StreamViewer, TerminalViewer
from moat.spec import PixelSize

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from moat.session.clipboard import Clipboard
    from moat.session.io import ProgramIO
    from moat.session.journal.journal import Journal
    from moat.session.terminal.filter import OutputFilter
    from moat.session.terminal.filter_strings import OutputPolicy
    from moat.session.terminal.screen import Screen
    from moat.spec import TerminalSize

Viewer = StreamViewer | TerminalViewer

# A full disk gives no notice when it has room again.
DISK_RETRY_S: Final = 1.0
# One pass over a stream moves about this much, so that a flood leaves time for the rest.
PASS_BYTES: Final = 256 * 1024


class SessionListener(Protocol):
    """The owner of a session, which hears of its progress."""

    def session_wrote(self, session: Session) -> None:
        """The journal has new output."""
        ...

    def session_drained(self, session: Session) -> None:
        """The command has ended and all of its output is in the journal."""
        ...

    def session_typed(self, session: Session) -> None:
        """A user has typed something for the program."""
        ...

    def session_notified(self, session: Session, text: str) -> None:
        """The program has shown a notification, or has rung the bell, where the text is empty."""
        ...

    def session_reported(self, session: Session, status: str) -> None:
        """The program has reported its status (OSC 7501), of which this is the body."""
        ...

    def session_disk_full(self, session: Session, *, full: bool) -> None:
        """The journal's disk has become full, or has room again."""
        ...


class Session:
    """A command's input and output, from its start until the last byte is in the journal."""

    def __init__(  # noqa: PLR0913  what a session is composed of
        self,
        name: str,
        journal: Journal,
        screen: Screen | None,
        loop: asyncio.AbstractEventLoop,
        listener: SessionListener,
        *,
        policy: OutputPolicy | None = None,
        clipboard: Clipboard | None = None,
    ) -> None:
        """`screen`: the model of the terminal; `None` where the program has pipes.

        `policy` says what of the output reaches viewers' terminals, and `clipboard` what becomes of
        writes to theirs; without, there are none.
        """
        self.name = name
        self.journal = journal
        self.screen = screen
        self.viewers: dict[Viewer, None] = {}
        self.outputs = 0
        """The number of times that output has come, for clients that wait for quiet."""
        self._leading: Leading[TerminalViewer] = Leading()
        self._pixels = PixelSize()
        self.disk_full = False
        self.exit_code: int | None = None
        self.drained = False
        """The command has ended and all of its output is in the journal."""
        self._loop = loop
        self._listener = listener
        self._filter = None if screen is None else _output_filter(screen, policy)
        self._clipboard = clipboard
        self._io: ProgramIO | None = None
        self._input = InputQueue(None)
        self._shown = journal.ends[Stream.STDOUT]
        self._checkpoints = None if screen is None else Checkpoints(screen)
        journal.keep_screens(self._checkpoint)
        self._announced = dict(journal.ends)
        self._held_back = False
        """The program waits: for a full disk, or for a viewer that must get every byte."""
        self._retry: asyncio.TimerHandle | None = None
        self._over = False

    @property
    def tty(self) -> bool:
        return self.screen is not None

    # --- the program's side ---

    def connect(self, io: ProgramIO) -> None:
        """Take over the program's input and output and begin to read."""
        self._io = io
        self._input = InputQueue(io)
        for stream in io.streams:
            self._move(stream)  # what the last supervisor left between program and journal
        self._resume_reading()

    def ended(self, exit_code: int | None) -> None:
        """Drain what the command has written; `session_drained` follows when that is done."""
        self.exit_code = exit_code
        self._over = True
        self._drain()

    def _resume_reading(self) -> None:
        if self._io is not None and not self._held_back:
            self._io.resume_reading(self._read)

    def _read(self, stream: Stream) -> bool:
        """Make one pass; return whether there may be more to move now."""
        limit = self.journal.ends[stream] + PASS_BYTES
        more = True
        while more and self.journal.ends[stream] < limit:
            more = self._move(stream)
        return more

    def _move(self, stream: Stream) -> bool:
        if self._io is None:
            return False
        if not self.tty and not self.journal.trim(self._needed()):
            # A viewer that gets every byte is that far behind: the program waits for it.
            self._hold_back()
            return False
        try:
            return self._io.move_to_journal(stream, self.journal) is Moved.MORE
        except OSError as exc:
            if exc.errno not in DISK_FULL:
                raise
            self._disk_refused()
            return False
        finally:
            self._serve()

    def _needed(self) -> dict[Stream, int]:
        """Return the offset of the oldest byte that some viewer still has to get, by stream."""
        needed: dict[Stream, int] = {}
        for viewer in self.viewers:
            if isinstance(viewer, StreamViewer):
                for stream, offset in viewer.offsets.items():
                    needed[stream] = min(offset, needed.get(stream, offset))
        return needed

    def _hold_back(self) -> None:
        self._held_back = True
        if self._io is not None:
            self._io.pause_reading()

    def _disk_refused(self) -> None:
        if not self.disk_full:
            self.disk_full = True
            self._listener.session_disk_full(self, full=True)
        self._hold_back()
        if self._retry is None:
            self._retry = self._loop.call_later(DISK_RETRY_S, self._try_again)

    def _try_again(self) -> None:
        self._retry = None
        self._held_back = False
        if self._over:
            self._drain()
        elif self._io is not None:
            self._resume_reading()
            for stream in self._io.streams:
                self._move(stream)
            self._report_room()

    def _report_room(self) -> None:
        """Report that the disk has room again, after a pass in which it refused no stream."""
        if self.disk_full and not self._held_back:
            self.disk_full = False
            self._listener.session_disk_full(self, full=False)

    def _drain(self) -> None:
        """Move all that is left: after the end nobody writes, so empty now is empty for good."""
        if self.drained:
            return
        for stream in () if self._io is None else self._io.streams:
            while self._read(stream):
                pass
        if self._held_back:
            return
        self._report_room()
        self.drained = True
        self._disconnect()
        self._listener.session_drained(self)

    # --- serving ---

    def _serve(self) -> None:
        """Bring screen and viewers up to the journal's end."""
        if self.screen is None:
            for viewer in tuple(self.viewers):
                if isinstance(viewer, StreamViewer):
                    viewer.pump()
        else:
            self._show(self.screen)
        if self._announced != self.journal.ends:
            self._announced = dict(self.journal.ends)
            self.outputs += 1
            self._listener.session_wrote(self)

    def _show(self, screen: Screen) -> None:
        while self._shown < self.journal.ends[Stream.STDOUT]:
            data = self.journal.read(Stream.STDOUT, self._shown, PASS_BYTES)
            self._shown += len(data)
            visible = data if self._filter is None else self._filter.feed(data)
            if self._filter is not None:
                self._note_signs(self._filter, visible)
            # The viewers first: somebody waits for the echo of a key.
            for viewer in tuple(self.viewers):
                if isinstance(viewer, TerminalViewer):
                    viewer.show(visible)
                else:
                    viewer.pump()
            if self._filter is not None and (write := self._filter.take_clipboard()):
                self._copy(write)
            screen.feed(data)
            replies = screen.take_replies()
            if replies:
                self._input.write(replies, _ignore_count)
        # A program with a terminal waits for nobody: a stream viewer that far behind loses the oldest.
        self.journal.trim({})

    def _note_signs(self, output_filter: OutputFilter, visible: bytes) -> None:
        """Tell the listener what the program says about itself, and answer whether it is heard."""
        if answer := output_filter.take_answer():
            self._input.write(answer, _ignore_count)
        if (status := output_filter.take_status()) is not None:
            self._listener.session_reported(self, status)
        text = output_filter.take_notification()
        if text is None and b"\x07" in visible and _rings(visible):
            text = ""
        if text is not None:
            self._listener.session_notified(self, text)

    def _copy(self, write: bytes) -> None:
        if self._clipboard is not None and self._leading.leader is not None:
            self._clipboard.write(write, self._write_to_leader)

    def _write_to_leader(self, sequence: bytes) -> None:
        """Write to one terminal alone: who only watches keeps their own clipboard."""
        leader = self._leading.leader
        if leader is not None and leader.may_type:
            leader.act(sequence)

    def _checkpoint(self) -> bytes | None:
        """Return the screen for the journal's next segment, if it has taken all output before that."""
        at = self.journal.ends[Stream.STDOUT]
        if self._checkpoints is None or self._shown != at:
            return None
        return self._checkpoints.take(at)

    def viewer_moved(self) -> None:
        """Let a program that was held back for a slow viewer go on."""
        if self._held_back and self._retry is None:
            self._try_again()

    # --- viewers ---

    def add(self, viewer: Viewer) -> None:
        """Serve one more viewer. Whether its size is the program's is `leading`'s to say."""
        self.viewers[viewer] = None
        if isinstance(viewer, TerminalViewer):
            self._leading.came(viewer)
            self._follow_leader()

    def remove(self, viewer: Viewer) -> None:
        self.viewers.pop(viewer, None)
        if isinstance(viewer, TerminalViewer):
            self._leading.left(viewer)
            self._follow_leader()
        self.viewer_moved()

    def typed(self, viewer: TerminalViewer) -> None:
        """Let the viewer lead: a key, a paste or a click has come from it."""
        self._listener.session_typed(self)
        if viewer is not self._leading.leader:
            self._leading.typed(viewer)
            self._follow_leader()

    def fit(self, viewer: TerminalViewer) -> None:
        """Adapt to a viewer whose terminal has a new size."""
        if not self._follow_leader():
            viewer.refit()

    def _follow_leader(self) -> bool:
        """Give the program the size of the leader's terminal; return whether it had another."""
        leader = self._leading.deciding
        return leader is not None and self.resize(leader.size.bounded(), leader.pixels)

    def resize(self, size: TerminalSize, pixels: PixelSize) -> bool:
        """Give the program's terminal this size, and repaint all viewers if it had another."""
        if self.screen is None or self._io is None:
            return False
        changed = size != self.screen.size
        if changed or pixels != self._pixels:
            self._pixels = pixels
            self._io.resize(size, pixels)
        if changed:
            self.journal.resized(size)
            self.screen.resize(size)
            for each in self.viewers:
                if isinstance(each, TerminalViewer):
                    each.refit()
        return changed

    # --- input ---

    def write(self, data: bytes, taken: Callable[[int], None]) -> None:
        """Queue input; `taken` hears how many bytes the program took, which limits the sender."""
        self._input.write(data, taken)

    def end_input(self) -> None:
        """Let the program read end of file behind what is queued."""
        self._input.end()

    # --- the end ---

    def close(self) -> None:
        """Release everything; the program goes on without this supervisor."""
        if self._retry is not None:
            self._retry.cancel()
        self._disconnect()
        self.journal.close()
        if self.screen is not None:
            self.screen.close()

    def _disconnect(self) -> None:
        self._input.close()
        if self._io is not None:
            self._io.close()
            self._io = None


def _output_filter(screen: Screen, policy: OutputPolicy | None) -> OutputFilter:
    """Return a filter that is in the middle of whatever sequence the screen is in the middle of."""
    # Only for sessions with a TTY.
    from moat.session.terminal.filter import OutputFilter  # noqa: PLC0415

    output_filter = OutputFilter(policy)
    output_filter.feed(screen.incomplete_output())
    output_filter.take_clipboard()
    return output_filter


def _rings(visible: bytes) -> bool:
    from moat.session.terminal.filter import rings  # noqa: PLC0415  as above

    return rings(visible)


def _ignore_count(_count: int) -> None:
    """Do nothing: the emulator's replies are limited by nobody's window."""
