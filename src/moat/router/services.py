"""The services of the router for its requests: where each leads, and what it says of its way here.

Implements `ServerGateway`, as the proxy of a run does. Nothing is decided by rules or recorded: a
request comes from the user's own programs, and goes to a port that the user has published.
"""

from __future__ import annotations

import logging
import re
import time
from typing import TYPE_CHECKING, Final

from moat.egress.policy.decision import Decision, Verdict
from moat.router import pages
from moat.router.table import Problem, Route
from moat.router.upstream import PageUpstream, Unanswered

if TYPE_CHECKING:
    from collections.abc import Callable

    from moat.egress.connections import ConnectionTable
    from moat.egress.http.interfaces import (
        Connection,
        Destination,
        PendingExchange,
        Question,
        ResponseReceiver,
    )
    from moat.egress.http.messages import BadMessageError, RequestHead
    from moat.egress.http.observer import Observer
    from moat.egress.traffic.entry import TrafficEntry
    from moat.egress.upstream.pool import ConnectionPool
    from moat.router.directory import Directory
    from moat.router.table import Table

log = logging.getLogger(__name__)

_ALLOWED: Final = Decision(Verdict.ALLOW, "")
_REPLACED: Final = re.compile(rb"(?:x[-_]forwarded[-_].*|x[-_]real[-_]ip|forwarded)", re.IGNORECASE)
"""Fields that tell a server who is at the other end, of which the router alone can know.

Servers that hand fields on as variables take an underscore for a hyphen.
"""
_CLIENT: Final = (b"X-Forwarded-For", b"127.0.0.1")


class RouterServices:
    def __init__(
        self, directory: Directory, pool: ConnectionPool, connections: ConnectionTable
    ) -> None:
        self.clock: Callable[[], float] = time.monotonic
        self.now: Callable[[], float] = time.time
        self._directory = directory
        self._pool = pool
        self._connections = connections

    # --- the way of a request ---

    def authorize(self, exchange: PendingExchange) -> None:
        request = forwarded(exchange.request, exchange.destination)
        exchange.authorized(request, exchange.target, self._receiver(exchange))

    def _receiver(self, exchange: PendingExchange) -> ResponseReceiver | None:
        found = self._directory.find(exchange.destination)
        if not isinstance(found, Route):
            return None
        why = f"nothing answers at port {found.port.number} of run {found.run.name}"
        return Unanswered(exchange, f"{why}: does its server listen yet?")

    def connect(self, exchange: PendingExchange, *, fresh: bool) -> None:
        found = self._directory.find(exchange.destination)
        if isinstance(found, Route):
            self._pool.connect(exchange, fresh=fresh)
        else:
            exchange.connected(PageUpstream(self._page(exchange, found)), None)

    def _page(self, exchange: PendingExchange, found: Problem | Table) -> pages.Page:
        scheme, _, number = exchange.destination.key
        if isinstance(found, Problem):
            return pages.problem(found, scheme, number)
        if exchange.target != "/":
            elsewhere = Problem(404, "there is no such page", "The list of runs is at /")
            return pages.problem(elsewhere, scheme, number)
        return pages.index(found.runs, scheme, number)

    # --- what a policy would say ---

    def problem(self) -> str:
        return ""

    def decide(self, method: str, host: str, port: int, path: str) -> Decision:
        del method, host, port, path
        return _ALLOWED

    def denies_paths(self, method: str, host: str, port: int) -> bool:
        del method, host, port
        return False

    def denied_path(self, method: str, host: str, port: int, path: str) -> None:
        del method, host, port, path

    def ask(self, exchange: PendingExchange, method: str, target: str) -> Question:
        raise AssertionError(f"no decision asks: {method} {target} of {exchange}")

    def charge(self, exchange: PendingExchange) -> None:
        del exchange

    def ask_for_more(self, exchange: PendingExchange, decision: Decision) -> Question:
        raise AssertionError(f"no limit asks: {decision} of {exchange}")

    def send(self, entry: TrafficEntry, size: int) -> None:
        del entry, size

    def revoked(self, credential: str) -> None:
        del credential

    # --- what a record would keep ---

    def observer(self, exchange: PendingExchange) -> Observer | None:
        del exchange
        return None

    def put(self, entry: TrafficEntry) -> None:
        del entry

    def abandoned(self, destination: Destination | None, why: str) -> None:
        del destination, why

    def malformed(self, destination: Destination | None, problem: BadMessageError) -> None:
        del destination
        log.info("a request can't be understood: %s", problem)

    # --- connections ---

    def opened(self, connection: Connection) -> None:
        self._connections.opened(connection)

    def closed(self, connection: Connection) -> None:
        self._connections.closed(connection)


def forwarded(request: RequestHead, destination: Destination) -> RequestHead:
    """Return the request as a server gets it, which is told by which URL the client asked."""
    fields = [field for field in request.fields if not _REPLACED.fullmatch(field[0])]
    fields += (
        _CLIENT,
        (b"X-Forwarded-Host", destination.authority),
        (b"X-Forwarded-Proto", destination.scheme.encode("ascii")),
    )
    return request.with_fields(fields)
