"""A client that watches a session, from its HELLO to its last frame.

The client is not trusted to be alive. Whatever way it goes, its viewer leaves the session, and a
terminal that it has passed is given back. What it sees is `shown`'s, what it sends after its HELLO is
`said`'s.
"""

from __future__ import annotations

import json
import logging
import termios
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol

from moat.events import ViewerAttached, ViewerDetached
from moat.platform.foreground import Foreground
from moat.session.journal.index import Stream
from moat.session.viewers import StreamViewer, TerminalViewer
from moat.spec import PixelSize, TerminalSize
from moat.supervisor.client_tty import FramedTerminal, PassedTerminal
from moat.supervisor.connection import FrameConnection
from moat.supervisor.desk import ClientDesk
from moat.supervisor.lent_keyboard import LentKeyboard
from moat.supervisor.said import Said
from moat.supervisor.shown import ShownScreen, ShownStreams
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
    from moat.supervisor.run_commands import RunCommands
    from moat.supervisor.viewers import Viewers
    from moat.wire.messages import Keyboard

log = logging.getLogger(__name__)

# A terminal that does not draw, and a client that does not close, keep nobody waiting for longer. A
# client without a terminal gets every byte, however slowly it reads.
DRAW_S: Final = 3.0
CLOSE_S: Final = 2.0


class AttachHost(Protocol):
    """The supervisor, as far as an attached client needs it."""

    loop: asyncio.AbstractEventLoop
    viewers: Viewers
    emit: Emit

    @property
    def failure(self) -> Failure | None:
        """The reason why there is nothing to attach to; `None` where there is something."""
        ...

    def notice(self, session: str) -> str:
        """Return a line that viewers of the session are to see now; empty where there is none."""
        ...

    def when_ready(self, name: str, act: Callable[[Session | None], None]) -> None:
        """Call `act` with the session once it exists, or with `None` once it is known never to."""
        ...

    def takes_input(self, session: Session) -> bool: ...
    def end_of(self, session: Session) -> Exited | None: ...
    def signal(self, session: str, number: int) -> None:
        """Send the session's command a signal, some time soon."""
        ...


