"""The router's server: connections accepted for its own user, and HTTP with or without TLS.

A browser may speak either to the same port: the first byte of TLS is none of a request.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final, ParamSpec

from moat.egress.connections import ConnectionTable, connection_limit, contained
from moat.egress.http.h1.server import HTTP1Server
from moat.egress.ingress.accept_loop import AcceptLoop
from moat.egress.ingress.new_connection import close_with
from moat.egress.names import canonical_host
from moat.egress.peek import peek
from moat.egress.streams import NegotiatedProtocol, break_off, reason
from moat.egress.tls import client_hello
from moat.egress.tls.alert import Alert
from moat.egress.tls.leaf_certs import LeafCertificates
from moat.egress.upstream.pool import ConnectionPool
from moat.platform import socket_owner
from moat.ports import hostnames
from moat.router.host_check import HostCheck
from moat.router.services import RouterServices
from moat.router.upstream import RunConnector
from moat.spec.network import Timeouts

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable, Coroutine, Iterable
    from pathlib import Path

    from moat.egress.http.h2.server import HTTP2Server
    from moat.router.directory import Directory

P = ParamSpec("P")
log = logging.getLogger(__name__)

_HANDSHAKE: Final = 0x16
"""The type of the TLS record in which a ClientHello comes."""


class RouterServer:
    def __init__(
        self,
        home: Path,
        directory: Directory,
        loop: asyncio.AbstractEventLoop,
        start: Callable[[Coroutine[None, None, None]], None],
    ) -> None:
        """`start` runs a task."""
        self._home = home
        self._loop = loop
        self._start = start
        self._timeouts = Timeouts()
        limit = connection_limit()
        connector = RunConnector(home, directory, loop)
        self._pool = ConnectionPool(connector, loop, self._spawn, limit)
        self._connections = ConnectionTable(
            limit, self._timeouts, loop, sweep_upstream=self._pool.sweep, on_room=self._resume
        )
        self._accepting = AcceptLoop(loop, self._connections.has_room, self._accepted)
        self._services = RouterServices(directory, self._pool, self._connections)
        self._certificates: LeafCertificates | None = None

    def serve(self, listeners: Iterable[socket.socket]) -> None:
        """Accept connections from now on."""
        for listener in listeners:
            self._accepting.add(listener)

    def close(self) -> None:
        """Break off everything, and accept no more."""
        self._accepting.close()
        self._connections.close()
        self._pool.close()

    @property
    def idle(self) -> bool:
        """Tell whether nobody is connected."""
        return self._connections.is_empty

    # --- connections ---

    def _resume(self) -> None:
        self._accepting.resume()

    def _accepted(self, sock: socket.socket, listener: socket.socket) -> None:
        del listener
        self._connections.accepted()
        self._spawn(self._serve, sock)

    def _spawn(self, work: Callable[P, Awaitable[None]], *args: P.args, **kwargs: P.kwargs) -> None:
        self._start(contained(work, *args, **kwargs))

    async def _serve(self, sock: socket.socket) -> None:
        try:
            await self._classify(sock)
        except OSError as exc:  # it left, said nothing in time, or TLS failed
            log.info("a connection ended before a request came: %s", reason(exc) or "silence")
            break_off(sock)
        except BaseException:
            break_off(sock)
            raise
        finally:
            self._connections.classified()

    async def _classify(self, sock: socket.socket) -> None:
        why = socket_owner.objection(socket_owner.owner(sock))
        if why:
            log.warning("a connection was refused: %s", why)
            break_off(sock)
            return
        async with asyncio.timeout(self._timeouts.header):
            first = await peek(self._loop, sock, lambda data: data[0])
        if first == _HANDSHAKE:
            await self._serve_tls(sock)
        else:
            await self._loop.connect_accepted_socket(lambda: self._http("http", None), sock)

    async def _serve_tls(self, sock: socket.socket) -> None:
        try:
            async with asyncio.timeout(self._timeouts.tls):
                hello = await peek(self._loop, sock, client_hello.parse)
            name = hostnames.DOMAIN if hello.sni is None else canonical_host(hello.sni)
        except ValueError:
            close_with(sock, Alert.DECODE_ERROR.record())
            return
        if not hostnames.is_local(name):
            close_with(sock, Alert.UNRECOGNIZED_NAME.record())
            return
        context = await self._leaf_certificates().context(name)
        await self._loop.connect_accepted_socket(
            lambda: NegotiatedProtocol(lambda protocol: self._http("https", protocol)),
            sock,
            ssl=context,
            ssl_handshake_timeout=self._timeouts.tls,
        )

    def _leaf_certificates(self) -> LeafCertificates:
        if self._certificates is None:
            # Most users speak HTTP to their own machine, and these modules take time to load.
            from moat.router import authority  # noqa: PLC0415

            self._certificates = LeafCertificates(authority.load(self._home), self._loop)
        return self._certificates

    def _http(self, scheme: str, protocol: str | None) -> HTTP1Server | HTTP2Server:
        """Make the server side for a protocol by its ALPN name; `None`: the client named none."""
        if protocol != "h2":
            return HTTP1Server(self._services, HostCheck(scheme))
        from moat.egress.http.h2.server import HTTP2Server  # noqa: PLC0415  as above

        return HTTP2Server(self._services, HostCheck(scheme))
