"""The services of one run for its exchanges: policy, record, and connections to servers.

On the path of every request, so it does little itself: `http.interfaces.Gateway` says what an exchange
may ask for, and each part of the run answers its own question.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from moat.egress.http.fields import size_of
from moat.egress.http.observer import Observer
from moat.egress.traffic import llm_usage

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from moat.egress.authorization.authorizer import Authorizer
    from moat.egress.budget.live_budget import LiveBudget, WaitingRequest
    from moat.egress.connections import ConnectionTable
    from moat.egress.http.interfaces import (
        Connection,
        Destination,
        PendingExchange,
        ResponseReceiver,
    )
    from moat.egress.http.messages import BadMessageError, RequestHead
    from moat.egress.mcp.guard import McpGuard
    from moat.egress.policy.decision import Decision
    from moat.egress.policy.live_policy import LivePolicy, Question
    from moat.egress.reporter import TrafficReporter
    from moat.egress.traffic.entry import TrafficEntry
    from moat.egress.upstream.pool import ConnectionPool
    from moat.spec.network import Capture

_FRAMING: Final = 48
"""Bytes of a head's own words, and of its field about the length of the body."""


class ExchangeServices:
    def __init__(
        self,
        capture: Capture,
        policy: LivePolicy,
        budget: LiveBudget,
        reporter: TrafficReporter,
        pool: ConnectionPool,
        connections: ConnectionTable,
    ) -> None:
        self.clock: Callable[[], float] = time.monotonic
        self.now: Callable[[], float] = time.time
        self._capture: Capture = capture
        self._policy = policy
        self._budget = budget
        self._reporter = reporter
        self._pool = pool
        self._connections = connections
        self.authorizer: Authorizer | None = None
        """Puts in the run's credentials; `None` for a run without grants."""
        self.mcp: McpGuard | None = None
        """Looks into calls of tools; `None` for a run without MCP servers."""

    # --- for an exchange ---

    def problem(self) -> str:
        return self._reporter.problem()

    def decide(self, method: str, host: str, port: int, path: str) -> Decision:
        return self._policy.policy.decide(method, host, port, path)

    def denies_paths(self, method: str, host: str, port: int) -> bool:
        return self._policy.policy.denies_paths(method, host, port)

    def denied_path(self, method: str, host: str, port: int, path: str) -> Decision | None:
        return self._policy.policy.denied_path(method, host, port, path)

    def ask(self, exchange: PendingExchange, method: str, target: str) -> Question:
        _, host, port = exchange.destination.key
        question = self._policy.ask(method, host, port, target)

        def answered(answer: asyncio.Future[Decision]) -> None:
            if not answer.cancelled():
                exchange.answered_by_user(answer.result())

        question.answer.add_done_callback(answered)
        return question

    def charge(self, exchange: PendingExchange) -> Decision | None:
        entry, request = exchange.entry, exchange.request
        budget = self._budget
        size = _head_size(request) if budget.limits_bytes else 0
        model = entry.asks_model
        against = budget.charge(size, request.framing, model=model, waits=True)
        entry.counts_tokens = model and against is None
        return against

    def ask_for_more(self, exchange: PendingExchange, decision: Decision) -> WaitingRequest:
        return self._budget.ask(exchange, decision)

    def send(self, entry: TrafficEntry, size: int) -> Decision | None:
        against = self._budget.send(size)
        if against is None and self._budget.saves():
            self._reporter.put(entry)  # the counts are written together with it
        return against

    def authorize(self, exchange: PendingExchange) -> None:
        server = None if self.mcp is None else self.mcp.server_of(exchange)
        if server is None:
            self._authorize(exchange)
        else:
            server.pass_on(exchange, lambda: self._authorize(exchange))

    def _authorize(self, exchange: PendingExchange) -> None:
        if self.authorizer is None:
            self._send(exchange, exchange.request, exchange.target, None)
        else:
            self.authorizer.authorize(exchange, self._send)

    def revoked(self, credential: str) -> Decision | None:
        return None if self.authorizer is None else self.authorizer.revoked(credential)

    def _send(
        self,
        exchange: PendingExchange,
        request: RequestHead,
        target: str,
        receiver: ResponseReceiver | None,
    ) -> None:
        if self._reads_bodies(exchange):
            request = request.copy()
            request.fields = [
                (name, llm_usage.readable(value) if name.lower() == b"accept-encoding" else value)
                for name, value in request.fields
            ]
        exchange.authorized(request, target, receiver)

    def _reads_bodies(self, exchange: PendingExchange) -> bool:
        """Tell whether the response is looked into, and so must have a coding that can be decoded."""
        return self._capture == "bodies" or exchange.entry.asks_model

    def connect(self, exchange: PendingExchange, *, fresh: bool) -> None:
        self._pool.connect(exchange, fresh=fresh)

    def observer(self, exchange: PendingExchange) -> Observer | None:
        capture = self._capture
        entry, request = exchange.entry, exchange.request
        if llm_usage.asks_model(request.method, exchange.target, entry.host):
            entry.asks_model = True
        elif capture == "none":
            return None
        return Observer(entry, request, capture)

    def put(self, entry: TrafficEntry) -> None:
        if entry.counts_tokens and entry.total >= 0:
            entry.counts_tokens = False
            self._budget.answered(entry.usage, entry.host)
        self._reporter.put(entry)

    # --- for the connection that it came by ---

    def opened(self, connection: Connection) -> None:
        self._connections.opened(connection)

    def closed(self, connection: Connection) -> None:
        self._connections.closed(connection)

    def abandoned(self, destination: Destination | None, why: str) -> None:
        self._reporter.abandoned(destination, why)

    def malformed(self, destination: Destination | None, problem: BadMessageError) -> None:
        self._reporter.malformed(destination, problem)


def _head_size(request: RequestHead) -> int:
    """Return about how many bytes the head of a request has, with its fields of framing."""
    line = len(request.method) + len(request.target) + len(request.host or b"")
    return line + size_of(request.fields) + _FRAMING