class AttachedClient:
    """One attached connection's life."""

    def __init__(self, host: AttachHost, sock: socket.socket, commands: RunCommands) -> None:
        self._host = host
        self._commands = commands
        self._connection = FrameConnection(
            sock, host.loop, received=self._received, drained=self._drained, lost=self._lost
        )
        self._hello: Hello | None = None
        self._terminal: PassedTerminal | None = None
        self._shown: ShownScreen | ShownStreams | None = None
        """The client's view, from when it has joined the session until it leaves that."""
        self._said: Said | None = None
        self._keyboard: LentKeyboard | None = None
        """The keyboard of the passed terminal, where it was lent."""
        self._desk: ClientDesk | None = None
        self._after_hello: Callable[[], None] | None = None
        """A message due before the client's HELLO. The client reads no frame before it has sent that."""
        self._early: list[tuple[int, bytes]] = []
        self._ending: Exited | None = None
        self._last_sent = False
        self._patience: list[asyncio.TimerHandle] = []
        self.session: Session | None = None
        host.viewers.add(self)

    # --- from the client ---

    def _received(self, kind: int, payload: bytes, fds: list[int]) -> None:
        if not self._connection.open or self._last_sent:
            return  # it left in an earlier frame of the same read
        if kind == FrameType.HELLO:
            self._greet(payload, fds)
        elif self._keyboard is not None and self._about_keyboard(kind, self._keyboard):
            pass  # and about nothing else
        elif self._said is None:
            # The session is still being made. What a client sends before it is welcomed is bounded
            # by its input window.
            self._early.append((kind, payload))
        elif kind == FrameType.DETACH:
            self._detach("detached", "")
        else:
            self._said.obey(kind, payload)

    def _greet(self, payload: bytes, fds: list[int]) -> None:
        """Note what the client is and wants. Raises `ValueError` or `struct.error` for nonsense."""
        if self._hello is not None:
            raise ValueError("a second HELLO")
        hello = self._hello = messages.unpack(Hello, payload)
        frames.SIZE_AND_PIXELS.pack(
            hello.columns, hello.rows, hello.width, hello.height
        )  # as there
        saved = json.loads(payload).get("termios")
        if fds and hello.passed and hello.terminal:
            self._terminal = self._passed(fds[0], tty.decode(saved) if saved else [])
        if hello.keyboard is not None:
            self._borrow_keyboard(hello.keyboard, read_only=hello.read_only)
        if self._after_hello is not None:
            self._after_hello()
        else:
            self._host.when_ready(hello.session, lambda session: self._begin(hello, session))

    def _passed(self, passed: int, saved: list[Any]) -> PassedTerminal | None:
        try:
            return PassedTerminal(
                passed,
                saved,
                self._host.loop,
                drained=self._drained,
                broken=self._terminal_broken,
                left_over=lambda rest: self._connection.send(FrameType.STDOUT, rest),
            )
        except (OSError, termios.error) as exc:
            log.info("painting over frames: %s", exc)
            return None

    # --- a keyboard that was lent ---

    def _borrow_keyboard(self, keyboard: Keyboard, *, read_only: bool) -> None:
        """Read what is typed on the passed terminal, or have the client do it where that can't be."""
        terminal = self._terminal
        pid = self._connection.peer.pid
        foreground = None if terminal is None else Foreground.of(pid, terminal.fd)
        if terminal is None or foreground is None:
            self._connection.send(FrameType.NOT_LENT)
            return
        if read_only:
            keyboard = replace(keyboard, takes_input=False)
        detach = partial(self._detach, "detached", "")
        self._desk = ClientDesk(self._connection, self._commands, detach)
        try:
            self._keyboard = LentKeyboard(
                terminal, foreground, keyboard, self._connection, self._host.loop, self._desk
            )
        except ValueError:
            foreground.close()
            raise
        if not keyboard.later:
            self._keyboard.resume()

    def _about_keyboard(self, kind: int, keyboard: LentKeyboard) -> bool:
        """Do what the frame says of the keyboard; return `False` where it says something else, too."""
        match kind:
            case FrameType.INTERRUPT:
                keyboard.interrupted()
            case FrameType.PING:
                self._connection.send(FrameType.PONG)
            case FrameType.TAKE_BACK:
                self._return_keyboard()
            case FrameType.PAUSE:
                keyboard.pause()
                return False
            case FrameType.RESUME:
                keyboard.resume()
                return False
            case FrameType.DETACH:
                keyboard.finish()
                return False
            case _:
                return False
        return True

    def _return_keyboard(self) -> None:
        if self._keyboard is not None:
            self._keyboard.close()
            self._keyboard = None

    # --- joining a session ---

    def _begin(self, hello: Hello, session: Session | None) -> None:
        """Go on once the session exists, or is known never to."""
        if not self._connection.open or self._last_sent:
            return
        if self._host.failure is not None:
            self.fail(self._host.failure)
        elif session is None:
            reason = f"there is no session {hello.session}"
            self.fail(Failure(reason, code=messages.NO_SESSION))
        else:
            with self._connection.dropping_nonsense():  # early frames
                self._join(hello, session)

    def _join(self, hello: Hello, session: Session) -> None:
        self.session = session
        shown = self._shown = self._show(hello, session)
        self._said = said = Said(self._host, self._connection, session, shown, hello)
        self._welcome(shown, session)
        session.add(shown.viewer)
        name = None if self._terminal is None else self._terminal.name
        peer = self._connection.peer
        self._host.emit(ViewerAttached(session.name, peer, name, hello.read_only))
        shown.begin()
        if notice := self._host.notice(session.name):
            shown.notice(notice, new=True)
        early, self._early = self._early, []
        for kind, payload in early:
            self._received(kind, payload, [])
        if self._desk is not None:
            self._desk.joined(said, shown, session)
        if (ended := self._host.end_of(session)) is not None:
            self.end(ended)

    def _show(self, hello: Hello, session: Session) -> ShownScreen | ShownStreams:
        if session.screen is not None and hello.terminal and hello.columns and hello.rows:
            terminal = self._terminal or FramedTerminal(self._connection)
            size = TerminalSize(hello.columns, hello.rows)
            viewer = TerminalViewer(terminal, session.screen, size, self._host.loop)
            viewer.pixels = PixelSize(hello.width, hello.height)
            viewer.may_type = not hello.read_only
            return ShownScreen(
                viewer,
                terminal,
                self._host.loop,
                scrollback=hello.scrollback,
                status_row=hello.status_row,
            )
        wanted = {Stream.STDOUT: hello.stdout}
        if not session.tty:
            wanted[Stream.STDERR] = hello.stderr
        reader = session.journal.reader
        offsets = {
            stream: offset if offset >= 0 else reader.tail(stream, hello.tail)
            for stream, offset in wanted.items()
        }
        streams = StreamViewer(self._connection.sink(), session.journal, offsets)
        return ShownStreams(streams, session, self._connection)

    def _welcome(self, shown: ShownScreen | ShownStreams, session: Session) -> None:
        offsets = shown.viewer.offsets if isinstance(shown, ShownStreams) else {}
        welcome = Welcome(
            version=__version__,
            tty=session.tty,
            interactive=self._host.takes_input(session),
            painted=isinstance(shown, ShownScreen) and self._terminal is not None,
            stdout=offsets.get(Stream.STDOUT, 0),
            stderr=offsets.get(Stream.STDERR, 0),
            level=messages.LEVEL,
        )
        self._connection.send(FrameType.WELCOME, messages.pack(welcome))

    def notice(self, text: str, *, new: bool) -> None:
        if self._shown is not None:
            self._shown.notice(text, new=new)

    def ring(self) -> None:
        if isinstance(self._shown, ShownScreen):
            self._shown.viewer.act(b"\x07")

    def _drained(self) -> None:
        """Go on when the socket, or the terminal, has taken all that there was."""
        if self._shown is not None:
            self._shown.drained()
        self._finish()

    # --- the end ---

    def end(self, ended: Exited) -> None:
        self._ending = ended
        if isinstance(self._shown, ShownScreen):
            self._within(DRAW_S, lambda: self._end(drain=False))
        self._finish()

    def fail(self, failure: Failure) -> None:
        self._once_greeted(
            lambda: self._send_last(FrameType.FAILED, messages.pack(failure), "ended")
        )

    def dismiss(self, reason: str) -> None:
        self._once_greeted(lambda: self._detach("dismissed", reason))

    def _once_greeted(self, act: Callable[[], None]) -> None:
        if self._hello is not None:
            act()
        else:
            self._after_hello = self._after_hello or act

    def _detach(self, cause: str, reason: str) -> None:
        if self._shown is not None:
            self._shown.give_back(drain=False)
        self._send_last(FrameType.DETACHED, reason.encode(), cause)

    def _finish(self) -> None:
        """Send the session's end behind its last byte; close behind the last frame."""
        if self._last_sent:
            if self._connection.queued == 0 and self._connection.open:
                self._connection.finish()
        elif self._shown is None or self._shown.complete:
            # Otherwise a terminal that is behind has not seen the last screen yet.
            self._end(drain=True)

    def _end(self, *, drain: bool) -> None:
        if self._ending is None or self._last_sent:
            return
        if self._shown is not None:
            self._shown.give_back(drain=drain)
        self._send_last(FrameType.EXITED, messages.pack(self._ending), "ended")

    def _send_last(self, kind: FrameType, payload: bytes, cause: str) -> None:
        self._last_sent = True
        self._return_keyboard()
        bounded = not isinstance(self._shown, ShownStreams)
        self._leave_session(cause)
        self._connection.send(kind, payload)
        if bounded:
            self._within(CLOSE_S, self.close)
        self._finish()

    def _within(self, seconds: float, act: Callable[[], None]) -> None:
        self._patience.append(self._host.loop.call_later(seconds, act))

    def _leave_session(self, cause: str) -> None:
        if self._shown is not None and self.session is not None:
            viewer, self._shown = self._shown.viewer, None
            if isinstance(viewer, TerminalViewer):
                viewer.close()
            self.session.remove(viewer)
            self._host.emit(ViewerDetached(self.session.name, self._connection.peer, cause))

    def _terminal_broken(self, exc: OSError) -> None:
        log.info("a viewer's terminal is gone: %s", exc)
        self._host.loop.call_soon(self._lost)

    def _lost(self) -> None:
        """Clean up after a client that left without a word: it was killed, or the connection broke."""
        if not self._connection.open:
            return
        if self._terminal is not None and not self._last_sent:
            farewell = b"" if self._shown is None else self._shown.farewell()
            self._terminal.restore_for_dead_client(farewell)
        self.close()

    def close(self) -> None:
        if not self._connection.open:
            return
        for timer in self._patience:
            timer.cancel()
        self._return_keyboard()
        self._leave_session("gone")
        self._connection.close()
        if self._terminal is not None:
            self._terminal.close()
        self._host.viewers.remove(self)
