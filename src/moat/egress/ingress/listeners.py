"""Listeners inside the sandbox's network, on every address: everything that the sandbox sends ends here.

The sockets belong to the shim, which keeps them open from one supervisor to the next. In between,
connections wait in their backlogs.
"""

from __future__ import annotations

import errno
import logging
import socket
from typing import TYPE_CHECKING, Final, Protocol

from moat.egress.dns.server import UDPResponder
from moat.egress.ingress.accept_loop import AcceptLoop
from moat.spec.network import DNS_PORT, PROXY_PORT, WEB_PORTS

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable

    from moat.egress.dns.server import Answer

    Listen = Callable[[str, str, str, int], Awaitable[int]]
    """Make a socket for a family, kind, address and port; return its descriptor or raise `OSError`."""

log = logging.getLogger(__name__)

_ANY_ADDRESS: Final = {"inet": "0.0.0.0", "inet6": "::"}  # noqa: S104  in the sandbox's own network
_NO_SUCH_FAMILY: Final = {errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL}
"""Errors of a kernel without IPv6, over which nothing can come then."""


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
        self._answer_dns = answer_dns
        self._accepting = AcceptLoop(loop, room.has_room, lambda sock, _: accepted(sock))
        self._listening: set[tuple[str, int]] = set()
        """Families and TCP ports."""
        self._responders: list[UDPResponder] = []
        self.missed: dict[int, str] = {}
        """Ports that the policy opens but that aren't captured, with the reason."""

    async def open(self, listen: Listen, ports: frozenset[int]) -> None:
        """Listen on the ports that are always captured, and on those that the policy opens.

        Raises `OSError` for the former: no program can have taken them before, and there is no network
        without them.
        """
        for family in _ANY_ADDRESS:
            try:
                datagrams = await listen(family, "udp", _ANY_ADDRESS[family], DNS_PORT)
            except OSError as exc:
                if exc.errno in _NO_SUCH_FAMILY:
                    continue
                raise
            sock = socket.socket(fileno=datagrams)
            self._responders.append(UDPResponder(sock, self._loop, self._answer_dns))
            for port in (DNS_PORT, *WEB_PORTS):
                await self._listen(listen, family, _ANY_ADDRESS[family], port)
        await self._listen(listen, "inet", "127.0.0.1", PROXY_PORT)
        await self.open_ports(listen, ports)

    async def open_ports(self, listen: Listen, ports: frozenset[int]) -> None:
        """Listen on the ports that the policy opens now; try those again that were `missed`."""
        families = {family for family, port in self._listening if port == DNS_PORT}
        for port in ports:
            try:
                for family in families:
                    await self._listen(listen, family, _ANY_ADDRESS[family], port)
            except OSError as exc:
                taken = exc.errno == errno.EADDRINUSE
                why = "a program of the sandbox listens there" if taken else str(exc.strerror)
                self.missed[port] = why
                log.warning("port %d is not captured: %s", port, why)
            else:
                self.missed.pop(port, None)

    async def _listen(self, listen: Listen, family: str, address: str, port: int) -> None:
        if (family, port) in self._listening:
            return
        self._accepting.add(socket.socket(fileno=await listen(family, "tcp", address, port)))
        self._listening.add((family, port))

    @property
    def ports(self) -> frozenset[int]:
        """The TCP ports whose connections end here."""
        return frozenset(port for _, port in self._listening)

    def resume(self) -> None:
        """Accept again, now that there is room."""
        self._accepting.resume()

    def close(self) -> None:
        for responder in self._responders:
            responder.close()
        self._accepting.close()
