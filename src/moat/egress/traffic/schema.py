"""A row of the record: its table, how an entry becomes one, what is shown of it. Pure."""

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
"""Bytes that are kept of a captured body."""
_PATH_LIMIT: Final = 8192
"""Characters of a path: what is longer is data."""

SCHEMA_VERSION: Final = 2  # see `versions`
# No index but for the few rows that go on: one more would cost each request what it costs to write.
SCHEMA: Final = """
CREATE TABLE entries (
  id INTEGER PRIMARY KEY,    -- in the order in which they began
  kind TEXT NOT NULL,        -- request, dns, tunnel, refusal
  time REAL NOT NULL,        -- seconds since the epoch
  verdict TEXT NOT NULL,     -- allowed, denied, failed, asking
  status INTEGER NOT NULL,   -- of HTTP; 0: no answer
  method TEXT NOT NULL,
  scheme TEXT NOT NULL,
  host TEXT NOT NULL,
  port INTEGER NOT NULL,
  address TEXT NOT NULL,     -- that was dialled; empty: none was
  protocol TEXT NOT NULL,
  rule TEXT NOT NULL,
  error TEXT NOT NULL,
  credential TEXT NOT NULL,
  dns REAL NOT NULL,         -- seconds, as the next four; negative: did not take place
  connect REAL NOT NULL,
  tls REAL NOT NULL,
  first_byte REAL NOT NULL,
  total REAL NOT NULL,       -- negative without an error: goes on
  sent INTEGER NOT NULL,     -- bytes
  received INTEGER NOT NULL,
  path TEXT NOT NULL,        -- with the query, without its secrets
  usage TEXT                 -- JSON: a language model's tokens
);
CREATE INDEX going_on ON entries (id) WHERE total < 0 AND error = '';
CREATE TABLE captures (
  id INTEGER PRIMARY KEY,    -- of the entry
  request_fields TEXT,       -- JSON: [[name, value], ...], without secrets, as the next
  response_fields TEXT,
  request_body BLOB,         -- the beginning, decoded; empty: it could not be
  response_body BLOB,
  response_size INTEGER      -- bytes that the whole one is decoded; NULL: not known
);
CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO meta VALUES ('dropped', 0), ('lost', 0);
"""
IN_PROGRESS: Final = "total < 0 AND error = ''"

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


class Row(NamedTuple):
    """The columns of the table, in its order."""

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
        """Of a DNS question, the name alone. What it holds, the sandbox has chosen."""
        if self.kind == "dns" or not self.scheme:
            return self.host
        host = f"[{self.host}]" if ":" in self.host else self.host
        if self.port and self.port != _DEFAULT_PORTS.get(self.scheme):
            host = f"{host}:{self.port}"
        # OPTIONS of a server as a whole has none (RFC 9112 3.3).
        path = "" if self.path == "*" else self.path
        return f"{self.scheme}://{host}{path}"

    @property
    def why(self) -> str:
        """Why it was not allowed, or failed, in one line that says nothing twice."""
        if self.verdict == "allowed":
            return ""
        if not self.rule or (self.error and (self.verdict == "failed" or self.rule in self.error)):
            return self.error
        return f"{self.rule}: {self.error}" if self.error else self.rule

    def as_json(self) -> dict[str, Any]:
        """The public shape of a row: `moat trace --json`. Durations are seconds or null."""
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
    """The columns of the second table."""

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
    """The columns of `entry` as it is now."""
    path = entry.path
    if len(path) > _PATH_LIMIT:
        path = path[:_PATH_LIMIT] + "…"
    usage = None if entry.usage is None else json.dumps(entry.usage)
    return (*_plain(entry), redact.target(path), usage)


def capture_of(entry: TrafficEntry) -> tuple[object, ...] | None:
    """What else is kept of it, if anything."""
    asked, answered = entry.request_fields, entry.response_fields
    if asked is None and answered is None:
        return None
    return (
        entry.id,
        _fields(asked),
        _fields(answered),
        _body(asked, entry.request_body),
        _body(answered, entry.response_body),
        _size(entry, answered or []),
    )


def storable(value: object) -> object:
    """Text that is no Unicode (a lone surrogate) in a form that a database takes."""
    if isinstance(value, str):
        return value.encode(errors="backslashreplace").decode()
    return value


def timestamp(seconds: float) -> str:
    """RFC 3339 in UTC, with milliseconds."""
    whole = int(seconds)
    return f"{_second(whole)}.{int((seconds - whole) * 1000):03}Z"


@lru_cache(64)
def _second(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}"


def _duration(seconds: float) -> float | None:
    return None if seconds < 0 else round(seconds, 6)


def _fields(sent: Fields | None) -> str | None:
    return None if sent is None else json.dumps(redact.fields(sent))


def _body(sent: Fields | None, data: bytes | None) -> bytes | None:
    if not data:
        return None
    kept = redact.body(sent or [], data[:BODY_LIMIT])
    return b"" if kept is None else kept or None


def _size(entry: TrafficEntry, answered: Fields) -> int | None:
    if not (entry.received and redact.coding(answered)):
        return entry.received
    body = entry.response_body
    if body is None or len(body) < entry.received:
        return None
    return redact.decoded_length(answered, body)
