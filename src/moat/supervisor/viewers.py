"""The clients of a supervisor: those that watch a session, and those that wait for an answer."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from moat.session.session import Session
    from moat.wire.messages import Exited, Failure


class Viewer(Protocol):
    """An attached client."""

    session: Session | None
    """The session that it watches; `None` until that exists."""

    def end(self, ended: Exited) -> None:
        """Report the end of the session, behind its last byte."""
        ...

    def fail(self, failure: Failure) -> None:
        """Report that there is nothing to watch, and why."""
        ...

    def dismiss(self, reason: str) -> None:
        """Detach the client; the run goes on."""
        ...

    def notice(self, text: str, *, new: bool) -> None:
        """Show a line of Moat's own in the place of the last one; an empty one takes that away.

        With `new` it says more than the last one did.
        """
        ...

    def ring(self) -> None:
        """Ring the bell of the client's terminal, if it has one."""
        ...

    def close(self) -> None:
        """Drop the connection and give the client's terminal back."""
        ...


class Viewers:
    """Everybody who is connected. While somebody is, the supervisor does not end."""

    def __init__(self, *, counted: Callable[[int], None], left: Callable[[], None]) -> None:
        """`counted` is called with the number of viewers when it changes; `left` when somebody goes."""
        self._counted = counted
        self._left = left
        self._answering = 0
        self._attached: dict[Viewer, None] = {}
        self.came = False
        """Somebody has been connected since this supervisor started."""

    @property
    def empty(self) -> bool:
        return not self._attached and not self._answering

    @property
    def attached(self) -> tuple[Viewer, ...]:
        return tuple(self._attached)

    def add(self, viewer: Viewer) -> None:
        self.came = True
        self._attached[viewer] = None
        self._counted(len(self._attached))

    def remove(self, viewer: Viewer) -> None:
        if viewer in self._attached:
            del self._attached[viewer]
            self._counted(len(self._attached))
            self._left()

    @contextmanager
    def answering(self) -> Generator[None]:
        """Count a client as connected while its request is answered."""
        self.came = True
        self._answering += 1
        try:
            yield
        finally:
            self._answering -= 1
            self._left()
