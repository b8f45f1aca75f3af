"""The view of an attached client: a session's screen on its terminal, or the bytes of its streams.

Beside the program's output there are lines of Moat's own. A terminal has them on its last row, from
where they go without a trace. A client without a terminal gets them as frames, apart from the output.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from moat.session.journal.index import Stream
from moat.session.viewers import PUSH_TITLE, StreamViewer, TerminalViewer
from moat.wire.frames import FrameType

if TYPE_CHECKING:
    import asyncio

    from moat.session.session import Session
    from moat.supervisor.connection import FrameConnection

# A line that answers something the user did goes by itself.
HINT_S: Final = 5.0


class Shown(Protocol):
    """A session, as one client sees it."""

    @property
    def viewer(self) -> StreamViewer | TerminalViewer: ...

    @property
    def complete(self) -> bool:
        """Tell whether the client has all that there is."""
        ...

    def begin(self) -> None:
        """Show what there is; the session shows the rest as it comes."""
        ...

    def drained(self) -> None:
        """Go on when the client has taken all that there was."""
        ...

    def notice(self, text: str, *, new: bool) -> None:
        """Show a line of Moat's own in the place of the last one; an empty one takes that away.

        With `new` it says more than the last one did.
        """
        ...

    def pause(self) -> None:
        """Give the terminal to its client at once."""
        ...

    def resume(self) -> None: ...

    def give_back(self, *, drain: bool) -> None:
        """End it: the terminal is as it was before, but for its line discipline.

        With `drain` behind all that the program wrote; else at once, and what is queued is dropped.
        """
        ...

    def farewell(self) -> bytes:
        """Return what turns the program's modes off."""
        ...


class Painted(Protocol):
    """A terminal that is painted on: a passed one, or one that is reached over frames."""

    @property
    def queued(self) -> int: ...
    def output(self, stream: Stream, data: bytes, /) -> None: ...
    def finish(self, data: bytes) -> None:
        """Write behind all that is there, or have the client write it."""
        ...

    def overwrite(self, data: bytes) -> None:
        """Write in the place of what the terminal has not shown yet."""
        ...


class ShownScreen:
    """The screen of a session with a TTY, on a terminal."""

    def __init__(
        self,
        viewer: TerminalViewer,
        terminal: Painted,
        loop: asyncio.AbstractEventLoop,
        *,
        scrollback: bool,
        status_row: bool,
    ) -> None:
        """`status_row`: lines of Moat's own are shown on the last row, else nowhere."""
        self.viewer = viewer
        self._terminal = terminal
        self._loop = loop
        self._scrollback = scrollback
        self._status_row = status_row
        self._notice = ""
        self._overlay = ""
        """Lines that the user has asked for, until they take them away."""
        self._hint = ""
        self._hint_ends: asyncio.TimerHandle | None = None

    @property
    def complete(self) -> bool:
        return self._terminal.queued == 0

    def begin(self) -> None:
        self._terminal.output(Stream.STDOUT, PUSH_TITLE)
        self.viewer.begin(scrollback=self._scrollback)

    def drained(self) -> None:
        self.viewer.drained()

    def notice(self, text: str, *, new: bool) -> None:
        if new:
            self._end_hint()
        self._notice = text
        self._show()

    def hint(self, text: str) -> None:
        """Show a line that answers something the user did, for a while; an empty one ends that."""
        self._end_hint()
        self._hint = text
        if text:
            self._hint_ends = self._loop.call_later(HINT_S, self.hint, "")
        self._show()

    def _end_hint(self) -> None:
        self._hint = ""
        if self._hint_ends is not None:
            self._hint_ends.cancel()
            self._hint_ends = None

    def overlay(self, text: str) -> None:
        """Show lines that the user has asked for, over everything else; none takes them away."""
        self._overlay = text
        self._show()

    def _show(self) -> None:
        unasked = self._hint or self._notice if self._status_row else ""
        self.viewer.show_status(self._overlay or unasked)

    def pause(self) -> None:
        if not self.viewer.paused:
            farewell = self.farewell()
            self.viewer.pause()
            # What is queued would be painted over another program's output.
            self._terminal.overwrite(farewell)

    def resume(self) -> None:
        if self.viewer.paused:
            self._terminal.output(Stream.STDOUT, PUSH_TITLE)
            self.viewer.resume()

    def give_back(self, *, drain: bool) -> None:
        farewell = self.farewell()
        self._end_hint()
        self.viewer.close()
        if farewell and drain:
            self._terminal.finish(farewell)
        elif farewell:
            self._terminal.overwrite(farewell)

    def farewell(self) -> bytes:
        return self.viewer.farewell()


class ShownStreams:
    """The streams of a session, every byte of them."""

    def __init__(self, viewer: StreamViewer, session: Session, connection: FrameConnection) -> None:
        self.viewer = viewer
        self._session = session
        self._connection = connection

    @property
    def complete(self) -> bool:
        self.viewer.pump()
        return self.viewer.caught_up

    def begin(self) -> None:
        self.viewer.pump()

    def drained(self) -> None:
        self.viewer.pump()
        self._session.viewer_moved()

    def notice(self, text: str, *, new: bool) -> None:
        if new and text:
            self._connection.send(FrameType.NOTICE, text.encode())

    def pause(self) -> None:
        """Do nothing: the client writes the output itself."""

    def resume(self) -> None:
        """Do nothing."""

    def give_back(self, *, drain: bool) -> None:
        """Do nothing: no terminal was taken."""

    def farewell(self) -> bytes:
        return b""
