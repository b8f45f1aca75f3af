"""Port 53 of every address on earth, as the sandbox sees it: UDP and TCP."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Final, cast

from moat.egress import dns

if TYPE_CHECKING:
    from collections.abc import Callable

# <linux/in.h>, <linux/in6.h>: Python 3.11 has no names for them.
_IP_PKTINFO: Final = 8
_IPV6_FREEBIND: Final = 78
_AT_ONCE: Final = 64
"""Datagrams answered before others have their turn."""
_MAX_QUERY: Final = 4096
_ANCILLARY: Final = 256
_TCP_IDLE: Final = 30.0
"""Seconds after which a silent connection is closed (RFC 7766 6.2.3)."""


class UDPResponder:
    """Answers from the very address that was asked: a resolver takes no answer from another."""

    def __init__(
        self,
        sock: socket.socket,
        loop: asyncio.AbstractEventLoop,
        respond: Callable[[bytes, str], bytes | None],
    ) -> None:
        self._sock = sock
        self._loop = loop
        self._respond = respond
        sock.setblocking(False)
        if sock.family == socket.AF_INET:
            sock.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
        else:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
            # IPv6 would answer only from addresses of an interface; all are ours by a route.
            sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_FREEBIND, 1)
        loop.add_reader(sock, self._readable)

    def close(self) -> None:
        self._loop.remove_reader(self._sock)
        self._sock.close()

    def _readable(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                query, ancillary, _, peer = self._sock.recvmsg(_MAX_QUERY, _ANCILLARY)
            except BlockingIOError:
                return
            except OSError:  # an ICMP error that an earlier answer met
                continue
            reply = self._respond(query, "udp")
            if reply is None:
                continue
            try:
                self._sock.sendmsg([reply], self._asked_address(ancillary), 0, peer)
            except OSError:  # the one who asked has gone, or does not read
                continue

    def _asked_address(
        self, ancillary: list[tuple[int, int, bytes]]
    ) -> list[tuple[int, int, bytes]]:
        for level, kind, data in ancillary:
            if (level, kind) == (socket.IPPROTO_IP, _IP_PKTINFO):
                # struct in_pktinfo: index, ipi_spec_dst (where to send from), ipi_addr (asked)
                return [(level, kind, bytes(4) + data[8:12] + bytes(4))]
            if (level, kind) == (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO):
                return [(level, kind, data[:16] + bytes(4))]
        return []


class TCPResponder(asyncio.Protocol):
    """RFC 7766: messages with their lengths, as many as the client likes."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, respond: Callable[[bytes, str], bytes | None]
    ) -> None:
        self._loop = loop
        self._respond = respond
        self._framer = dns.TCPFramer()
        self._transport: asyncio.Transport = cast("asyncio.Transport", None)
        self._expiry: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        self._wait()
        for query in self._framer.feed(data):
            reply = self._respond(query, "tcp")
            if reply is None:
                self._transport.abort()
                return
            self._transport.write(len(reply).to_bytes(2, "big") + reply)

    def pause_writing(self) -> None:
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        if self._expiry is not None:
            self._expiry.cancel()

    def _wait(self) -> None:
        if self._expiry is not None:
            self._expiry.cancel()
        self._expiry = self._loop.call_later(_TCP_IDLE, self._transport.abort)
