"""A client that watches a session: frames in, frames (or paint) out.

The client is not trusted to be alive: whatever way it goes, its viewer leaves the session, and a
terminal that it passed to us is given back.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import struct
import termios
from typing import TYPE_CHECKING, Any, Final

from moat.platform import sockets
from moat.session.journal.index import Stream
from moat.session.viewers import FrameSink, StreamViewer, TerminalSink, TerminalViewer
from moat.session.write_queue import Outbox
from moat.spec import TerminalSize
from moat.supervisor.client_tty import PassedTerminal
from moat.version import __version__
from moat.wire import frames, messages, tty
from moat.wire.frames import FrameType
from moat.wire.messages import Exited, Failure, Hello, Welcome
from moat.wire.terminal_reset import CANCEL, reset_sequence

if TYPE_CHECKING:
    from moat.session.session import Session
    from moat.supervisor.supervisor import Supervisor

log = logging.getLogger(__name__)

# The client hears of its input when this much has been taken: at each key it would wake up for it
# while the echo is on its way.
CONSUMED_BYTES: Final = frames.INPUT_WINDOW // 4

# Titles: what the viewer's terminal had before is put on its stack, and taken from it in the end
# (xterm's XTWINOPS 22 and 23).
_PUSH_TITLE, _POP_TITLE = b"\x1b[22;0t", b"\x1b[23;0t"


class AttachedClient:
    """One attached connection, from HELLO to the last frame."""

    def __init__(self, supervisor: Supervisor, sock: socket.socket) -> None:
        self._supervisor = supervisor
        self._loop = supervisor.loop
        self._sock = sock
        self._frames = frames.FrameReader()
        self._outbox = Outbox(self._loop, sock.fileno(), drained=self._drained, broken=self._broken)
        self._paint: Outbox | None = None
        self._terminal: PassedTerminal | None = None
        self._saved: list[Any] = []
        self._viewer: TerminalViewer | StreamViewer | None = None
        self._hello = Hello()
        self._early: list[tuple[int, bytes]] = []
        self._consumed = 0
        """Bytes of input that the program has taken, and the client has not been told of."""
        self._notice = ""
        """To be told when the terminal has taken what is on its way."""
        self._ending: Exited | None = None
        self._last_sent = False
        self.session: Session | None = None
        sock.setblocking(False)
        self._loop.add_reader(sock, self._readable)
        supervisor.audience.add(self)

    # --- from the client ---

    def _readable(self) -> None:
        try:
            data, fds = sockets.receive(self._sock, 1 << 16, 4)
        except BlockingIOError:
            return
        except OSError:
            data, fds = b"", []
        if not data:
            self._vanished()
            return
        try:
            for kind, payload in self._frames.feed(data):
                self._handle(kind, payload, fds)
        except (ValueError, IndexError, RecursionError, struct.error) as exc:
            log.warning("a client spoke nonsense: %s", exc)
            self._vanished()
        finally:
            for fd in fds:
                os.close(fd)

    def _handle(self, kind: int, payload: bytes, fds: list[int]) -> None:
        if self._sock.fileno() == -1 or self._last_sent:
            return  # it left in an earlier frame of the same read
        if kind == FrameType.HELLO:
            self._greet(payload, fds)
        elif self.session is not None:
            self._obey(kind, payload, self.session)
        else:
            # The session is still being made. What a client sends before it is welcomed is bounded
            # by its input window.
            self._early.append((kind, payload))

    def _obey(self, kind: int, payload: bytes, session: Session) -> None:
        match kind:
            case FrameType.INPUT if not self._hello.read_only:
                self._input(payload, session)
            case FrameType.INPUT_END if not self._hello.read_only:
                session.end_input()
            case FrameType.RESIZE:
                self._resize(TerminalSize(*frames.SIZE.unpack(payload)), session)
            case FrameType.SIGNAL if not self._hello.read_only:
                self._supervisor.signal_later(session.name, payload[0])
            case FrameType.DETACH:
                self.dismiss("")
            case FrameType.PAUSE:
                self._pause()
            case FrameType.RESUME if isinstance(self._viewer, TerminalViewer):
                self._viewer.resume()
                self._supervisor.network.tell(self)
            case _:
                pass  # a newer client says more than we know; or a read-only one may not say it

    def _greet(self, payload: bytes, fds: list[int]) -> None:
        given = json.loads(payload)
        self._hello = messages.unpack(Hello, payload)
        self._saved = tty.decode(given["termios"]) if given.get("termios") else []
        if fds and self._hello.passed and self._hello.terminal:
            try:
                self._terminal = PassedTerminal(fds[0])
            except (OSError, termios.error) as exc:
                log.info("painting over frames: %s", exc)
        self._supervisor.when_ready(self._hello.session, self._begin)

    def _begin(self, session: Session | None) -> None:
        """The session exists, or it is known that it never will."""
        if self._sock.fileno() == -1:
            return
        if self._supervisor.failure is not None:
            self.fail(self._supervisor.failure)
        elif session is None:
            why = f"there is no session {self._hello.session}"
            self.fail(Failure(why, code=messages.NO_SESSION))
        else:
            self._join(session)

    def _join(self, session: Session) -> None:
        self.session = session
        hello = self._hello
        size = TerminalSize(hello.columns, hello.rows)
        if session.screen is not None and hello.terminal and hello.columns and hello.rows:
            viewer = TerminalViewer(self._terminal_sink(), session.screen, size, self._loop)
        else:
            offsets = {Stream.STDOUT: hello.stdout} | (
                {} if session.tty else {Stream.STDERR: hello.stderr}
            )
            known = {
                stream: offset if offset >= 0 else session.journal.reader.tail(stream, hello.tail)
                for stream, offset in offsets.items()
            }
            viewer = StreamViewer(FrameSink(self._outbox), session.journal, known)
        self._viewer = viewer
        self._welcome(viewer, session)
        session.add(viewer, leads=not hello.read_only)
        if isinstance(viewer, TerminalViewer):
            self._write_terminal(_PUSH_TITLE)
            viewer.begin(scrollback=hello.scrollback)
        else:
            viewer.pump()
        self._supervisor.network.tell(self)
        early, self._early = self._early, []
        for kind, payload in early:
            self._handle(kind, payload, [])
        if session.drained:
            self.end(Exited(session.exit_code, str(self._supervisor.state.now)))

    def _welcome(self, viewer: TerminalViewer | StreamViewer, session: Session) -> None:
        offsets = viewer.offsets if isinstance(viewer, StreamViewer) else {}
        welcome = Welcome(
            version=__version__,
            tty=session.tty,
            interactive=self._supervisor.takes_input(session),
            painted=self._paint is not None,
            stdout=offsets.get(Stream.STDOUT, 0),
            stderr=offsets.get(Stream.STDERR, 0),
        )
        self._send(FrameType.WELCOME, messages.pack(welcome))

    def _terminal_sink(self) -> TerminalSink | FrameSink:
        if self._terminal is None:
            return FrameSink(self._outbox)
        self._paint = Outbox(
            self._loop, self._terminal.fd, drained=self._drained, broken=self._broken
        )
        return TerminalSink(self._paint)

    def _input(self, data: bytes, session: Session) -> None:
        if isinstance(self._viewer, TerminalViewer):
            session.lead(self._viewer)
        session.write(data, self._taken)

    def _taken(self, count: int) -> None:
        self._consumed += count
        if self._consumed >= CONSUMED_BYTES and self._sock.fileno() != -1:
            self._send(FrameType.CONSUMED, frames.COUNT.pack(self._consumed))
            self._consumed = 0

    def _resize(self, size: TerminalSize, session: Session) -> None:
        if isinstance(self._viewer, TerminalViewer) and size.columns and size.rows:
            self._viewer.size = size
            session.fit(self._viewer)

    def _pause(self) -> None:
        if isinstance(self._viewer, TerminalViewer):
            words = self._last_words()
            self._viewer.pause()
            self._write_terminal(words)
        self._send(FrameType.PAUSED)

    # --- to the client ---

    def _send(self, kind: FrameType, payload: bytes = b"") -> None:
        self._outbox.write(frames.encode(kind, payload))

    def _write_terminal(self, data: bytes) -> None:
        if self._paint is not None:
            self._paint.write(data)
        else:
            self._send(FrameType.STDOUT, data)

    def tell(self, text: str) -> None:
        """A line for the user, besides the program's output; nothing of it is the program's."""
        self._notice = text
        self._tell()

    def _tell(self) -> None:
        """The client shows it: behind what we have painted, which would be over it else."""
        painting = self._paint is not None and self._paint.queued > 0
        if self._notice and self._viewer is not None and not painting:
            self._send(FrameType.NOTICE, self._notice.encode())
            self._notice = ""

    def retell(self, text: str) -> None:
        """There is less to be told: of interest where the last notice is still shown."""
        if isinstance(self._viewer, TerminalViewer):
            self.tell(text)

    def untell(self) -> None:
        """What was told is over: on a terminal the program's screen comes back in its place."""
        self._notice = ""
        if isinstance(self._viewer, TerminalViewer):
            self._viewer.refresh()

    def _drained(self) -> None:
        """The socket, or the terminal, has taken all that there was."""
        if isinstance(self._viewer, StreamViewer):
            self._viewer.pump()
            if self.session is not None:
                self.session.viewer_moved()
        elif self._viewer is not None:
            self._viewer.drained()
        self._tell()
        self._finish()

    def _broken(self, exc: OSError) -> None:
        log.info("a viewer is gone: %s", exc)
        self._loop.call_soon(self._vanished)

    # --- the end ---

    def end(self, ended: Exited) -> None:
        """The session is over; the last frame goes out behind the last byte."""
        self._ending = ended
        self._finish()

    def fail(self, failure: Failure) -> None:
        self._last(FrameType.FAILED, messages.pack(failure))

    def dismiss(self, reason: str) -> None:
        """Detaches the viewer; the run goes on."""
        self._give_terminal_back(shown=False)
        self._last(FrameType.DETACHED, reason.encode())

    def _finish(self) -> None:
        if self._last_sent:
            if self._outbox.queued == 0 and self._sock.fileno() != -1:
                # The client closes; if we did, with input of its unread, it would see a reset.
                self._sock.shutdown(socket.SHUT_WR)
            return
        if self._ending is None:
            return
        if isinstance(self._viewer, StreamViewer):
            self._viewer.pump()
            if not self._viewer.caught_up:
                return
        elif self._paint is not None and self._paint.queued:
            return
        self._give_terminal_back(shown=True)
        self._last(FrameType.EXITED, messages.pack(self._ending))

    def _last(self, kind: FrameType, payload: bytes) -> None:
        self._last_sent = True
        self._leave_session()
        self._send(kind, payload)
        self._finish()

    def _last_words(self) -> bytes:
        """Turns off what the program has turned on, and moves below what it has shown."""
        screen = None if self.session is None else self.session.screen
        if not isinstance(self._viewer, TerminalViewer) or screen is None:
            return b""
        rows = min(self._viewer.size.rows, self._viewer.last_row + 1)
        below = b"" if self._viewer.alternate else b"\x1b[%d;1H\r\n" % rows
        reset = reset_sequence(alternate=self._viewer.alternate) + screen.undo_modes()
        return reset + below + _POP_TITLE

    def _give_terminal_back(self, *, shown: bool) -> None:
        """`shown`: after all that the program wrote; else at once, and what is queued is dropped.

        While the client lives it restores the line discipline itself.
        """
        words = self._last_words()
        if isinstance(self._viewer, TerminalViewer):
            self._viewer.close()
        if words:
            if self._terminal is not None and self._paint is not None:
                self._paint.close()
                self._paint = None
                self._say_last(self._terminal, CANCEL + words, shown=shown)
            else:
                self._send(FrameType.STDOUT, words)

    def _say_last(self, terminal: PassedTerminal, words: bytes, *, shown: bool) -> None:
        if not shown:
            terminal.say(words)
            return
        try:
            rest = words[terminal.write(words) :]
        except OSError as exc:
            log.info("terminal not reset: %s", exc)  # closed with its window
            return
        if rest:
            # The client can wait until the terminal has room.
            self._send(FrameType.STDOUT, rest)

    def _leave_session(self) -> None:
        if self._viewer is not None and self.session is not None:
            if isinstance(self._viewer, TerminalViewer):
                self._viewer.close()
            self.session.remove(self._viewer)
            self._viewer = None

    def _vanished(self) -> None:
        """The client is gone without a word: killed, or its connection broke."""
        if self._sock.fileno() == -1:
            return
        if self._terminal is not None and not self._last_sent:
            words = self._last_words()
            if self._paint is not None:
                self._paint.close()
                self._paint = None
            if self._saved:
                self._terminal.give_back(self._saved, CANCEL + words)
        self.close()

    def close(self) -> None:
        """Lets go of the connection and the terminal, in whatever state."""
        if self._sock.fileno() == -1:
            return
        self._leave_session()
        self._outbox.close()
        if self._paint is not None:
            self._paint.close()
        if self._terminal is not None:
            self._terminal.close()
        self._loop.remove_reader(self._sock)
        self._sock.close()
        self._supervisor.audience.remove(self)
