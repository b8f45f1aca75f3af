"""The record of a run's traffic besides requests: denials, failures, tunnels.

A request's entry is filled in by its exchange (`http.exchange`), a question's by the name server.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from moat.egress.http import bad_request
from moat.egress.traffic.entry import TrafficEntry
from moat.spec.network import PROXY_PORT

if TYPE_CHECKING:
    from collections.abc import Callable

    from moat.egress.http.interfaces import Destination
    from moat.egress.http.messages import BadMessageError
    from moat.egress.policy.decision import Decision
    from moat.egress.policy.routing_decision import OpenTunnel
    from moat.egress.traffic.room import Dropped
    from moat.egress.traffic.writer import TrafficWriter


def _nothing() -> str:
    return ""


def _ignore(_: object) -> None:
    """Do nothing: the record keeps what was denied, and the sums of what it dropped."""


class TrafficReporter:
    def __init__(self, writer: TrafficWriter, now: Callable[[], float]) -> None:
        """`now` returns seconds since the epoch."""
        self._writer = writer
        self._now = now
        self.on_denied: Callable[[TrafficEntry], None] = _ignore
        """Called with each entry that says what was denied."""
        self.on_dropped: Callable[[Dropped], None] = _ignore
        """Called when the record has dropped entries to make room."""
        self.audit_problem: Callable[[], str] = _nothing
        """Returns why the audit log lets nothing pass; empty while it does."""

    def dropped(self, dropped: Dropped) -> None:
        self.on_dropped(dropped)

    def problem(self) -> str:
        """Return why nothing may pass at all, in one line; empty while all is well."""
        if self._writer.healthy:
            return self.audit_problem()
        return f"nothing passes while it can't be recorded: {self._writer.problem}"

    def put(self, entry: TrafficEntry) -> None:
        """Record an entry as it is now."""
        self._writer.put(entry)
        if entry.verdict == "denied":
            self.on_denied(entry)

    def denied(
        self, scheme: str, host: str, port: int, decision: Decision, status: int = 0
    ) -> None:
        """Record what was refused before there was a request. `status`: that of the answer, if any."""
        entry = self._refusal(scheme, host, port, decision.why)
        entry.verdict, entry.rule, entry.status = "denied", decision.rule, status
        self.put(entry)

    def failed(self, scheme: str, host: str, port: int, why: str) -> None:
        """Record what came to nothing, and was nobody's decision."""
        entry = self._refusal(scheme, host, port, why)
        entry.verdict = "failed"
        self.put(entry)

    def abandoned(self, destination: Destination | None, why: str) -> None:
        """Record a connection without a complete request; `None`: to the proxy port."""
        key = ("http", "", PROXY_PORT) if destination is None else destination.key
        self.failed(*key, why)

    def malformed(self, destination: Destination | None, problem: BadMessageError) -> None:
        """Record a request that can't be understood."""
        self.put(bad_request.refusal(self._now(), destination, problem))

    def begin_tunnel(self, route: OpenTunnel, host: str, port: int) -> TrafficEntry:
        """Record a tunnel that is being opened. Whoever ends it puts the entry once more."""
        entry = TrafficEntry("tunnel", self._now())
        entry.scheme, entry.host, entry.port, entry.rule = route.scheme, host, port, route.rule
        self.put(entry)
        return entry

    def _refusal(self, scheme: str, host: str, port: int, why: str) -> TrafficEntry:
        entry = TrafficEntry("refusal", self._now())
        entry.scheme, entry.host, entry.port, entry.error = scheme, host, port, why
        entry.total = 0.0
        return entry
