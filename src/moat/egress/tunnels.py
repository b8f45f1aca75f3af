"""Tunnels of one run: dialled, recorded, and joined to the connection that asked for them.

Between `ingress`, which knows the client, and `upstream`, which knows the way to the server.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from moat.egress.ingress.new_connection import close_with
from moat.egress.ingress.tunnel import Tunnel
from moat.egress.policy.routing_decision import Asker, Refuse
from moat.egress.tls.alert import Alert
from moat.egress.upstream.dialer import DialError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from moat.egress.budget.live_budget import LiveBudget
    from moat.egress.connections import ConnectionTable
    from moat.egress.ingress.new_connection import NewConnection
    from moat.egress.policy.routing_decision import OpenTunnel, Route
    from moat.egress.reporter import TrafficReporter
    from moat.egress.traffic.entry import TrafficEntry
    from moat.egress.upstream.dialer import Dialer, Dialled

_ASKERS: Final = {"tcp": Asker.TCP_TUNNEL, "tls": Asker.TLS_TUNNEL}


class TunnelWatch(Protocol):
    """Somebody who sees what a server sends through a tunnel."""

    def received(self, data: bytes) -> None:
        """Take the next bytes, which the client doesn't have yet."""
        ...

    def ended(self) -> None:
        """The tunnel is closed."""
        ...


class TunnelOpener:
    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        dialer: Dialer,
        route: Callable[[Asker, str, int], Route],
        reporter: TrafficReporter,
        connections: ConnectionTable,
        budget: LiveBudget,
    ) -> None:
        self._loop = loop
        self._dialer = dialer
        self._route = route
        self._reporter = reporter
        self._connections = connections
        self._budget = budget
        self.watch: Callable[[str, int], TunnelWatch | None] = lambda _host, _port: None
        """Returns who is to watch a tunnel of raw TCP to a host and port."""

    async def open(self, connection: NewConnection, route: OpenTunnel) -> None:
        """Dial the server and join the connection to it; close the connection if that fails."""
        host, port = connection.host, connection.port
        against = self._budget.charge(0, 0, model=False, waits=False)
        if against is not None:
            self._reporter.denied(route.scheme, host, port, against)
            self._refuse(connection, route, Alert.ACCESS_DENIED)
            return
        entry = self._reporter.begin_tunnel(route, host, port)
        begun = self._loop.time()
        try:
            dialled = await self._dial(host, port)
        except DialError as exc:
            denied = exc.kind == "private"
            entry.verdict = "denied" if denied else "failed"
            entry.error = str(exc)
            entry.total = self._loop.time() - begun
            self._reporter.put(entry)
            alert = Alert.ACCESS_DENIED if denied else Alert.INTERNAL_ERROR
            self._refuse(connection, route, alert)
            return
        entry.address, entry.dns, entry.connect = dialled.address, dialled.dns, dialled.connect

        def ended(tunnel: Tunnel, why: str) -> None:
            entry.sent, entry.received = tunnel.client.received, tunnel.server.received
            if why:
                entry.verdict = "denied" if entry.verdict == "denied" else "failed"
                entry.error = why
            entry.total = self._loop.time() - begun
            if watch is not None:
                watch.ended()
            self._connections.closed(tunnel)
            self._reporter.put(entry)

        watch = self.watch(host, port) if route.scheme == "tcp" else None
        tunnel = Tunnel(self._loop, ended, lambda: self._denial(route, entry))
        if watch is not None:
            tunnel.server.watched = watch.received
        tunnel.client.may_send = lambda size: self._against(entry, size)
        self._connections.opened(tunnel)
        await tunnel.join(connection.sock, dialled.sock)
        tunnel.reconsider()  # the policy may have changed meanwhile

    @staticmethod
    def _refuse(connection: NewConnection, route: OpenTunnel, alert: Alert) -> None:
        close_with(connection.sock, alert.record() if route.scheme == "tls" else b"")

    def _against(self, entry: TrafficEntry, size: int) -> str:
        """Return why a tunnel may not send so many more bytes; empty if it may."""
        against = self._budget.send(size)
        if against is None:
            if self._budget.saves():
                self._reporter.put(entry)  # the counts are written together with it
            return ""
        entry.verdict, entry.rule = "denied", against.rule
        return against.why

    async def _dial(self, host: str, port: int) -> Dialled:
        problem = self._reporter.problem()
        if problem:
            raise DialError("refused", problem)
        return await self._dialer.dial(host, port)

    def _denial(self, route: OpenTunnel, entry: TrafficEntry) -> str:
        """Return why the policy, as it is now, does not open a tunnel; empty while it does."""
        now = self._route(_ASKERS[route.scheme], entry.host, entry.port)
        if not isinstance(now, Refuse):
            return ""
        entry.verdict, entry.rule = "denied", now.decision.rule
        return now.decision.why
