"""A client that watches a session: frames in, frames or paint out.

The client is not trusted to be alive. Whatever way it goes, its viewer leaves the session, and a
terminal that it has passed is given back.
"""

from __future__ import annotations

import json
import logging
import termios
from typing import TYPE_CHECKING, Any, Final, Protocol

from moat.events import ViewerAttached, ViewerDetached
from moat.session.journal.index import Stream
from moat.session.viewers import PUSH_TITLE, StreamViewer, TerminalViewer
from moat.spec import TerminalSize
from moat.supervisor.client_tty import PassedTerminal
from moat.supervisor.connection import FrameConnection
from moat.version import __version__
from moat.wire import frames, messages, tty
from moat.wire.frames import FrameType
from moat.wire.messages import Exited, Failure, Hello, Welcome

if TYPE_CHECKING:
    import asyncio
    import socket
    from collections.abc import Callable

    from moat.events import Emit
    from moat.session.session import Session
    from moat.supervisor.viewers import Viewers

log = logging.getLogger(__name__)

# The client hears of its input when this much has been taken. If it heard of each key, it would wake
# up for that while the echo is on its way.
CONSUMED_BYTES: Final = frames.INPUT_WINDOW // 4


class AttachHost(Protocol):
    """The supervisor, as far as an attached client needs it."""

    loop: asyncio.AbstractEventLoop
    viewers: Viewers
    emit: Emit

    @property
    def failure(self) -> Failure | None:
        """The reason why there is nothing to attach to; `None` where there is something."""
        ...

    @property
    def notice(self) -> str:
        """A line that every viewer is to see now; empty where there is none."""
        ...

    def when_ready(self, name: str, act: Callable[[Session | None], None]) -> None:
        """Call `act` with the session once it exists, or with `None` once it is known never to."""
        ...

    def takes_input(self, session: Session) -> bool: ...
    def end_of(self, session: Session) -> Exited: ...
    def signal(self, session: str, number: int) -> None:
        """Send the session's command a signal, some time soon."""
        ...


