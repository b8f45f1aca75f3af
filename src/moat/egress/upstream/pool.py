"""The connections to servers of one run: kept for the next request, shared, and given up.

A connection of HTTP/1.1 serves one exchange at a time and waits in between. One of HTTP/2 serves many
at once. What one run has opened serves no other.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

from moat.egress.http.h1.client import HTTP1Client
from moat.egress.policy.routing_decision import private_address
from moat.egress.upstream.connector import HTTP1_ONLY, HTTP2_FIRST, ConnectError

if TYPE_CHECKING:
    from collections.abc import Callable

    from moat.egress.http.h2.client import HTTP2Client
    from moat.egress.http.interfaces import Destination, PendingExchange
    from moat.egress.upstream.connector import ALPN, ClientFactory, ConnectTimes
    from moat.egress.upstream.dialer import Dialled

Client: TypeAlias = "HTTP1Client | HTTP2Client"
Key = tuple[str, str, int]

IDLE_LIMIT: Final = 256
"""Connections that wait for another request."""
IDLE_TIME: Final = 50.0
"""Seconds: most servers keep theirs for a minute or more."""


class Connector(Protocol):
    """The maker of connections for a pool, such as `connector.Connector`."""

    async def connect(
        self, destination: Destination, alpn: ALPN, make: ClientFactory, *, forward: bool
    ) -> ConnectTimes:
        """Connect to a server and call `make` for the client. Raises `ConnectError`."""
        ...


class ConnectionPool:
    def __init__(
        self,
        connector: Connector,
        loop: asyncio.AbstractEventLoop,
        start: Callable[..., None],
        limit: int,
    ) -> None:
        """`start` runs a coroutine function as a task. `limit`: connections and streams at once."""
        self._connector = connector
        self._loop = loop
        self._start = start
        self._limit = limit
        self._idle: dict[Key, list[HTTP1Client]] = {}
        self._idle_count = 0
        self._shared: dict[Key, list[HTTP2Client]] = {}
        self._probing: dict[Key, asyncio.Lock] = {}
        """Held while it is found out whether a server speaks HTTP/2."""
        self._http1_only: set[Key] = set()
        """Servers that don't."""
        self._open_count = 0
        """Connections that are there or being made."""

    def connect(self, exchange: PendingExchange, *, fresh: bool) -> None:
        """Give an exchange a connection: one that is there, or (`fresh`) a new one."""
        fresh = fresh or _needs_tunnel(exchange)
        if not fresh and self._take(exchange):
            return
        if self._is_full() and not self._close_idle():
            self._refuse(exchange)
        elif _speaks_http2(exchange) and exchange.destination.key not in self._http1_only:
            self._start(self._share, exchange)
        else:
            self._start(self._open, exchange, HTTP1_ONLY)

    def released(self, client: HTTP1Client) -> None:
        if not client.usable or self._idle_count >= IDLE_LIMIT:
            client.close()
            return
        client.reused = True
        client.idle_since = self._loop.time()
        self._idle_count += 1
        self._idle.setdefault(client.destination.key, []).append(client)

    def lost(self, client: Client) -> None:
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
            self._idle_count -= 1

    def sweep(self) -> bool:
        """Close what has waited too long, and return whether connections are left."""
        oldest = self._loop.time() - IDLE_TIME
        for client in self._unused():
            if client.idle_since < oldest:
                client.close()
        self._idle = {key: clients for key, clients in self._idle.items() if clients}
        self._shared = {key: clients for key, clients in self._shared.items() if clients}
        self._probing = {key: lock for key, lock in self._probing.items() if lock.locked()}
        self._http1_only &= self._idle.keys()
        return bool(self._idle or self._shared)

    def close(self) -> None:
        for client in self._unused():
            client.close()
        for shared in self._shared.values():
            for client in tuple(shared):
                client.close()

    # --- connections that are there ---

    def _take(self, exchange: PendingExchange) -> bool:
        key = exchange.destination.key
        idle = self._idle.get(key)
        while idle:
            client = idle.pop()
            self._idle_count -= 1
            if client.usable:
                exchange.connected(client, None)
                return True
        if _speaks_http2(exchange):
            for shared in self._shared.get(key, ()):
                if shared.usable and not self._is_full():
                    exchange.connected(shared.stream(), None)
                    return True
        return False

    def _unused(self) -> list[Client]:
        unused: list[Client] = [each for clients in self._idle.values() for each in clients]
        for clients in self._shared.values():
            unused += [each for each in clients if not each.streams]
        return unused

    def _is_full(self) -> bool:
        streams = sum(len(each.streams) for shared in self._shared.values() for each in shared)
        return self._open_count + streams >= self._limit

    def _close_idle(self) -> bool:
        """Close a connection that waits, to make room for another."""
        for idle in self._idle.values():
            if idle:
                idle[0].close()
                return True
        return False

    def _refuse(self, exchange: PendingExchange) -> None:
        exchange.failed(503, f"{self._limit} requests to servers are open: try again later")

    # --- new connections ---

    async def _share(self, exchange: PendingExchange) -> None:
        """Open a connection that may serve all exchanges that want one now, unless another has."""
        key = exchange.destination.key
        async with self._probing.setdefault(key, asyncio.Lock()):
            if self._take(exchange):
                return
            if self._is_full():  # with those that have waited here, too
                self._refuse(exchange)
            else:
                await self._open(exchange, HTTP2_FIRST)

    async def _open(self, exchange: PendingExchange, alpn: ALPN) -> None:
        forward = alpn == HTTP1_ONLY and not _needs_tunnel(exchange)
        try:
            client, times = await self._make(exchange.destination, alpn, forward=forward)
        except ConnectError as exc:
            if exc.private:
                exchange.deny(private_address(str(exc)))
            else:
                exchange.failed(exc.status, str(exc))
            return
        if isinstance(client, HTTP1Client):
            exchange.connected(client, times)
        else:
            self._shared.setdefault(client.destination.key, []).append(client)
            exchange.connected(client.stream(), times)

    async def _make(
        self, destination: Destination, alpn: ALPN, *, forward: bool
    ) -> tuple[Client, ConnectTimes]:
        made: list[Client] = []

        def make(protocol: str | None, dialled: Dialled) -> Client:
            made.append(self._client(protocol, destination, dialled))
            return made[0]

        self._open_count += 1
        try:
            times = await self._connector.connect(destination, alpn, make, forward=forward)
        except BaseException:
            if not made:  # else it is counted when it is lost
                self._open_count -= 1
            raise
        if alpn == HTTP2_FIRST and isinstance(made[0], HTTP1Client):
            self._http1_only.add(destination.key)
        return made[0], times

    def _client(self, protocol: str | None, destination: Destination, dialled: Dialled) -> Client:
        if protocol != "h2":
            return HTTP1Client(self, destination, dialled.address, dialled.proxy)
        # Loaded here because most runs never speak it, and it costs time and memory.
        from moat.egress.http.h2.client import HTTP2Client  # noqa: PLC0415

        return HTTP2Client(self, destination, dialled.address)


def _speaks_http2(exchange: PendingExchange) -> bool:
    return exchange.downstream.protocol == "HTTP/2"


def _needs_tunnel(exchange: PendingExchange) -> bool:
    """Tell whether a plain request can't be handed to the host's own proxy.

    A request for another protocol has to reach the server, and proxies drop it (RFC 6455 4.1 has a
    tunnel for it). TRACE would make the proxy repeat what it was told, its password included.
    """
    request = exchange.request
    return exchange.destination.scheme == "http" and (
        request.upgrade is not None or request.method == "TRACE"
    )
