"""Words of an attached client: keys for the program, its terminal's size, pauses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from moat.session.viewers import TerminalViewer
from moat.spec import PixelSize, TerminalSize
from moat.supervisor.shown import ShownScreen
from moat.wire import frames
from moat.wire.frames import FrameType

if TYPE_CHECKING:
    from collections.abc import Callable

    from moat.session.session import Session
    from moat.supervisor.connection import FrameConnection
    from moat.supervisor.shown import Shown
    from moat.wire.messages import Hello

# The client hears of its input when this much has been taken. If it heard of each key, it would wake
# up for that while the echo is on its way.
CONSUMED_BYTES: Final = frames.INPUT_WINDOW // 4


class Signals(Protocol):
    """A part of the supervisor."""

    def signal(self, session: str, number: int) -> None:
        """Send the session's command a signal, some time soon."""
        ...


class Said:
    """Does what the frames of one client ask for, once it has joined a session."""

    def __init__(
        self,
        signals: Signals,
        connection: FrameConnection,
        session: Session,
        shown: Shown,
        hello: Hello,
    ) -> None:
        self._signals = signals
        self._connection = connection
        self._session = session
        self._shown = shown
        self._may_type = not hello.read_only
        self._consumed = 0
        """Bytes of input that the program has taken and the client has not heard of."""

    def obey(self, kind: int, payload: bytes) -> None:
        """Do what the frame says. Raises `ValueError`, `IndexError` or `struct.error` for nonsense."""
        match kind:
            case FrameType.RESIZE:
                self._resize(payload)
            case FrameType.PAUSE:
                self._shown.pause()
                self._connection.send(FrameType.PAUSED)
            case FrameType.RESUME:
                self._shown.resume()
            case FrameType.HINT if isinstance(self._shown, ShownScreen):
                self._shown.hint(payload.decode(errors="replace"))
            case FrameType.OVERLAY if isinstance(self._shown, ShownScreen):
                self._shown.overlay(payload.decode(errors="replace"))
            case _ if self._may_type:
                self._type(kind, payload)
            case _:
                pass  # a read-only client may not do this, whatever it is

    def _type(self, kind: int, payload: bytes) -> None:
        match kind:
            case FrameType.INPUT:
                self.type(payload, self._taken, by_itself=False)
            case FrameType.REPORT:
                self.type(payload, self._taken, by_itself=True)
            case FrameType.INPUT_END:
                self._session.end_input()
            case FrameType.SIGNAL:
                self._signals.signal(self._session.name, payload[0])
            case _:
                pass  # from a newer client

    def type(self, data: bytes, taken: Callable[[int], None], *, by_itself: bool) -> None:
        """Type at the program's terminal. Unless its terminal did it `by_itself`, the viewer leads."""
        if not by_itself and isinstance(self._shown.viewer, TerminalViewer):
            self._session.typed(self._shown.viewer)
        self._session.write(data, taken)

    def _taken(self, count: int) -> None:
        self._consumed += count
        if self._consumed >= CONSUMED_BYTES and self._connection.open:
            self._connection.send(FrameType.CONSUMED, frames.COUNT.pack(self._consumed))
            self._consumed = 0

    def _resize(self, payload: bytes) -> None:
        pixels = PixelSize()
        if len(payload) == frames.SIZE_AND_PIXELS.size:
            columns, rows, *size = frames.SIZE_AND_PIXELS.unpack(payload)
            pixels = PixelSize(*size)
        else:
            columns, rows = frames.SIZE.unpack(payload)
        viewer = self._shown.viewer
        if isinstance(viewer, TerminalViewer) and columns and rows:
            viewer.size, viewer.pixels = TerminalSize(columns, rows), pixels
            self._session.fit(viewer)
