"""New connections from the sandbox: where each was going, what it speaks, and who serves it.

The first bytes are looked at and left in the socket (`peek`). So TLS begins on the very socket that
was accepted, and no byte of a connection is copied twice.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from moat.egress.dns.server import TCPResponder
from moat.egress.http.h1.server import HTTP1Server
from moat.egress.http.interfaces import UNUSED, Destination
from moat.egress.http.origin_check import OriginCheck
from moat.egress.ingress.new_connection import NewConnection, close_with
from moat.egress.ingress.proxy_port import ProxyPort
from moat.egress.names import canonical_host
from moat.egress.peek import ClosedEarlyError, peek
from moat.egress.policy.decision import Decision, Verdict
from moat.egress.policy.routing_decision import Asker, OpenTunnel, Refuse
from moat.egress.streams import NegotiatedProtocol, break_off, reason
from moat.egress.tls import client_hello
from moat.egress.tls.alert import Alert
from moat.egress.tls.leaf_certs import TooManyNamesError
from moat.spec.network import DNS_PORT, PROXY_PORT

if TYPE_CHECKING:
    import socket

    from moat.egress.http.h2.server import HTTP2Server
    from moat.egress.ingress.interfaces import Services
    from moat.egress.tls.client_hello import ClientHello
    from moat.spec.network import Timeouts

_HANDSHAKE: Final = 0x16
"""The type of the TLS record in which a ClientHello comes."""
_HTTP2_PREFACE: Final = b"PRI * HTTP/2.0\r\n"
_SILENT: Final = "it sent nothing that could be understood in time"


class Acceptor:
    """Serves new connections until a protocol has taken them over."""

    def __init__(
        self, services: Services, timeouts: Timeouts, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._services = services
        self._timeouts = timeouts
        self._loop = loop
        self._proxy_port = ProxyPort(services, loop)

    async def serve(self, sock: socket.socket) -> None:
        """Classify a new connection and hand it to the protocol that serves it, or close it."""
        address, port = sock.getsockname()[:2]
        connection = NewConnection(sock, "tcp", address, port)
        try:
            connection.host = self._services.host_of(address)
            if port == DNS_PORT:
                await self._serve_dns(connection)
            elif port == PROXY_PORT:
                await self._serve_proxy(connection)
            else:
                await self._serve_captured(connection)
        except ClosedEarlyError:
            self._left(connection, UNUSED)
            sock.close()
        except TimeoutError:
            self._left(connection, _SILENT)
            break_off(sock)
        except ConnectionError as exc:
            self._left(connection, f"broken: {reason(exc)}")
            break_off(sock)
        except ValueError as exc:  # an invalid name in SOCKS
            self._reject(connection, str(exc))
        except OSError as exc:  # most of all a TLS handshake that failed
            self._reject(connection, f"{exc.strerror or exc}")

    async def _serve_dns(self, connection: NewConnection) -> None:
        services = self._services
        await self._loop.connect_accepted_socket(
            lambda: TCPResponder(
                services.answer_dns, services.http, lambda: self._left(connection, UNUSED)
            ),
            connection.sock,
        )

    async def _serve_proxy(self, connection: NewConnection) -> None:
        async with asyncio.timeout(self._timeouts.header):
            target = await self._proxy_port.negotiate(connection.sock)
        if target is not None:
            connection.host, connection.port = target
            await self._serve_captured(connection)

    async def _serve_captured(self, connection: NewConnection) -> None:
        sock, host, port = connection.sock, connection.host, connection.port
        route = self._services.route(Asker.CAPTURED, host, port)
        if isinstance(route, OpenTunnel):
            await self._services.tunnels.open(connection, route)
            return
        if isinstance(route, Refuse):
            self._services.reporter.denied("tcp", host, port, route.decision)
            break_off(sock)
            return
        async with asyncio.timeout(self._timeouts.header):
            first = await peek(self._loop, sock, lambda data: data[0])
        if first == _HANDSHAKE:
            await self._serve_tls(connection)
        else:
            async with asyncio.timeout(self._timeouts.header):
                protocol = await peek(self._loop, sock, _version)
            origin = OriginCheck(Destination("http", host, port))
            await self._loop.connect_accepted_socket(lambda: self._http(origin, protocol), sock)

    async def _serve_tls(self, connection: NewConnection) -> None:
        sock, host, port = connection.sock, connection.host, connection.port
        connection.scheme = "https"
        try:
            async with asyncio.timeout(self._timeouts.tls):
                hello = await peek(self._loop, sock, client_hello.parse)
            named = host if hello.sni is None else canonical_host(hello.sni)
        except ValueError as exc:
            self._reject(connection, f"malformed ClientHello: {exc}", Alert.DECODE_ERROR)
            return
        route = self._services.route(Asker.TLS, host, port)
        if isinstance(route, OpenTunnel):
            if route.scheme == "tcp" or self._may_pass(connection, hello):
                await self._services.tunnels.open(connection, route)
            return
        if named != host:
            connection.mismatch = f"the TLS handshake names {named}, the connection is for {host}"
        try:
            context = await self._services.certificates.context(named)
        except TooManyNamesError as exc:
            self._reject(connection, str(exc), Alert.INTERNAL_ERROR)
            return
        destination = Destination("https", host, port)
        origin = OriginCheck(destination, connection.mismatch)
        await self._loop.connect_accepted_socket(
            lambda: NegotiatedProtocol(lambda protocol: self._http(origin, protocol)),
            sock,
            ssl=context,
            ssl_handshake_timeout=self._timeouts.tls,
        )

    def _may_pass(self, connection: NewConnection, hello: ClientHello) -> bool:
        """Reject TLS that doesn't name its server in clear: of TLS unread, nothing else is known."""
        why = f"TLS to be passed through to {connection.host}"
        if hello.encrypted:
            self._reject(connection, f"{why}: its name is encrypted", Alert.ACCESS_DENIED)
        elif hello.sni is None or canonical_host(hello.sni) != connection.host:
            self._reject(connection, f"{why}: it names {hello.sni}", Alert.UNRECOGNIZED_NAME)
        else:
            return True
        return False

    def _http(self, origin: OriginCheck, protocol: str | None) -> HTTP1Server | HTTP2Server:
        """Make the server side for a protocol by its ALPN name; `None`: the client named none."""
        if protocol != "h2":
            return HTTP1Server(self._services.http, origin)
        # Loaded here because most runs never speak it, and it costs time and memory.
        from moat.egress.http.h2.server import HTTP2Server  # noqa: PLC0415

        return HTTP2Server(self._services.http, origin)

    def _reject(self, connection: NewConnection, why: str, alert: Alert | None = None) -> None:
        """Close a connection that can't be understood, with an alert to a client that speaks TLS."""
        decision = Decision(Verdict.DENY, "", why)
        self._services.reporter.denied("tcp", connection.host, connection.port, decision)
        close_with(connection.sock, b"" if alert is None else alert.record())

    def _left(self, connection: NewConnection, why: str) -> None:
        if connection.mismatch:
            why = f"{why}; {connection.mismatch}"
        self._services.reporter.failed(connection.scheme, connection.host, connection.port, why)


def _version(data: bytes) -> str | None:
    """Return "h2" for a client that knows beforehand (RFC 9113 3.3), else "http/1.1"."""
    start = data[: len(_HTTP2_PREFACE)]
    if not _HTTP2_PREFACE.startswith(start):
        return "http/1.1"
    return "h2" if start == _HTTP2_PREFACE else None
