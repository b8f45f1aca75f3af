"""Connections to servers: made, kept for the next request, and given up."""

from __future__ import annotations

import logging
import ssl
from typing import TYPE_CHECKING, Final

from moat.egress import trust
from moat.egress.client import HTTP1Client
from moat.egress.dial import DialError
from moat.egress.policy import Decision, Verdict

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Coroutine

    from moat.egress.dial import Dialer
    from moat.egress.exchange import Destination, Exchange
    from moat.spec.network import Network

log = logging.getLogger(__name__)

IDLE_LIMIT: Final = 256
"""Connections that wait for another request."""
IDLE_TIME: Final = 50.0
"""Seconds: most servers keep theirs for a minute or more."""

Key = tuple[str, str, int]


class Reached:
    """How long it took to reach a server, in seconds; negative for what did not take place."""

    __slots__ = ("connect", "dns", "tls")

    def __init__(self, dns: float, connect: float) -> None:
        self.dns = dns
        self.connect = connect
        self.tls = -1.0


class Upstreams:
    """The run's own: what one run has opened serves no other."""

    def __init__(
        self,
        network: Network,
        dialer: Dialer,
        loop: asyncio.AbstractEventLoop,
        start: Callable[[Coroutine[None, None, None]], None],
    ) -> None:
        self._network = network
        self._dialer = dialer
        self._loop = loop
        self._start = start
        self._idle: dict[Key, list[HTTP1Client]] = {}
        self.waiting = 0
        """How many are in `_idle`."""

    def connect(self, exchange: Exchange, *, fresh: bool) -> None:
        """Gives the exchange a connection: the one used last, or (`fresh`) a new one."""
        if not fresh:
            idle = self._idle.get(exchange.destination.key)
            while idle:
                client = idle.pop()
                self.waiting -= 1
                if client.usable:
                    exchange.connected(client, None)
                    return
        self._start(self._open(exchange))

    def released(self, client: HTTP1Client) -> None:
        if not client.usable or self.waiting >= IDLE_LIMIT:
            client.close()
            return
        client.reused = True
        client.idle_since = self._loop.time()
        self.waiting += 1
        self._idle.setdefault(client.destination.key, []).append(client)

    def lost(self, client: HTTP1Client) -> None:
        idle = self._idle.get(client.destination.key, [])
        if client in idle:
            idle.remove(client)
            self.waiting -= 1

    def sweep(self) -> None:
        """Closes what has waited too long."""
        oldest = self._loop.time() - IDLE_TIME
        for key, idle in tuple(self._idle.items()):
            for client in tuple(idle):
                if client.idle_since < oldest:
                    client.close()
            if not idle:
                del self._idle[key]

    def close(self) -> None:
        for idle in self._idle.values():
            for client in tuple(idle):
                client.close()

    async def _open(self, exchange: Exchange) -> None:
        destination = exchange.destination
        host = destination.host
        try:
            client, reached = await self._reach(destination)
        except DialError as exc:
            if exc.kind == "private":
                decision = Decision(Verdict.DENY, "network.private", f"moat: denied: {exc}")
                exchange.deny(decision)
            else:
                exchange.failed(504 if exc.kind == "timeout" else 502, str(exc))
        except ssl.SSLError as exc:
            exchange.failed(502, f"{host}: {trust.explain(exc)}")
        except TimeoutError:
            exchange.failed(504, f"{host}: no TLS handshake within {self._network.timeouts.tls:g} s")
        except OSError as exc:
            exchange.failed(502, f"{host}: {exc.strerror or exc}")
        else:
            exchange.connected(client, reached)

    async def _reach(self, destination: Destination) -> tuple[HTTP1Client, Reached]:
        dialled = await self._dialer.dial(destination.host, destination.port)
        reached = Reached(dialled.dns, dialled.connect)
        client = HTTP1Client(self, destination)
        try:
            if destination.scheme == "http":
                await self._loop.create_connection(lambda: client, sock=dialled.sock)
                return client, reached
            context = await self._trusted(("http/1.1",))
            begun = self._loop.time()
            await self._loop.create_connection(
                lambda: client,
                sock=dialled.sock,
                ssl=context,
                server_hostname=destination.host,
                ssl_handshake_timeout=self._network.timeouts.tls,
            )
            reached.tls = self._loop.time() - begun
        except BaseException:
            dialled.sock.close()
            raise
        return client, reached

    async def _trusted(self, alpn: tuple[str, ...]) -> ssl.SSLContext:
        # The system's certificates are parsed once, which takes tens of milliseconds.
        return await self._loop.run_in_executor(
            None, trust.upstream_context, self._network.upstream_ca, alpn
        )
