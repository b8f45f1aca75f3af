"""One line of a run's record: a request, a DNS question, a tunnel or a refusal."""

from __future__ import annotations

from typing import Literal

Kind = Literal["request", "dns", "tunnel", "refusal"]
Verdict = Literal["allowed", "denied", "failed", "asking"]
"""The last of a request that waits for the user's answer."""

Fields = list[tuple[bytes, bytes]]
"""Header fields as they were sent, in their order."""


class TrafficEntry:
    """Filled in while it happens; `TrafficWriter.put` may be called again when something has changed.

    What it does not say stands in the class, because one is made for every request. Times are
    seconds: `time` since the epoch, the rest durations, negative where the step did not take place
    (a connection that was reused needed no DNS).
    """

    id = 0
    """Given by the record."""
    queued = False
    """The record's own: it waits to be written."""
    scheme = ""
    """http, https, tcp, tls, udp, ..."""
    method = ""
    """Of a DNS question, its type: A, TXT, ..."""
    host = ""
    port = 0
    address = ""
    """That was dialled: of the server, or of the host's own proxy where that leads to it."""
    path = ""
    """With the query, as it was asked for; redacted when it is written."""
    protocol = ""
    """HTTP/1.1, HTTP/2, websocket."""
    status = 0
    """HTTP's; 0 where there was no answer."""
    verdict: Verdict = "allowed"
    rule = ""
    """What decided: a rule as it was written, or the policy's default."""
    error = ""
    """Why it failed or was denied, in one line."""
    credential = ""
    """Name of the credential that was injected."""
    dns = -1.0
    connect = -1.0
    tls = -1.0
    first_byte = -1.0
    total = -1.0
    """Negative while it goes on."""
    sent = 0
    """Bytes of bodies from the sandbox; of a tunnel, all."""
    received = 0
    usage: dict[str, object] | None = None
    """Of a language model: see `usage`."""
    request_fields: Fields | None = None
    response_fields: Fields | None = None
    request_body: bytes | None = None
    response_body: bytes | None = None

    def __init__(self, kind: Kind, time: float) -> None:
        self.kind = kind
        self.time = time
