"""Attempts that no listener met: the kernel refuses them, and a packet socket tells us."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Final

from moat.egress.ingress.packets import BlockedAttempt, blocked_attempt

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

_AT_ONCE: Final = 64
"""Packets read before others have their turn."""
_PACKET: Final = 2048
_COALESCED_S: Final = 1.0
"""A target is told once in this time, however often it is tried."""
_REMEMBERED: Final = 1024
"""Targets; a port scan has more, and each of them is told."""

WHY: Final = "refused: only DNS, ports 80 and 443 and what the policy opens lead out"


class BlockedAttempts:
    def __init__(
        self,
        descriptor: int,
        loop: asyncio.AbstractEventLoop,
        tell: Callable[[BlockedAttempt], None],
    ) -> None:
        """Takes the descriptor of a packet socket that is filtered already."""
        self._sock = socket.socket(fileno=descriptor)
        self._sock.setblocking(False)
        self._loop = loop
        self._tell = tell
        self._told: dict[BlockedAttempt, float] = {}
        loop.add_reader(self._sock, self._readable)

    def close(self) -> None:
        self._loop.remove_reader(self._sock)
        self._sock.close()

    def _readable(self) -> None:
        now = self._loop.time()
        for _ in range(_AT_ONCE):
            try:
                packet = self._sock.recv(_PACKET)
            except (BlockingIOError, ConnectionError):
                return
            except OSError:  # the interface has gone, and the sandbox with it
                self._loop.remove_reader(self._sock)
                return
            found = blocked_attempt(packet)
            if found is None or now - self._told.get(found, -_COALESCED_S) < _COALESCED_S:
                continue
            if len(self._told) >= _REMEMBERED:
                self._told.clear()
            self._told[found] = now
            self._tell(found)
