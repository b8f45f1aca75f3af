"""Everything the sandbox sends arrives here: listening sockets made inside its network.

The sockets belong to the shim, which keeps them open across supervisors: what arrives while there is
none waits in their backlogs.
"""

from __future__ import annotations

import errno
import logging
import socket
from typing import TYPE_CHECKING, Final, Protocol

from moat.egress.dns.server import UDPResponder
from moat.egress.policy.engine import WEB_PORTS
from moat.spec.network import DNS_PORT, PROXY_PORT

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable

    from moat.egress.dns.server import Answer

    Listen = Callable[[str, str, str, int], Awaitable[int]]
    """(family, kind, address, port) to a descriptor; raises `OSError`."""

log = logging.getLogger(__name__)

_EVERY: Final = {"inet": "0.0.0.0", "inet6": "::"}  # noqa: S104  in the sandbox's own network
_AT_ONCE: Final = 64
"""Connections accepted before others have their turn."""
# This kernel has no IPv6: nothing can come that way.
_NO_SUCH_FAMILY: Final = {errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL}


class Room(Protocol):
    def has_room(self) -> bool:
        """Tell whether one more connection can be served now."""
        ...


class Listeners:
    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        room: Room,
        accepted: Callable[[socket.socket], None],
        answer_dns: Answer,
    ) -> None:
        """`accepted` takes each new connection; `answer_dns` returns the reply to a datagram."""
        self._loop = loop
        self._room = room
        self._accepted = accepted
        self._answer_dns = answer_dns
        self._listeners: dict[tuple[str, int], socket.socket] = {}
        self._responders: list[UDPResponder] = []
        self.missed: dict[int, str] = {}
        """Ports that should be captured and are not, and why: a program of the sandbox has them."""
        self._full = False

    async def open(self, listen: Listen, ports: frozenset[int]) -> None:
        """Listens on all that is captured from the beginning, and on these ports.

        Without the former, which no program can have taken before, there is no network: `OSError`.
        """
        for family in _EVERY:
            try:
                datagrams = await listen(family, "udp", _EVERY[family], DNS_PORT)
            except OSError as exc:
                if exc.errno in _NO_SUCH_FAMILY:
                    continue
                raise
            sock = socket.socket(fileno=datagrams)
            self._responders.append(UDPResponder(sock, self._loop, self._answer_dns))
            for port in (DNS_PORT, *WEB_PORTS):
                await self._listen(listen, family, _EVERY[family], port)
        await self._listen(listen, "inet", "127.0.0.1", PROXY_PORT)
        await self.open_ports(listen, ports)

    async def open_ports(self, listen: Listen, ports: frozenset[int]) -> None:
        """Listens on the ports that the policy opens, and tries those again that were `missed`."""
        families = {family for family, port in self._listeners if port == DNS_PORT}
        for port in ports:
            try:
                for family in families:
                    await self._listen(listen, family, _EVERY[family], port)
            except OSError as exc:
                taken = exc.errno == errno.EADDRINUSE
                why = "a program of the sandbox listens there" if taken else str(exc.strerror)
                self.missed[port] = why
                log.warning("port %d is not captured: %s", port, why)
            else:
                self.missed.pop(port, None)

    async def _listen(
        self,
        listen: Listen,
        family: str,
        address: str,
        port: int,
    ) -> None:
        if (family, port) in self._listeners:
            return
        sock = socket.socket(fileno=await listen(family, "tcp", address, port))
        sock.setblocking(False)
        self._listeners[family, port] = sock
        if not self._full:
            self._loop.add_reader(sock, self._accept, sock)

    def resume(self) -> None:
        """There is room again."""
        if self._full:
            self._full = False
            for sock in self._listeners.values():
                self._loop.add_reader(sock, self._accept, sock)

    def close(self) -> None:
        for responder in self._responders:
            responder.close()
        for sock in self._listeners.values():
            self._loop.remove_reader(sock)
            sock.close()

    def _accept(self, listener: socket.socket) -> None:
        for _ in range(_AT_ONCE):
            if not self._room.has_room():
                self._wait()
                return
            try:
                sock, _ = listener.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError as exc:  # descriptors, memory: what is there must end first
                log.warning("connections wait: %s", exc)
                self._wait()
                return
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._accepted(sock)

    def _wait(self) -> None:
        self._full = True
        for sock in self._listeners.values():
            self._loop.remove_reader(sock)