class AttachedClient:
    """One attached connection, from HELLO to its last frame."""

    def __init__(self, host: AttachHost, sock: socket.socket) -> None:
        self._host = host
        self._connection = FrameConnection(
            sock, host.loop, received=self._received, drained=self._drained, lost=self._lost
        )
        self._terminal: PassedTerminal | None = None
        self._viewer: TerminalViewer | StreamViewer | None = None
        self._hello = Hello()
        self._greeted = False
        self._after_hello: Callable[[], None] | None = None
        """What was to be said before the client's HELLO. It reads no frame before it has sent that."""
        self._early: list[tuple[int, bytes]] = []
        self._consumed = 0
        """Bytes of input that the program has taken and the client has not heard of."""
        self._notice = ""
        """The line to show once the terminal has taken what is on its way."""
        self._ending: Exited | None = None
        self._last_sent = False
        self.session: Session | None = None
        host.viewers.add(self)

    # --- from the client ---

    def _received(self, kind: int, payload: bytes, fds: list[int]) -> None:
        if not self._connection.open or self._last_sent:
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
                self._host.signal(session.name, payload[0])
            case FrameType.DETACH:
                self._detach("detached", "")
            case FrameType.PAUSE:
                self._pause()
            case FrameType.RESUME:
                self._resume()
            case _:
                pass  # from a newer client; or a read-only one may not do this

    def _greet(self, payload: bytes, fds: list[int]) -> None:
        """Note what the client is and wants. Raises `ValueError` or `struct.error` for nonsense."""
        if self._greeted:
            raise ValueError("a second HELLO")
        self._greeted = True
        self._hello = messages.unpack(Hello, payload)
        frames.SIZE.pack(self._hello.columns, self._hello.rows)  # the same limits as in RESIZE
        saved = json.loads(payload).get("termios")
        if fds and self._hello.passed and self._hello.terminal:
            self._open_terminal(fds[0], tty.decode(saved) if saved else [])
        if self._after_hello is not None:
            self._after_hello()
        else:
            self._host.when_ready(self._hello.session, self._begin)

    def _open_terminal(self, passed: int, saved: list[Any]) -> None:
        try:
            self._terminal = PassedTerminal(
                passed,
                saved,
                self._host.loop,
                drained=self._drained,
                broken=self._terminal_broken,
            )
        except (OSError, termios.error) as exc:
            log.info("painting over frames: %s", exc)

    def _begin(self, session: Session | None) -> None:
        """Go on once the session exists, or is known never to."""
        if not self._connection.open or self._last_sent:
            return
        if self._host.failure is not None:
            self.fail(self._host.failure)
        elif session is None:
            reason = f"there is no session {self._hello.session}"
            self.fail(Failure(reason, code=messages.NO_SESSION))
        else:
            with self._connection.dropping_nonsense():  # early frames
                self._join(session)

    def _join(self, session: Session) -> None:
        self.session = session
        viewer = self._viewer = self._make_viewer(session)
        self._welcome(viewer, session)
        session.add(viewer, leads=not self._hello.read_only)
        name = None if self._terminal is None else self._terminal.name
        peer = self._connection.peer
        self._host.emit(ViewerAttached(session.name, peer, name, self._hello.read_only))
        if isinstance(viewer, TerminalViewer):
            self._write_terminal(PUSH_TITLE)
            viewer.begin(scrollback=self._hello.scrollback)
        else:
            viewer.pump()
        self._show_current_notice()
        early, self._early = self._early, []
        for kind, payload in early:
            self._received(kind, payload, [])
        if session.drained:
            self.end(self._host.end_of(session))

    def _make_viewer(self, session: Session) -> TerminalViewer | StreamViewer:
        hello = self._hello
        if session.screen is not None and hello.terminal and hello.columns and hello.rows:
            sink = self._connection.sink() if self._terminal is None else self._terminal
            size = TerminalSize(hello.columns, hello.rows)
            return TerminalViewer(sink, session.screen, size, self._host.loop)
        wanted = {Stream.STDOUT: hello.stdout}
        if not session.tty:
            wanted[Stream.STDERR] = hello.stderr
        reader = session.journal.reader
        offsets = {
            stream: offset if offset >= 0 else reader.tail(stream, hello.tail)
            for stream, offset in wanted.items()
        }
        return StreamViewer(self._connection.sink(), session.journal, offsets)

    def _welcome(self, viewer: TerminalViewer | StreamViewer, session: Session) -> None:
        offsets = viewer.offsets if isinstance(viewer, StreamViewer) else {}
        welcome = Welcome(
            version=__version__,
            tty=session.tty,
            interactive=self._host.takes_input(session),
            painted=isinstance(viewer, TerminalViewer) and self._terminal is not None,
            stdout=offsets.get(Stream.STDOUT, 0),
            stderr=offsets.get(Stream.STDERR, 0),
        )
        self._connection.send(FrameType.WELCOME, messages.pack(welcome))

    def _input(self, data: bytes, session: Session) -> None:
        if isinstance(self._viewer, TerminalViewer):
            session.lead(self._viewer)
        session.write(data, self._taken)

    def _taken(self, count: int) -> None:
        self._consumed += count
        if self._consumed >= CONSUMED_BYTES and self._connection.open:
            self._connection.send(FrameType.CONSUMED, frames.COUNT.pack(self._consumed))
            self._consumed = 0

    def _resize(self, size: TerminalSize, session: Session) -> None:
        if isinstance(self._viewer, TerminalViewer) and size.columns and size.rows:
            self._viewer.size = size
            session.fit(self._viewer)

    def _pause(self) -> None:
        """Give the terminal to its client at once: what is queued would be painted over another's."""
        if isinstance(self._viewer, TerminalViewer) and not self._viewer.paused:
            farewell = self._farewell()
            self._viewer.pause()
            self._overwrite_terminal(farewell)
        self._connection.send(FrameType.PAUSED)

    def _resume(self) -> None:
        if isinstance(self._viewer, TerminalViewer) and self._viewer.paused:
            self._write_terminal(PUSH_TITLE)
            self._viewer.resume()
            self._show_current_notice()

    # --- to the client ---

    def _write_terminal(self, data: bytes) -> None:
        if self._terminal is not None:
            self._terminal.output(Stream.STDOUT, data)
        else:
            self._connection.send(FrameType.STDOUT, data)

    def _overwrite_terminal(self, data: bytes) -> None:
        """Write in the place of what the terminal has not shown yet."""
        if self._terminal is not None:
            self._terminal.overwrite(data)
        else:
            self._connection.send(FrameType.STDOUT, data)

    def show_notice(self, text: str) -> None:
        """Show a line beside the program's output; no byte of it comes from the program."""
        self._notice = text
        self._send_notice()

    def update_notice(self, text: str) -> None:
        """Replace the line where it is still shown: only a terminal keeps it."""
        if isinstance(self._viewer, TerminalViewer):
            self.show_notice(text)

    def clear_notice(self) -> None:
        """Take the line away: on a terminal the program's screen comes back in its place."""
        self._notice = ""
        if isinstance(self._viewer, TerminalViewer):
            self._viewer.refresh()

    def _show_current_notice(self) -> None:
        if self._host.notice:
            self.show_notice(self._host.notice)

    def _send_notice(self) -> None:
        """Let the client show the line, behind what is painted here and would cover it."""
        painting = self._terminal is not None and self._terminal.queued > 0
        if self._notice and self._viewer is not None and not painting:
            self._connection.send(FrameType.NOTICE, self._notice.encode())
            self._notice = ""

    def _drained(self) -> None:
        """Go on when the socket, or the terminal, has taken all that there was."""
        if isinstance(self._viewer, StreamViewer):
            self._viewer.pump()
            if self.session is not None:
                self.session.viewer_moved()
        elif self._viewer is not None:
            self._viewer.drained()
        self._send_notice()
        self._finish()

    # --- the end ---

    def end(self, ended: Exited) -> None:
        self._ending = ended
        self._finish()

    def fail(self, failure: Failure) -> None:
        self._once_greeted(
            lambda: self._send_last(FrameType.FAILED, messages.pack(failure), "ended")
        )

    def dismiss(self, reason: str) -> None:
        self._once_greeted(lambda: self._detach("dismissed", reason))

    def _once_greeted(self, act: Callable[[], None]) -> None:
        if self._greeted:
            act()
        else:
            self._after_hello = self._after_hello or act

    def _detach(self, cause: str, reason: str) -> None:
        self._give_terminal_back(drain=False)
        self._send_last(FrameType.DETACHED, reason.encode(), cause)

    def _finish(self) -> None:
        """Send the session's end behind its last byte; close behind the last frame."""
        if self._last_sent:
            if self._connection.queued == 0 and self._connection.open:
                self._connection.finish()
            return
        if self._ending is None:
            return
        if isinstance(self._viewer, StreamViewer):
            self._viewer.pump()
            if not self._viewer.caught_up:
                return
        elif (self._terminal or self._connection).queued:
            return  # a terminal that is behind has not seen the last screen yet
        self._give_terminal_back(drain=True)
        self._send_last(FrameType.EXITED, messages.pack(self._ending), "ended")

    def _send_last(self, kind: FrameType, payload: bytes, cause: str) -> None:
        self._last_sent = True
        self._leave_session(cause)
        self._connection.send(kind, payload)
        self._finish()

    def _farewell(self) -> bytes:
        return self._viewer.farewell() if isinstance(self._viewer, TerminalViewer) else b""

    def _give_terminal_back(self, *, drain: bool) -> None:
        """Reset the viewer's terminal; its client restores the line discipline itself.

        With `drain` that happens behind all that the program wrote; else at once, and what is
        queued is dropped.
        """
        farewell = self._farewell()
        if isinstance(self._viewer, TerminalViewer):
            self._viewer.close()
        if not farewell:
            return
        if drain and self._terminal is not None:
            rest = self._terminal.write_now(farewell)
            if rest:  # the client can wait until the terminal has room
                self._connection.send(FrameType.STDOUT, rest)
        else:
            self._overwrite_terminal(farewell)

    def _leave_session(self, cause: str) -> None:
        if self._viewer is not None and self.session is not None:
            if isinstance(self._viewer, TerminalViewer):
                self._viewer.close()
            self.session.remove(self._viewer)
            self._viewer = None
            self._host.emit(ViewerDetached(self.session.name, self._connection.peer, cause))

    def _terminal_broken(self, exc: OSError) -> None:
        log.info("a viewer's terminal is gone: %s", exc)
        self._host.loop.call_soon(self._lost)

    def _lost(self) -> None:
        """Clean up after a client that left without a word: it was killed, or the connection broke."""
        if not self._connection.open:
            return
        if self._terminal is not None and not self._last_sent:
            self._terminal.restore_for_dead_client(self._farewell())
        self.close()

    def close(self) -> None:
        if not self._connection.open:
            return
        self._leave_session("gone")
        self._connection.close()
        if self._terminal is not None:
            self._terminal.close()
        self._host.viewers.remove(self)
