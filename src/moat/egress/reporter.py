"""What a run records of its traffic besides requests: denials, failures, tunnels.

A request's entry is filled in by its exchange (`http.exchange`), a question's by the name server.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from moat.egress.http import bad_request
from moat.egress.traffic.entry import Entry
from moat.spec.network import PROXY_PORT

if TYPE_CHECKING:
    from collections.abc import Callable

    from moat.egress.http.messages import BadMessageError
    from moat.egress.http.origin_check import Arrival
    from moat.egress.policy.decision import Decision
    from moat.egress.policy.routing_decision import OpenTunnel
    from moat.egress.traffic.writer import Record


def _ignore(_entry: Entry) -> None:
    """Do nothing: the record keeps what was denied."""


class TrafficReporter:
    def __init__(self, record: Record, now: Callable[[], float]) -> None:
        """`now` returns seconds since the epoch."""
        self._record = record
        self._now = now
        self.on_denied: Callable[[Entry], None] = _ignore
        """Called with each entry that says what was denied."""

    def problem(self) -> str:
        """Return why nothing may pass at all, in one line; empty while all is well."""
        if self._record.healthy:
            return ""
        return f"nothing passes while it can't be recorded: {self._record.problem}"

    def put(self, entry: Entry) -> None:
        """Record an entry as it is now."""
        self._record.put(entry)
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

    def left(self, arrival: Arrival, why: str) -> None:
        """Record a connection that ended before there was a request on it."""
        destination = arrival.destination
        key = ("http", "", PROXY_PORT) if destination is None else destination.key
        also = arrival.disagreement
        self.failed(*key, f"{why}; {also}" if also else why)

    def malformed(self, arrival: Arrival, problem: BadMessageError) -> None:
        """Record a request that can't be understood."""
        self.put(bad_request.refusal(self._now(), arrival.destination, problem))

    def begin_tunnel(self, route: OpenTunnel, host: str, port: int) -> Entry:
        """Record a tunnel that is being opened. Whoever ends it puts the entry once more."""
        entry = Entry("tunnel", self._now())
        entry.scheme, entry.host, entry.port, entry.rule = route.scheme, host, port, route.rule
        self.put(entry)
        return entry

    def _refusal(self, scheme: str, host: str, port: int, why: str) -> Entry:
        entry = Entry("refusal", self._now())
        entry.scheme, entry.host, entry.port, entry.error = scheme, host, port, why
        entry.total = 0.0
        return entry
