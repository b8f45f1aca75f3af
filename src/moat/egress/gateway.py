"""A run's way out: opened before its command, taken over by each supervisor, closed with the run."""

from __future__ import annotations

import asyncio
import logging
import resource
import time
from typing import TYPE_CHECKING, Final, ParamSpec

from moat.egress.dns import message
from moat.egress.http import bad_request
from moat.egress.http.h1.server import HTTP1Server
from moat.egress.http.observer import Observer
from moat.egress.ingress.acceptor import Acceptor
from moat.egress.ingress.blocked import WHY, BlockedAttempts
from moat.egress.ingress.listeners import PROXY_PORT, Listeners
from moat.egress.names import canonical_host, is_address
from moat.egress.persistence import PersistentAddresses, read_rules, write_rules
from moat.egress.policy.engine import PLACEHOLDER, Decision, Policy, Verdict
from moat.egress.policy.live_policy import LivePolicy
from moat.egress.policy.routing_decision import decide_route
from moat.egress.tls.leaf_certs import LeafCertificates
from moat.egress.traffic import llm_usage
from moat.egress.traffic.entry import Entry
from moat.egress.traffic.writer import Record
from moat.egress.upstream.dialer import Dialer
from moat.egress.upstream.pool import ConnectionPool

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable, Coroutine

    from moat.egress.http.h2.server import HTTP2Server
    from moat.egress.http.interfaces import PendingExchange
    from moat.egress.http.messages import BadMessageError
    from moat.egress.http.origin_check import Arrival, Connection
    from moat.egress.ingress.listeners import Listen
    from moat.egress.ingress.packets import BlockedAttempt
    from moat.egress.ingress.tunnel import Tunnel
    from moat.egress.policy.live_policy import Question
    from moat.egress.policy.routing_decision import Asker, Route
    from moat.egress.tls.ca import CertificateAuthority
    from moat.egress.traffic.entry import Verdict as Result
    from moat.paths import RunFolder
    from moat.spec.network import Network

P = ParamSpec("P")
log = logging.getLogger(__name__)

MAX_CONNECTIONS: Final = 2000
"""From one sandbox at once; further ones wait in the kernel, or take the place of idle ones."""
_SWEEP_S: Final = 1.0
_DNS_ERRORS: Final = {
    "REFUSED": "REFUSED: only questions of the class IN are answered",
    "SERVFAIL": "SERVFAIL: no address for a new name, which can't be kept on disk",
}
_DESCRIPTORS_ELSEWHERE: Final = 200
"""What the supervisor needs besides connections."""


