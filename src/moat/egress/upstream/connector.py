"""New connections to servers: dialled, secured by TLS, and with a protocol that ALPN settles on."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Final

from moat.egress.streams import NegotiatedProtocol
from moat.egress.tls import trust
from moat.egress.upstream.dialer import DialError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from moat.egress.http.interfaces import Destination
    from moat.egress.upstream.dialer import Dialer, Dialled
    from moat.spec.network import Network

    ClientFactory = Callable[[str | None, Dialled], asyncio.BufferedProtocol]
    """Make the client for a protocol by its ALPN name (`None`: HTTP/1.1) on what was dialled."""

ALPN = tuple[str, ...]
HTTP1_ONLY: Final[ALPN] = ("http/1.1",)
HTTP2_FIRST: Final[ALPN] = ("h2", "http/1.1")


class ConnectTimes:
    """Durations of the steps to a server, in seconds; negative for one that did not take place."""

    __slots__ = ("connect", "dns", "tls")

    def __init__(self, dns: float, connect: float) -> None:
        self.dns = dns
        self.connect = connect
        self.tls = -1.0


class ConnectError(Exception):
    """There is no connection; the text says why in one line, for the user and the agent."""

    def __init__(self, text: str, status: int = 502, *, private: bool = False) -> None:
        """`status`: of the answer to the request. `private`: the server's address is denied."""
        super().__init__(text)
        self.status = status
        self.private = private


class Connector:
    def __init__(self, network: Network, dialer: Dialer, loop: asyncio.AbstractEventLoop) -> None:
        self._authorities = trust.Authorities(network)
        self._tls_timeout = network.timeouts.tls
        self._dialer = dialer
        self._loop = loop
        self._contexts: dict[tuple[str, ALPN], ssl.SSLContext] = {}

    async def connect(
        self, destination: Destination, alpn: ALPN, make: ClientFactory, *, forward: bool
    ) -> ConnectTimes:
        """Connect to a server and call `make` for the client that speaks on the connection.

        With `forward`, a plain request may be handed to a proxy of the host. Raises `ConnectError`.
        """
        host = destination.host
        try:
            return await self._connect(destination, alpn, make, forward=forward)
        except DialError as exc:
            status = 504 if exc.kind == "timeout" else 502
            raise ConnectError(str(exc), status, private=exc.kind == "private") from exc
        except ssl.SSLError as exc:
            raise ConnectError(f"{host}: {trust.explain(exc)}") from exc
        except TimeoutError as exc:
            text = f"{host}: no TLS handshake within {self._tls_timeout:g} s"
            raise ConnectError(text, 504) from exc
        except OSError as exc:
            raise ConnectError(f"{host}: {exc.strerror or exc}") from exc

    async def _connect(
        self, destination: Destination, alpn: ALPN, make: ClientFactory, *, forward: bool
    ) -> ConnectTimes:
        scheme, host, port = destination.key
        forward = forward and scheme == "http"
        dialled = await self._dialer.dial(host, port, scheme, forward=forward)
        times = ConnectTimes(dialled.dns, dialled.connect)
        try:
            if scheme == "http":
                # A client that speaks HTTP/2 without TLS knows beforehand that the server does, too.
                protocol = "h2" if alpn == HTTP2_FIRST else None
                await self._loop.create_connection(
                    lambda: make(protocol, dialled), sock=dialled.sock
                )
                return times
            context = await self._context(host, alpn)
            begun = self._loop.time()
            await self._loop.create_connection(
                lambda: NegotiatedProtocol(lambda protocol: make(protocol, dialled)),
                sock=dialled.sock,
                ssl=context,
                server_hostname=host,
                ssl_handshake_timeout=self._tls_timeout,
            )
            times.tls = self._loop.time() - begun
        except BaseException:
            dialled.sock.close()
            raise
        return times

    async def _context(self, host: str, alpn: ALPN) -> ssl.SSLContext:
        key = (self._authorities.of(host), alpn)
        context = self._contexts.get(key)
        if context is None:
            # The system's certificates are parsed once, which takes tens of milliseconds.
            context = await self._loop.run_in_executor(None, trust.upstream_context, *key)
            self._contexts[key] = context
        return context
