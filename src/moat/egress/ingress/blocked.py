"""Attempts that no listener met: the kernel refuses them, and a packet socket shows them."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Final

from moat.egress.ingress.packets import BlockedAttempt, blocked_attempt

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

_BATCH: Final = 64
"""Packets that are read before other work has its turn."""
_PACKET: Final = 2048
_QUIET_S: Final = 1.0
"""A target is reported once in this time, however often it is tried."""
_MAX_TARGETS: Final = 1024
"""Targets; a port scan has more, and each of them is reported."""

WHY: Final = "refused: only DNS, ports 80 and 443 and what the policy opens lead out"


class BlockedAttempts:
    def __init__(
        self,
        descriptor: int,
        loop: asyncio.AbstractEventLoop,
        report: Callable[[BlockedAttempt], None],
    ) -> None:
        """Take over the descriptor of a packet socket that has its filter already."""
        self._sock = socket.socket(fileno=descriptor)
        self._sock.setblocking(False)
        self._loop = loop
        self._report = report
        self._reported: dict[BlockedAttempt, float] = {}
        loop.add_reader(self._sock, self._readable)

    def close(self) -> None:
        self._loop.remove_reader(self._sock)
        self._sock.close()

    def _readable(self) -> None:
        now = self._loop.time()
        for _ in range(_BATCH):
            try:
                packet = self._sock.recv(_PACKET)
            except (BlockingIOError, ConnectionError):
                return
            except OSError:  # the interface has gone, and the sandbox with it
                self._loop.remove_reader(self._sock)
                return
            attempt = blocked_attempt(packet)
            if attempt is None or now - self._reported.get(attempt, -_QUIET_S) < _QUIET_S:
                continue
            if len(self._reported) >= _MAX_TARGETS:
                self._reported.clear()
            self._reported[attempt] = now
            self._report(attempt)
