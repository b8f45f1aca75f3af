"""Spans of a run: itself, its commands, its requests, its calls of language models.

Attributes have the names of OpenTelemetry's semantic conventions (HTTP, GenAI) where there is one. All
that is said of a request comes from the record, which is redacted. The same run has the same ids each
time, so a collector that gets a span twice can tell.
"""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from moat.egress.traffic.schema import TOKENS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from moat.egress.traffic.schema import Row
    from moat.runs.store import Run
    from moat.spec import RunSpec

Attributes = dict[str, "str | int | float | bool"]

_PROVIDERS: Final = {"anthropic": "anthropic", "openai": "openai", "gemini": "gcp.gemini"}
_METHODS: Final = frozenset("GET HEAD POST PUT DELETE CONNECT OPTIONS TRACE PATCH QUERY".split())
"""Methods that name spans; a run can make up others without end."""
_LONGEST: Final = 2048
"""Characters of an attribute's value."""


class Span(NamedTuple):
    """A span of one trace; times are in seconds since the epoch."""

    trace: int
    id: int
    parent: int
    """The id of another span; 0: it has none."""
    name: str
    kind: Literal["internal", "client"]
    start: float
    end: float
    attributes: Attributes
    error: str | None = None
    """The reason why it failed; `None`: it has not."""


def resource(spec: RunSpec) -> Attributes:
    """Return what holds for all spans of a run."""
    known: Attributes = {
        "service.name": "moat",
        "moat.run.id": spec.id,
        "moat.run.name": spec.name,
        "moat.run.engine": spec.engine,
    }
    if spec.agent is not None:
        known["moat.run.agent"] = spec.agent.name
    return known


class RunSpans:
    """Makes the spans of one run."""

    def __init__(self, run_id: str) -> None:
        self._id = run_id
        self._trace = _number("run", run_id) << 64 | _number("trace", run_id)
        self._root = _number("root", run_id)

    def run(self, run: Run) -> Span:
        """Return the span of a run that has ended, which all others are in."""
        start = _seconds(run.started_at or run.created_at)
        end = _seconds(run.stopped_at) if run.stopped_at else start
        attributes: Attributes = {"moat.run.state": str(run.state)}
        if run.exit_code is not None:
            attributes["process.exit.code"] = run.exit_code
        error = None
        if run.exit_code != 0:
            error = run.error or f"{run.state}, exit code {run.exit_code}"
        return Span(
            self._trace, self._root, 0, "run", "internal", start, max(start, end), attributes, error
        )

    def command(self, started: Mapping[str, Any], ended: Mapping[str, Any]) -> Span:
        """Return the span of a further command, by its two events."""
        session = str(started["session"])
        attributes: Attributes = {"moat.session": session}
        if ended["exit_code"] is not None:
            attributes["process.exit.code"] = int(ended["exit_code"])
        error = None
        if ended["exit_code"] != 0:
            error = str(ended["error"] or f"exit code {ended['exit_code']}")
        start, end = _seconds(str(started["time"])), _seconds(str(ended["time"]))
        number, end = _number(f"exec {session}", self._id), max(start, end)
        return Span(
            self._trace, number, self._root, "exec", "internal", start, end, attributes, error
        )

    def of_row(self, row: Row) -> Iterator[Span]:
        """Yield the spans of a complete row of the record; questions of DNS have none."""
        if row.kind == "dns":
            return
        failure = None if row.verdict == "allowed" and row.status < 400 else _failure(row)
        name = row.kind if not row.is_http else row.method if row.method in _METHODS else "HTTP"
        request = self._client(row, name, "row", _http(row), failure)
        if row.usage is None:
            yield request
            return
        attributes = _model(row, json.loads(row.usage))
        model = attributes.get("gen_ai.response.model")
        call = self._client(row, f"chat {model}" if model else "chat", "model", attributes, failure)
        yield call
        yield request._replace(parent=call.id)

    def _client(
        self, row: Row, name: str, key: str, attributes: Attributes, error: str | None
    ) -> Span:
        number, end = _number(f"{key} {row.id}", self._id), row.time + max(0.0, row.total)
        return Span(
            self._trace, number, self._root, name, "client", row.time, end, attributes, error
        )


def _http(row: Row) -> Attributes:
    known: Attributes = {
        "moat.verdict": row.verdict,
        "moat.rule": row.rule,
        "moat.credential": row.credential,
        "server.address": row.host,
        "server.port": row.port,
        "network.peer.address": row.address,
    }
    if row.is_http:
        name, _, version = row.protocol.partition("/")
        known |= {
            "http.request.method": row.method,
            "url.full": row.url[:_LONGEST],
            "url.scheme": row.scheme,
            "http.response.status_code": row.status,
            "network.protocol.name": name.lower(),
            "network.protocol.version": version,
            "http.request.body.size": row.sent,
            "http.response.body.size": row.received,
        }
    else:
        known |= {
            "network.transport": "udp" if row.scheme == "udp" else "tcp",
            "moat.sent": row.sent,
            "moat.received": row.received,
        }
    if row.verdict != "allowed" or row.status >= 400 or row.error:
        known["error.type"] = str(row.status) if row.status >= 400 else row.verdict
    return {name: value for name, value in known.items() if value not in {"", 0}}


def _model(row: Row, usage: Mapping[str, Any]) -> Attributes:
    provider = str(usage.get("provider") or "")
    counts = {kind: count for kind in TOKENS if isinstance(count := usage.get(kind), int)}
    known: Attributes = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": _PROVIDERS.get(provider, provider),
        "server.address": row.host,
    }
    if usage.get("model"):
        # Both are what the record has: the model that has answered, or else the one that was asked.
        known["gen_ai.request.model"] = known["gen_ai.response.model"] = str(usage["model"])
    if counts:
        # By the conventions, the input includes what caches gave and took.
        cached = [counts.get(kind, 0) for kind in ("cache_read_tokens", "cache_write_tokens")]
        known["gen_ai.usage.input_tokens"] = counts.get("input_tokens", 0) + sum(cached)
        known["gen_ai.usage.cache_read.input_tokens"] = cached[0]
        known["gen_ai.usage.cache_creation.input_tokens"] = cached[1]
        known["gen_ai.usage.output_tokens"] = counts.get("output_tokens", 0)
    return {name: value for name, value in known.items() if value != ""}


def _failure(row: Row) -> str:
    if row.verdict == "allowed":
        return f"status {row.status}"
    return row.why[:_LONGEST] or row.verdict


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _number(*words: str) -> int:
    """Return 64 bits that are the same each time, and never 0."""
    digest = hashlib.sha256("\0".join(words).encode()).digest()
    return int.from_bytes(digest[:8]) | 1
