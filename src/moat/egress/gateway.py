"""A run's way out: opened before its command, taken over by each supervisor, closed with the run."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import TYPE_CHECKING, Final, ParamSpec

from moat.egress.budget.live_budget import LiveBudget
from moat.egress.connections import ConnectionTable, connection_limit, contained
from moat.egress.dns.name_server import NameServer
from moat.egress.exchange_services import ExchangeServices
from moat.egress.ingress.acceptor import Acceptor
from moat.egress.ingress.blocked import WHY, BlockedAttempts
from moat.egress.ingress.interfaces import Services
from moat.egress.ingress.listeners import Listeners
from moat.egress.persistence import (
    PersistentAddresses,
    PersistentLimits,
    read_rules,
    write_rules,
)
from moat.egress.policy.decision import Decision, Verdict
from moat.egress.policy.denials import ONE_WAY_OUT
from moat.egress.policy.engine import PLACEHOLDER, Policy
from moat.egress.policy.live_policy import LivePolicy
from moat.egress.policy.routing_decision import decide_route
from moat.egress.reporter import TrafficReporter
from moat.egress.tls.leaf_certs import LeafCertificates
from moat.egress.traffic.writer import Bounds, TrafficWriter
from moat.egress.tunnels import TunnelOpener
from moat.egress.upstream.connector import Connector
from moat.egress.upstream.dialer import Dialer
from moat.egress.upstream.pool import ConnectionPool
from moat.spec.budget import NO_LIMITS

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable, Coroutine, Sequence

    from moat.egress.authorization.authorizer import Authorizer, CredentialSource
    from moat.egress.ingress.listeners import Listen
    from moat.egress.ingress.packets import BlockedAttempt
    from moat.egress.policy.routing_decision import Asker, Route
    from moat.egress.tls.ca import CertificateAuthority
    from moat.paths import RunFolder
    from moat.spec.budget import Budget
    from moat.spec.grants import Grant
    from moat.spec.network import Network

P = ParamSpec("P")

_BLOCKED: Final = Decision(Verdict.DENY, ONE_WAY_OUT, WHY)


class RunGateway:
    """Puts together what a run's traffic passes through; `amend` changes its policy while it runs."""

    def __init__(  # noqa: PLR0913, PLR0917  a run's parts, the last ones as users have them
        self,
        network: Network,
        folder: RunFolder,
        authority: CertificateAuthority,
        loop: asyncio.AbstractEventLoop,
        start: Callable[[Coroutine[None, None, None]], None],
        run: str = PLACEHOLDER,
        budget: Budget = NO_LIMITS,
    ) -> None:
        """`start` runs a task, `run` is the run's name. Raises `OSError` and `StoreError`."""
        self.network = network
        self.authority = authority
        self._folder = folder
        self._loop = loop
        self._start = start
        self.live_policy = LivePolicy(network, read_rules(folder.additions), self._save_rules, run)
        changed = PersistentLimits(folder.limits)
        self._addresses = PersistentAddresses(folder.names)
        try:
            self.traffic = TrafficWriter(folder.database, Bounds(bytes=network.traffic_limit))
        except BaseException:
            self._addresses.close()
            raise
        self.budget = LiveBudget(
            budget,
            self.traffic.spent_before,
            changed,
            loop,
            run,
            network.ask_timeout,
        )
        self.traffic.spent = self.budget.stored
        reporter = self.reporter = TrafficReporter(self.traffic, time.time)
        self.traffic.on_dropped = partial(loop.call_soon_threadsafe, reporter.dropped)
        limit = connection_limit()
        dialer = self._dialer = Dialer(network, lambda: self.policy)
        connector = Connector(network, dialer, loop)
        self._pool = ConnectionPool(connector, loop, self._spawn, limit)
        self.connections = ConnectionTable(
            limit, network.timeouts, loop, sweep_upstream=self._pool.sweep, on_room=self._resume
        )
        self.name_server = NameServer(self._addresses, lambda: self.policy, reporter.put, time.time)
        self.services = ExchangeServices(
            network.capture, self.live_policy, self.budget, reporter, self._pool, self.connections
        )
        if network.mcp:
            from moat.egress.mcp.guard import McpGuard  # noqa: PLC0415  most runs have no servers

            self.services.mcp = McpGuard(network.mcp)
        self.tunnels = TunnelOpener(
            loop, dialer, self._route, reporter, self.connections, self.budget
        )
        services = Services(
            self._addresses.host_of,
            self._route,
            self.name_server.answer,
            LeafCertificates(authority, loop),
            reporter,
            self.tunnels,
            self.services,
        )
        self._acceptor = Acceptor(services, network.timeouts, loop)
        self._listeners = Listeners(loop, self.connections, self._accepted, self.name_server.answer)
        self._listen: Listen | None = None
        self._listening = asyncio.Lock()
        self._blocked: BlockedAttempts | None = None

    def grant(self, grants: Sequence[Grant], source: CredentialSource) -> Authorizer:
        """Put credentials into requests from now on."""
        from moat.egress.authorization.authorizer import (  # noqa: PLC0415  most runs have no grants
            Authorizer,
        )

        authorizer = Authorizer(grants, source, self._spawn)
        self.services.authorizer = authorizer
        return authorizer

    async def open(self, listen: Listen) -> None:
        """Take everything that the sandbox sends from now on. Raises `OSError`."""
        self._listen = listen
        await self._listeners.open(listen, self.policy.ports)
        self._report_missed({})

    def watch_blocked(self, packets: int) -> None:
        """Record what the kernel refuses. `packets`: the descriptor of a filtered packet socket."""
        self._blocked = BlockedAttempts(packets, self._loop, self._report_blocked)

    def close(self) -> None:
        if self._blocked is not None:
            self._blocked.close()
        self._listeners.close()
        self.connections.close()
        self._pool.close()
        self._addresses.close()
        self.traffic.close()

    # --- policy ---

    @property
    def policy(self) -> Policy:
        return self.live_policy.policy

    async def amend(self, verdict: Verdict, rule: str) -> int:
        """Put a rule before all others, and return how many waiting requests that decides.

        When it returns, what is open has been decided again, and the ports that the rule opens are
        captured. Raises `UsageError`.
        """
        answered = self.live_policy.amend(verdict, rule)
        self.connections.reconsider()
        if self._listen is not None:
            await self._open_ports(self._listen)
        return answered

    @property
    def missed_ports(self) -> list[int]:
        """Ports that the policy opens, but that aren't captured: a program of the sandbox has them."""
        return sorted(self._listeners.missed)

    def takes(self, port: int) -> bool:
        """Return whether connections of the sandbox to a port end here, or may at any moment."""
        return port in self.policy.ports or port in self._listeners.ports

    def _route(self, asker: Asker, host: str, port: int) -> Route:
        return decide_route(self.policy, self._dialer, asker, host, port)

    def _save_rules(self, additions: list[str]) -> None:
        write_rules(self._folder.additions, additions)

    async def _open_ports(self, listen: Listen) -> None:
        async with self._listening:
            before = self._listeners.missed.copy()
            await self._listeners.open_ports(listen, self.policy.ports)
            self._report_missed(before)

    def _report_missed(self, before: dict[int, str]) -> None:
        for port, why in self._listeners.missed.items():
            if port not in before:
                self.reporter.failed("tcp", "", port, f"the port can't be captured: {why}")

    def _report_blocked(self, attempt: BlockedAttempt) -> None:
        host = self._addresses.host_of(attempt.address)
        self.reporter.denied(attempt.protocol, host, attempt.port, _BLOCKED)

    # --- connections ---

    def _accepted(self, sock: socket.socket) -> None:
        self.connections.accepted()
        self._spawn(self._serve, sock)

    async def _serve(self, sock: socket.socket) -> None:
        try:
            await self._acceptor.serve(sock)
        finally:
            self.connections.classified()

    def _resume(self) -> None:
        self._listeners.resume()

    def _spawn(self, work: Callable[P, Awaitable[None]], *args: P.args, **kwargs: P.kwargs) -> None:
        self._start(contained(work, *args, **kwargs))
