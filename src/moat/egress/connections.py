"""The connections from a sandbox: how many are served at once, and which have taken too long.

Programs of the sandbox open as many connections as they like, and leave them open. Each takes two
descriptors, so their number is limited. A new connection takes the place of the one that has waited
longest for a request; where none waits, it stays in the backlog of its listener.
"""

from __future__ import annotations

import logging
import resource
import time
from typing import TYPE_CHECKING, Final, ParamSpec

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable

    from moat.egress.http.interfaces import Connection
    from moat.spec.network import Timeouts

P = ParamSpec("P")
log = logging.getLogger(__name__)

MAX_CONNECTIONS: Final = 2000
_SWEEP_S: Final = 1.0
_OTHER_DESCRIPTORS: Final = 456
"""Other descriptors of the supervisor: 256 for connections to published ports, 200 for the rest."""


class ConnectionTable:
    def __init__(
        self,
        limit: int,
        timeouts: Timeouts,
        loop: asyncio.AbstractEventLoop,
        *,
        sweep_upstream: Callable[[], bool],
        on_room: Callable[[], None],
    ) -> None:
        """`sweep_upstream` closes old connections to servers, and returns whether others are left.

        `on_room` is called whenever a connection ends.
        """
        self._limit = limit
        self._timeouts = timeouts
        self._loop = loop
        self._sweep_upstream = sweep_upstream
        self._on_room = on_room
        self._open: dict[Connection, None] = {}
        self._pending = 0
        """Connections that have been accepted, and that no protocol serves yet."""
        self._sweeping: asyncio.TimerHandle | None = None

    @property
    def is_empty(self) -> bool:
        """Tell whether nobody is connected."""
        return not self._open and not self._pending

    def has_room(self) -> bool:
        """Tell whether one more can be served, after closing an idle one where that is needed."""
        if len(self._open) + self._pending < self._limit:
            return True
        return self._pending < self._limit and self._close_idle()

    def accepted(self) -> None:
        self._pending += 1

    def classified(self) -> None:
        """Note that an accepted connection is served, or closed."""
        self._pending -= 1
        self._on_room()

    def opened(self, connection: Connection) -> None:
        self._open[connection] = None
        if self._sweeping is None:
            self._sweeping = self._loop.call_later(_SWEEP_S, self._sweep)

    def closed(self, connection: Connection) -> None:
        self._open.pop(connection, None)
        self._on_room()

    def reconsider(self) -> None:
        """Break off what the policy, as it is now, denies."""
        for connection in tuple(self._open):
            connection.reconsider()

    def check(self, now: float) -> None:
        """End what has taken too long. `now`: monotonic seconds."""
        for connection in tuple(self._open):
            connection.check(now, self._timeouts)

    def close(self) -> None:
        if self._sweeping is not None:
            self._sweeping.cancel()
        for connection in tuple(self._open):
            connection.close()

    def _close_idle(self) -> bool:
        idle = [each for each in self._open if each.idle]
        if not idle:
            return False
        oldest = min(idle, key=lambda each: each.waiting_since)
        # Its own report that it is closed comes only after others have been accepted.
        del self._open[oldest]
        oldest.close()
        return True

    def _sweep(self) -> None:
        # One timer for all: most connections never need theirs.
        self.check(time.monotonic())
        again = self._sweep_upstream() or bool(self._open)
        self._sweeping = self._loop.call_later(_SWEEP_S, self._sweep) if again else None


def connection_limit() -> int:
    """Raise the process's limit of descriptors, and return how many connections that allows.

    It is raised as far as it goes, not only as far as connections need: the kernel lets nobody pass
    descriptors on whose limit is below the number that all of the user's processes have in flight
    (unix(7), ETOOMANYREFS), and a hostile run has as many there as it can (`shim.launch.spawn`).
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * MAX_CONNECTIONS + _OTHER_DESCRIPTORS
    granted = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return min(MAX_CONNECTIONS, (granted - _OTHER_DESCRIPTORS) // 2)


async def contained(work: Callable[P, Awaitable[None]], *args: P.args, **kwargs: P.kwargs) -> None:
    """Log what nobody foresaw: an error of one connection is no other's."""
    try:
        await work(*args, **kwargs)
    except Exception:
        log.exception("a connection failed")
