"""Connections to servers: made, kept for the next request, and given up."""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, Final

from moat.egress.http.h1.client import HTTP1Client
from moat.egress.policy.routing_decision import private_address
from moat.egress.streams import ByALPN
from moat.egress.tls import trust
from moat.egress.upstream.dialer import DialError

if TYPE_CHECKING:
    from collections.abc import Callable

    from moat.egress.http.h2.client import HTTP2Client
    from moat.egress.http.interfaces import Destination, PendingExchange
    from moat.egress.upstream.dialer import Dialer, Dialled
    from moat.spec.network import Network

    Client = HTTP1Client | HTTP2Client

IDLE_LIMIT: Final = 256
"""Connections that wait for another request."""
IDLE_TIME: Final = 50.0
"""Seconds: most servers keep theirs for a minute or more."""

Key = tuple[str, str, int]


class ConnectTimes:
    """How long it took to reach a server, in seconds; negative for what did not take place."""

    __slots__ = ("connect", "dns", "tls")

    def __init__(self, dns: float, connect: float) -> None:
        self.dns = dns
        self.connect = connect
        self.tls = -1.0


class ConnectionPool:
    """The run's own: what one run has opened serves no other."""

    def __init__(
        self,
        network: Network,
        dialer: Dialer,
        loop: asyncio.AbstractEventLoop,
        start: Callable[..., None],
        limit: int,
    ) -> None:
        """`limit`: connections, and requests that share one, at once."""
        self._limit = limit
        self._network = network
        self._dialer = dialer
        self._loop = loop
        self._start = start
        self._idle: dict[Key, list[HTTP1Client]] = {}
        self.waiting = 0
        """How many are in `_idle`."""
        self._shared: dict[Key, list[HTTP2Client]] = {}
        self._contexts: dict[tuple[str, ...], ssl.SSLContext] = {}
        self._first: dict[Key, asyncio.Lock] = {}
        """Held while it is found out whether a server speaks HTTP/2."""
        self._old: set[Key] = set()
        """Servers that don't."""
        self._open_count = 0
        """Connections that are there or being made."""

    def connect(self, exchange: PendingExchange, *, fresh: bool) -> None:
        """Gives the exchange a connection: one that is there, or (`fresh`) a new one."""
        fresh = fresh or _needs_tunnel(exchange)
        if not fresh and self._take(exchange):
            return
        if self._is_full() and not self._close_idle():
            self._refuse(exchange)
        elif exchange.downstream.protocol == "HTTP/2" and exchange.destination.key not in self._old:
            self._start(self._share, exchange)
        else:
            self._start(self._open, exchange, ("http/1.1",))

    def _is_full(self) -> bool:
        streams = sum(len(each.streams) for shared in self._shared.values() for each in shared)
        return self._open_count + streams >= self._limit

    def _refuse(self, exchange: PendingExchange) -> None:
        exchange.failed(503, f"{self._limit} requests to servers are open: try again later")

    def _close_idle(self) -> bool:
        """Ends one that waits, to make room."""
        for idle in self._idle.values():
            if idle:
                idle[0].close()
                return True
        return False

    def _take(self, exchange: PendingExchange) -> bool:
        key = exchange.destination.key
        idle = self._idle.get(key)
        while idle:
            client = idle.pop()
            self.waiting -= 1
            if client.usable:
                exchange.connected(client, None)
                return True
        if exchange.downstream.protocol == "HTTP/2":
            for shared in self._shared.get(key, ()):
                if shared.usable and not self._is_full():
                    exchange.connected(shared.stream(), None)
                    return True
        return False

    async def _share(self, exchange: PendingExchange) -> None:
        """Of many requests at once the first opens the connection that may serve them all."""
        key = exchange.destination.key
        async with self._first.setdefault(key, asyncio.Lock()):
            if self._take(exchange):
                return
            if self._is_full():  # with those that have waited here, too
                self._refuse(exchange)
            else:
                await self._open(exchange, ("h2", "http/1.1"))

    def released(self, client: HTTP1Client) -> None:
        if not client.usable or self.waiting >= IDLE_LIMIT:
            client.close()
            return
        client.reused = True
        client.idle_since = self._loop.time()
        self.waiting += 1
        self._idle.setdefault(client.destination.key, []).append(client)

    def lost(self, client: Client) -> None:
        """Its connection is over."""
        self._open_count -= 1
        key = client.destination.key
        if not isinstance(client, HTTP1Client):
            shared = self._shared.get(key, [])
            if client in shared:
                shared.remove(client)
            return
        idle = self._idle.get(key, [])
        if client in idle:
            idle.remove(client)
            self.waiting -= 1

    def sweep(self) -> bool:
        """Close what has waited too long, and return whether connections are left."""
        oldest = self._loop.time() - IDLE_TIME
        waiting = [each for clients in self._idle.values() for each in clients]
        unused = [each for clients in self._shared.values() for each in clients if not each.streams]
        for client in (*waiting, *unused):
            if client.idle_since < oldest:
                client.close()
        self._idle = {key: clients for key, clients in self._idle.items() if clients}
        self._shared = {key: clients for key, clients in self._shared.items() if clients}
        self._first = {key: lock for key, lock in self._first.items() if lock.locked()}
        self._old &= self._idle.keys()
        return bool(self._idle or self._shared)

    def close(self) -> None:
        for clients in (*self._idle.values(), *self._shared.values()):
            for client in tuple(clients):
                client.close()

    async def _open(self, exchange: PendingExchange, alpn: tuple[str, ...]) -> None:
        host = exchange.destination.host
        try:
            forward = alpn[0] != "h2" and not _needs_tunnel(exchange)
            client, reached = await self._reach(exchange.destination, alpn, forward=forward)
        except DialError as exc:
            if exc.kind == "private":
                exchange.deny(private_address(str(exc)))
            else:
                exchange.failed(504 if exc.kind == "timeout" else 502, str(exc))
        except ssl.SSLError as exc:
            exchange.failed(502, f"{host}: {trust.explain(exc)}")
        except TimeoutError:
            exchange.failed(
                504, f"{host}: no TLS handshake within {self._network.timeouts.tls:g} s"
            )
        except OSError as exc:
            exchange.failed(502, f"{host}: {exc.strerror or exc}")
        else:
            if not isinstance(client, HTTP1Client):
                self._shared.setdefault(client.destination.key, []).append(client)
                exchange.connected(client.stream(), reached)
            else:
                exchange.connected(client, reached)

    async def _reach(
        self, destination: Destination, alpn: tuple[str, ...], *, forward: bool
    ) -> tuple[Client, ConnectTimes]:
        chosen: list[Client] = []
        self._open_count += 1
        try:
            reached = await self._make(destination, alpn, chosen, forward=forward)
        except BaseException:
            if not chosen:  # else it is counted when it is lost
                self._open_count -= 1
            raise
        if "h2" in alpn and isinstance(chosen[0], HTTP1Client):
            self._old.add(destination.key)
        return chosen[0], reached

    async def _make(
        self,
        destination: Destination,
        alpn: tuple[str, ...],
        chosen: list[Client],
        *,
        forward: bool,
    ) -> ConnectTimes:
        scheme, host, port = destination.key
        forward = forward and scheme == "http"
        dialled = await self._dialer.dial(host, port, scheme, forward=forward)
        reached = ConnectTimes(dialled.dns, dialled.connect)

        def choose(protocol: str | None) -> Client:
            chosen.append(self._client(protocol, destination, dialled))
            return chosen[0]

        try:
            if destination.scheme == "http":
                # Who speaks HTTP/2 without TLS knows beforehand that the server does, too.
                protocol = "h2" if alpn[0] == "h2" else None
                await self._loop.create_connection(lambda: choose(protocol), sock=dialled.sock)
                return reached
            context = await self._trusted(alpn)
            begun = self._loop.time()
            await self._loop.create_connection(
                lambda: ByALPN(choose),
                sock=dialled.sock,
                ssl=context,
                server_hostname=destination.host,
                ssl_handshake_timeout=self._network.timeouts.tls,
            )
            reached.tls = self._loop.time() - begun
        except BaseException:
            dialled.sock.close()
            raise
        return reached

    def _client(self, protocol: str | None, destination: Destination, dialled: Dialled) -> Client:
        if protocol != "h2":
            return HTTP1Client(self, destination, dialled.address, dialled.proxy)
        from moat.egress.http.h2.client import HTTP2Client  # noqa: PLC0415  as in `gateway`

        return HTTP2Client(self, destination, dialled.address)

    async def _trusted(self, alpn: tuple[str, ...]) -> ssl.SSLContext:
        context = self._contexts.get(alpn)
        if context is None:
            # The system's certificates are parsed once, which takes tens of milliseconds.
            context = await self._loop.run_in_executor(
                None, trust.upstream_context, self._network.upstream_ca, alpn
            )
            self._contexts[alpn] = context
        return context


def _needs_tunnel(exchange: PendingExchange) -> bool:
    """Whether the host's proxy can't be given the plain request itself.

    Another protocol has to reach the server, and proxies drop the wish for one (RFC 6455 4.1 has a
    tunnel for it); TRACE makes a proxy say what it was told, which is for nobody here.
    """
    request = exchange.request
    return exchange.destination.scheme == "http" and (
        request.upgrade is not None or request.method == "TRACE"
    )
