"""The tables of the traffic database, rows made of entries, and what is shown of a row. Pure."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import lru_cache
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from moat.egress.traffic import redact

if TYPE_CHECKING:
    from moat.egress.traffic.entry import Fields, Kind, TrafficEntry, Verdict

BODY_LIMIT: Final = 64 * 1024
"""Bytes of a body that are recorded."""
_PATH_LIMIT: Final = 8192
"""Characters of a path that are recorded; more is data."""

SCHEMA_VERSION: Final = 3  # see `versions`
# The sums of rows that were dropped; see `room`. `meta` has their number, and when they began: from
# `dropped_since` to `dropped_until`, in milliseconds since the epoch.
DROPPED: Final = """
CREATE TABLE IF NOT EXISTS dropped_hosts (
  host TEXT PRIMARY KEY,     -- *: all those that have no row of their own
  requests INTEGER NOT NULL, -- requests and tunnels
  dns INTEGER NOT NULL,
  denied INTEGER NOT NULL,
  failed INTEGER NOT NULL,
  sent INTEGER NOT NULL,     -- bytes, as the next
  received INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS dropped_models (
  provider TEXT NOT NULL,
  model TEXT NOT NULL,       -- *: as above
  requests INTEGER NOT NULL,
  uncounted INTEGER NOT NULL,
  input_tokens INTEGER NOT NULL,
  cache_read_tokens INTEGER NOT NULL,
  cache_write_tokens INTEGER NOT NULL,
  output_tokens INTEGER NOT NULL,
  PRIMARY KEY (provider, model)
) WITHOUT ROWID;
"""
# The only index is of the few rows in progress: another one would double the cost of each request.
SCHEMA: Final = (
    """
CREATE TABLE entries (
  id INTEGER PRIMARY KEY,    -- in the order in which they began
  kind TEXT NOT NULL,        -- request, dns, tunnel, refusal
  time REAL NOT NULL,        -- seconds since the epoch
  verdict TEXT NOT NULL,     -- allowed, denied, failed, asking
  status INTEGER NOT NULL,   -- of HTTP; 0: no response
  method TEXT NOT NULL,
  scheme TEXT NOT NULL,
  host TEXT NOT NULL,
  port INTEGER NOT NULL,
  address TEXT NOT NULL,     -- the one that was dialled; empty: none was
  protocol TEXT NOT NULL,
  rule TEXT NOT NULL,
  error TEXT NOT NULL,
  credential TEXT NOT NULL,
  dns REAL NOT NULL,         -- seconds, as the next four; negative: the step was not taken
  connect REAL NOT NULL,
  tls REAL NOT NULL,
  first_byte REAL NOT NULL,
  total REAL NOT NULL,       -- negative without an error: in progress
  sent INTEGER NOT NULL,     -- bytes
  received INTEGER NOT NULL,
  path TEXT NOT NULL,        -- with the query, redacted
  usage TEXT                 -- JSON: tokens of a language model
);
CREATE INDEX going_on ON entries (id) WHERE total < 0 AND error = '';
CREATE TABLE captures (
  id INTEGER PRIMARY KEY,    -- that of the entry
  request_fields TEXT,       -- JSON: [[name, value], ...], redacted, as the next
  response_fields TEXT,
  request_body BLOB,         -- the beginning, decoded; empty: it can't be decoded
  response_body BLOB,
  response_size INTEGER      -- bytes of the whole body, decoded; NULL: unknown
);
CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO meta VALUES ('dropped', 0), ('lost', 0);
"""
    + DROPPED
)
# Sums of `entries` by host, in the columns of `dropped_hosts`.
HOST_SUMS: Final = (
    "host, sum(kind IN ('request', 'tunnel')), sum(kind = 'dns'), sum(verdict = 'denied'),"
    " sum(verdict = 'failed'), sum(sent), sum(received)"
)
OTHERS: Final = "*"
"""Stands for many hosts or models, of which only the sum is kept."""
TOKENS: Final = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens")
"""The counts that `llm_usage` makes comparable; their sum is everything that was consumed."""
SPENT: Final = (
    "spent_requests",
    "spent_bytes_out",
    "spent_tokens",
    "spent_cost",
    "spent_unpriced_tokens",
    "spent_unpriced_cost",
)
"""The names, in `meta`, of what the run has used up; see `egress.budget`."""
IN_PROGRESS: Final = "total < 0 AND error = ''"

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


class Row(NamedTuple):
    """A row of `entries`, with its columns in the order of the table."""

    id: int
    kind: Kind
    time: float
    verdict: Verdict
    status: int
    method: str
    scheme: str
    host: str
    port: int
    address: str
    protocol: str
    rule: str
    error: str
    credential: str
    dns: float
    connect: float
    tls: float
    first_byte: float
    total: float
    sent: int
    received: int
    path: str
    usage: str | None

    @property
    def in_progress(self) -> bool:
        return self.total < 0 and not self.error

    @property
    def is_http(self) -> bool:
        return self.scheme in _DEFAULT_PORTS and bool(self.method)

    @property
    def url(self) -> str:
        """The URL as a user would write it, untrusted text; of a DNS question, the name alone."""
        if self.kind == "dns" or not self.scheme:
            return self.host
        host = f"[{self.host}]" if ":" in self.host else self.host
        if self.port and self.port != _DEFAULT_PORTS.get(self.scheme):
            host = f"{host}:{self.port}"
        # A request for OPTIONS of the server as a whole has no path (RFC 9112 3.3).
        path = "" if self.path == "*" else self.path
        return f"{self.scheme}://{host}{path}"

    @property
    def why(self) -> str:
        """The reason why it was denied or failed, or what it used (tool, credential), in one line."""
        if self.verdict == "allowed":
            tool = self.rule if self.rule.startswith("mcp ") else ""
            credential = f"credential: {self.credential}" if self.credential else ""
            return "; ".join([each for each in (tool, credential, self.error) if each])
        if not self.rule or (self.error and (self.verdict == "failed" or self.rule in self.error)):
            return self.error
        return f"{self.rule}: {self.error}" if self.error else self.rule

    def as_json(self) -> dict[str, Any]:
        """Return the public form of a row (`moat trace --json`); durations are seconds or null."""
        return {
            "id": self.id,
            "time": timestamp(self.time),
            "kind": self.kind,
            "verdict": self.verdict,
            "status": self.status or None,
            "method": self.method,
            "url": self.url,
            "scheme": self.scheme,
            "host": self.host,
            "port": self.port,
            "address": self.address,
            "path": self.path,
            "protocol": self.protocol,
            "rule": self.rule,
            "error": self.error,
            "credential": self.credential,
            "in_progress": self.in_progress,
            "durations": {
                "dns": _duration(self.dns),
                "connect": _duration(self.connect),
                "tls": _duration(self.tls),
                "first_byte": _duration(self.first_byte),
                "total": _duration(self.total),
            },
            "sent": self.sent,
            "received": self.received,
            "usage": None if self.usage is None else json.loads(self.usage),
        }


class Captured(NamedTuple):
    """A row of `captures`: headers and bodies of an entry."""

    id: int
    request_fields: list[tuple[str, str]]
    response_fields: list[tuple[str, str]]
    request_body: bytes | None
    response_body: bytes | None
    response_size: int | None = None

    @classmethod
    def of(cls, columns: tuple[Any, ...]) -> Captured:
        number, request, response, *rest = columns
        return cls(number, json.loads(request or "[]"), json.loads(response or "[]"), *rest)


NO_CAPTURE: Final = Captured(0, [], [], None, None)

_plain = attrgetter(*Row._fields[:-2])


def row_of(entry: TrafficEntry) -> tuple[object, ...]:
    """Return the columns of an entry as it is now, for `entries`."""
    path = entry.path
    if len(path) > _PATH_LIMIT:
        path = path[:_PATH_LIMIT] + "…"
    usage = None if entry.usage is None else json.dumps(entry.usage)
    return (*_plain(entry), redact.target(path), usage)


def capture_of(entry: TrafficEntry) -> tuple[object, ...] | None:
    """Return the columns of an entry for `captures`; `None` where nothing else is recorded."""
    request, response = entry.request_fields, entry.response_fields
    if request is None and response is None:
        return None
    return (
        entry.id,
        _fields(request),
        _fields(response),
        _body(request, entry.request_body),
        _body(response, entry.response_body),
        _size(entry, response or []),
    )


def storable(value: object) -> object:
    """Escape what isn't valid Unicode (lone surrogates), which a database would refuse."""
    if isinstance(value, str):
        return value.encode(errors="backslashreplace").decode()
    return value


def timestamp(seconds: float) -> str:
    """Format seconds since the epoch as RFC 3339, in UTC with milliseconds."""
    whole = int(seconds)
    return f"{_second(whole)}.{int((seconds - whole) * 1000):03}Z"


@lru_cache(64)
def _second(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}"


def _duration(seconds: float) -> float | None:
    return None if seconds < 0 else round(seconds, 6)


def _fields(fields: Fields | None) -> str | None:
    return None if fields is None else json.dumps(redact.fields(fields))


def _body(fields: Fields | None, data: bytes | None) -> bytes | None:
    if not data:
        return None
    readable = redact.body(fields or [], data[:BODY_LIMIT])
    return b"" if readable is None else readable or None


def _size(entry: TrafficEntry, fields: Fields) -> int | None:
    """Return the decoded size of the response's body, if it was recorded as a whole."""
    if not (entry.received and redact.coding(fields)):
        return entry.received
    body = entry.response_body
    if body is None or len(body) < entry.received:
        return None
    return redact.decoded_length(fields, body)