class RunGateway:
    def __init__(
        self,
        network: Network,
        folder: RunFolder,
        authority: CertificateAuthority,
        loop: asyncio.AbstractEventLoop,
        start: Callable[[Coroutine[None, None, None]], None],
        run: str = PLACEHOLDER,
    ) -> None:
        """`run`: its name."""
        self.network = network
        self.clock = time.monotonic
        self.now = time.time
        self.authority = authority
        self._folder = folder
        self._loop = loop
        self._start = start
        self.decisions = LivePolicy(
            network, read_rules(folder.additions), self._policy_changed, run
        )
        self._names = PersistentAddresses(folder.names)
        try:
            self.record = Record(folder.database)
        except BaseException:
            self._names.close()
            raise
        self.dialer = Dialer(network, lambda: self.policy)
        self.leaves = LeafCertificates(authority, loop)
        self._limit = _raise_descriptor_limit()
        self._upstreams = ConnectionPool(network, self.dialer, loop, self._spawn, self._limit)
        self._arrivals = Acceptor(self, loop)
        self._capture = Listeners(loop, self)
        self._connections: dict[Connection, None] = {}
        self._arriving = 0
        """Connections that nobody serves yet."""
        self._sweeping: asyncio.TimerHandle | None = None
        self._listen: Listen | None = None
        self._refusals: BlockedAttempts | None = None
        self._listening = asyncio.Lock()

    async def open(self, listen: Listen) -> None:
        """From now on everything the sandbox sends arrives here."""
        self._listen = listen
        await self._capture.open(listen, self.policy.ports)
        self._tell_missed({})

    def watch_refusals(self, packets: int) -> None:
        """`packets`: a packet socket that tells what nobody listened for."""
        self._refusals = BlockedAttempts(packets, self._loop, self._refused)

    def _refused(self, attempt: BlockedAttempt) -> None:
        host = self.name_of(attempt.address)
        self.record_refusal(attempt.protocol, host, attempt.port, WHY, "one way out")

    def close(self) -> None:
        if self._refusals is not None:
            self._refusals.close()
        if self._sweeping is not None:
            self._sweeping.cancel()
        self._capture.close()
        for connection in tuple(self._connections):
            connection.close()
        self._upstreams.close()
        self._names.close()
        self.record.close()

    # --- policy ---

    @property
    def policy(self) -> Policy:
        return self.decisions.policy

    def decide(self, method: str, host: str, port: int, path: str) -> Decision:
        return self.decisions.policy.decide(method, host, port, path)

    def ask(self, exchange: PendingExchange, method: str, target: str) -> Question:
        _, host, port = exchange.destination.key
        question = self.decisions.ask(method, host, port, target)

        def answered(answer: asyncio.Future[Decision]) -> None:
            if not answer.cancelled():
                exchange.answered_by_user(answer.result())

        question.answer.add_done_callback(answered)
        return question

    def route(self, asker: Asker, host: str, port: int) -> Route:
        """Where a connection leads, as the policy is now."""
        return decide_route(self.policy, self.dialer, asker, host, port)

    async def amend(self, verdict: Verdict, rule: str) -> int:
        """As `LivePolicy` does. What is open is decided again, and ports are, before this returns."""
        answered = self.decisions.amend(verdict, rule)
        for connection in tuple(self._connections):
            connection.reconsider()
        if self._listen is not None:
            await self._open_ports(self._listen)
        return answered

    @property
    def missed_ports(self) -> list[int]:
        """What the policy opens but a program of the sandbox has taken before: nothing leads there."""
        return sorted(self._capture.missed)

    def _policy_changed(self, additions: list[str]) -> None:
        write_rules(self._folder.additions, additions)

    async def _open_ports(self, listen: Listen) -> None:
        async with self._listening:
            before = self._capture.missed.copy()
            await self._capture.open_ports(listen, self.policy.ports)
            self._tell_missed(before)

    def _tell_missed(self, before: dict[int, str]) -> None:
        for port, why in self._capture.missed.items():
            if port not in before:
                self.record_refusal(
                    "tcp", "", port, f"the port can't be captured: {why}", verdict="failed"
                )

    # --- names ---

    def name_of(self, address: str) -> str:
        """The name behind an address of ours; any other host as it is."""
        return self._names.name(address) or canonical_host(address)

    def answer_dns(self, query: bytes, transport: str) -> bytes | None:
        entry = Entry("dns", self.now())
        answer = message.answer(query, self._address_of, lambda name: self._absence(name).reason)
        entry.scheme = transport
        entry.method = answer.type
        entry.host = answer.name
        entry.port = 53
        entry.total = 0.0
        if answer.code != "NOERROR":
            entry.verdict = "denied" if answer.code in {"NXDOMAIN", "REFUSED"} else "failed"
            entry.rule = self._absence(answer.name).rule if answer.code == "NXDOMAIN" else ""
            entry.error = _DNS_ERRORS.get(answer.code, answer.code)
        self.put(entry)
        return answer.reply

    def _address_of(self, name: str) -> str | None:
        try:
            host = canonical_host(name)
        except ValueError:
            return None
        if is_address(host) or self.policy.hidden(host) is not None:
            return None
        try:
            return self._names.address(host)
        except OSError as exc:  # a full disk: until there is room, nothing passes anyway
            log.error("no address for a new name: %s", exc.strerror)  # noqa: TRY400  no traceback
            raise

    def _absence(self, name: str) -> Decision:
        """Why a name has no address."""
        try:
            hidden = self.policy.hidden(canonical_host(name))
        except ValueError:
            hidden = None
        return hidden or Decision(Verdict.DENY, "names of servers", "moat: it names no server")

    # --- record ---

    def problem(self) -> str:
        if self.record.healthy:
            return ""
        return f"nothing passes while it can't be recorded: {self.record.problem}"

    def put(self, entry: Entry) -> None:
        self.record.put(entry)

    def record_refusal(  # noqa: PLR0913  what is known of something that was not to be
        self,
        scheme: str,
        host: str,
        port: int,
        why: str,
        rule: str = "",
        status: int = 0,
        *,
        verdict: Result = "denied",
    ) -> None:
        entry = Entry("refusal", self.now())
        entry.scheme, entry.host, entry.port = scheme, host, port
        entry.verdict, entry.error, entry.rule, entry.status = verdict, why, rule, status
        entry.total = 0.0
        self.put(entry)

    def record_left(self, scheme: str, host: str, port: int, why: str, also: str = "") -> None:
        """Nobody has refused it: clients open connections that they need after all not."""
        why = f"{why}; {also}" if also else why
        self.record_refusal(scheme, host, port, why, verdict="failed")

    def left(self, arrival: Arrival, why: str) -> None:
        where = arrival.destination
        scheme, host, port = ("http", "", PROXY_PORT) if where is None else where.key
        self.record_left(scheme, host, port, why, arrival.disagreement)

    def begin_tunnel(self, scheme: str, host: str, port: int, rule: str) -> Entry:
        entry = Entry("tunnel", self.now())
        entry.scheme, entry.host, entry.port, entry.rule = scheme, host, port, rule
        self.put(entry)
        return entry

    def malformed(self, arrival: Arrival, problem: BadMessageError) -> None:
        self.put(bad_request.refusal(self.now(), arrival.destination, problem))

    def observer(self, exchange: PendingExchange) -> Observer | None:
        capture = self.network.capture
        request = exchange.request
        asks_model = llm_usage.asks_model(request.method, exchange.target)
        if capture == "none" and not asks_model:
            return None
        if capture == "bodies" or asks_model:
            request.fields[:] = [
                (name, llm_usage.readable(value) if name.lower() == b"accept-encoding" else value)
                for name, value in request.fields
            ]
        return Observer(exchange.entry, request, capture)

    # --- connections ---

    def authorize(self, exchange: PendingExchange) -> None:
        exchange.authorized(exchange.request)

    def connect(self, exchange: PendingExchange, *, fresh: bool) -> None:
        self._upstreams.connect(exchange, fresh=fresh)

    def server(self, arrival: Arrival, protocol: str | None) -> HTTP1Server | HTTP2Server:
        if protocol != "h2":
            return HTTP1Server(self, arrival)
        # Not at the start: most runs never speak it, and it costs time and memory.
        from moat.egress.http.h2.server import HTTP2Server  # noqa: PLC0415

        return HTTP2Server(self, arrival)

    def room(self) -> bool:
        if len(self._connections) + self._arriving < self._limit:
            return True
        return self._arriving < self._limit and self._close_idle()

    def _close_idle(self) -> bool:
        """Of those that wait for a request, ends the one that has waited longest."""
        idle = [each for each in self._connections if each.idle]
        if not idle:
            return False
        oldest = min(idle, key=lambda each: each.waits_since)
        # It will say itself that it is closed, but not before others have been accepted.
        del self._connections[oldest]
        oldest.close()
        return True

    def arrived(self, sock: socket.socket) -> None:
        self._arriving += 1
        self._spawn(self._serve, sock)

    async def _serve(self, sock: socket.socket) -> None:
        try:
            await self._arrivals.serve(sock)
        finally:
            self._arriving -= 1
            self._capture.go_on()

    def opened(self, connection: Connection) -> None:
        self._connections[connection] = None
        if self._sweeping is None:
            self._sweeping = self._loop.call_later(_SWEEP_S, self._sweep)

    def closed(self, connection: Connection) -> None:
        self._connections.pop(connection, None)
        self._capture.go_on()

    def tunnel_ended(self, tunnel: Tunnel, entry: Entry) -> None:
        self.closed(tunnel)
        self.put(entry)

    def _sweep(self) -> None:
        """Ends what has taken too long. One timer for all: most connections never need theirs."""
        now = self.clock()
        timeouts = self.network.timeouts
        for connection in tuple(self._connections):
            connection.check(now, timeouts)
        self._upstreams.sweep()
        again = self._connections or not self._upstreams.empty
        self._sweeping = self._loop.call_later(_SWEEP_S, self._sweep) if again else None

    def _spawn(self, work: Callable[P, Awaitable[None]], *given: P.args, **named: P.kwargs) -> None:
        self._start(_contained(work, *given, **named))


async def _contained(work: Callable[P, Awaitable[None]], *given: P.args, **named: P.kwargs) -> None:
    """One connection's error is no other's: what nobody foresaw ends here, in the log."""
    try:
        await work(*given, **named)
    except Exception:
        log.exception("a connection failed")


def _raise_descriptor_limit() -> int:
    """As many descriptors as we may have; how many connections that is: each takes two."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * MAX_CONNECTIONS + _DESCRIPTORS_ELSEWHERE
    granted = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
    resource.setrlimit(resource.RLIMIT_NOFILE, (granted, hard))
    return min(MAX_CONNECTIONS, (granted - _DESCRIPTORS_ELSEWHERE) // 2)
