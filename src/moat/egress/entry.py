"""One line of a run's record: a request, a DNS question, a tunnel or a refusal."""

from __future__ import annotations

from typing import Literal

Kind = Literal["request", "dns", "tunnel", "refusal"]
Verdict = Literal["allowed", "denied", "failed"]

Fields = list[tuple[bytes, bytes]]
"""Header fields as they were sent, in their order."""


class Entry:
    """Filled in while it happens; `Record.put` may be called again whenever something has changed.

    A plain class with slots, because one is made for every request. Times are seconds: `time` since
    the epoch, the rest durations, negative where the step did not take place (a connection that was
    reused needed no DNS).
    """

    __slots__ = (
        "connect",
        "credential",
        "dns",
        "error",
        "first_byte",
        "host",
        "id",
        "kind",
        "method",
        "path",
        "port",
        "protocol",
        "queued",
        "received",
        "request_body",
        "request_fields",
        "response_body",
        "response_fields",
        "rule",
        "scheme",
        "sent",
        "status",
        "time",
        "tls",
        "total",
        "usage",
        "verdict",
    )

    def __init__(self, kind: Kind, time: float) -> None:
        self.id = 0
        """Given by the record."""
        self.queued = False
        """The record's own: it waits to be written."""
        self.kind: Kind = kind
        self.time = time
        self.scheme = ""
        """http, https, tcp, udp, dns, ..."""
        self.method = ""
        """Of a DNS question, its type: A, TXT, ..."""
        self.host = ""
        self.port = 0
        self.path = ""
        """With the query, as it was asked for; redacted when it is written."""
        self.protocol = ""
        """HTTP/1.1, HTTP/2, websocket."""
        self.status = 0
        """HTTP's; 0 where there was no answer."""
        self.verdict: Verdict = "allowed"
        self.rule = ""
        """What decided: a rule as it was written, or the policy's default."""
        self.error = ""
        """Why it failed or was denied, in one line."""
        self.credential = ""
        """Name of the credential that was injected."""
        self.dns = -1.0
        self.connect = -1.0
        self.tls = -1.0
        self.first_byte = -1.0
        self.total = -1.0
        """Negative while it goes on."""
        self.sent = 0
        """Bytes of bodies from the sandbox; of a tunnel, all."""
        self.received = 0
        self.usage: dict[str, object] | None = None
        """Of a language model: see `usage`."""
        self.request_fields: Fields | None = None
        self.response_fields: Fields | None = None
        self.request_body: bytes | None = None
        self.response_body: bytes | None = None
