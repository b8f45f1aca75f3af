"""The sockets of the sandbox's name server: port 53 of every address, over UDP and TCP.

`name_server` has the answers.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol, cast

from moat.egress.dns import message

if TYPE_CHECKING:
    from moat.spec.network import Timeouts

# <linux/in.h>, <linux/in6.h>: Python 3.11 has no names for them.
_IP_PKTINFO: Final = 8
_IPV6_FREEBIND: Final = 78
_BATCH: Final = 64
"""Datagrams that are answered before other work has its turn."""
_MAX_QUERY: Final = 4096
_ANCILLARY: Final = 256
_TCP_IDLE: Final = 30.0
"""Seconds after which a silent connection is closed (RFC 7766 6.2.3)."""


Answer = Callable[[bytes, str], bytes | None]
"""Return the reply to a message that came over "udp" or "tcp"; `None` if it gets none."""


class Connections(Protocol):
    def opened(self, connection: TCPResponder) -> None: ...
    def closed(self, connection: TCPResponder) -> None: ...


class UDPResponder:
    """Answers each datagram from the address that it was sent to: a resolver accepts no other."""

    def __init__(
        self, sock: socket.socket, loop: asyncio.AbstractEventLoop, answer: Answer
    ) -> None:
        self._sock = sock
        self._loop = loop
        self._answer = answer
        sock.setblocking(False)
        if sock.family == socket.AF_INET:
            sock.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
        else:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
            # IPv6 sends only from addresses of an interface; these are local by a route.
            sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_FREEBIND, 1)
        loop.add_reader(sock, self._readable)

    def close(self) -> None:
        self._loop.remove_reader(self._sock)
        self._sock.close()

    def _readable(self) -> None:
        for _ in range(_BATCH):
            try:
                query, ancillary, _, peer = self._sock.recvmsg(_MAX_QUERY, _ANCILLARY)
            except BlockingIOError:
                return
            except OSError:  # an ICMP error about an earlier answer
                continue
            reply = self._answer(query, "udp")
            if reply is None:
                continue
            try:
                self._sock.sendmsg([reply], self._source_address(ancillary), 0, peer)
            except OSError:  # the program has left, or does not read
                continue

    def _source_address(
        self, ancillary: list[tuple[int, int, bytes]]
    ) -> list[tuple[int, int, bytes]]:
        """Return the control message that makes the address that was asked the source of the reply."""
        for level, kind, data in ancillary:
            if (level, kind) == (socket.IPPROTO_IP, _IP_PKTINFO):
                # struct in_pktinfo: index, ipi_spec_dst (the source), ipi_addr (the one that was asked)
                return [(level, kind, bytes(4) + data[8:12] + bytes(4))]
            if (level, kind) == (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO):
                return [(level, kind, data[:16] + bytes(4))]
        return []


class TCPResponder(asyncio.Protocol):
    """A connection with any number of questions, each preceded by its length (RFC 7766)."""

    idle = True
    """Always true: a client asks again on another connection."""

    def __init__(self, answer: Answer, connections: Connections, left: Callable[[], None]) -> None:
        """`left` is called if the client leaves without a question."""
        self._answer = answer
        self._connections = connections
        self._left = left
        self._asked = False
        self._framer = message.TCPFramer()
        self._transport: asyncio.Transport = cast("asyncio.Transport", None)
        self.waiting_since = time.monotonic()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._connections.opened(self)

    def data_received(self, data: bytes) -> None:
        self.waiting_since = time.monotonic()
        for query in self._framer.feed(data):
            self._asked = True
            reply = self._answer(query, "tcp")
            if reply is None:
                self.close()
                return
            self._transport.write(len(reply).to_bytes(2, "big") + reply)

    def pause_writing(self) -> None:
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._connections.closed(self)
        if not self._asked:
            self._left()

    def check(self, now: float, timeouts: Timeouts) -> None:
        del timeouts  # DNS has a timeout of its own
        if now - self.waiting_since > _TCP_IDLE:
            self.close()

    def reconsider(self) -> None:
        """Do nothing: each question is decided by itself."""

    def close(self) -> None:
        self._transport.abort()
