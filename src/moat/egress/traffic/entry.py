"""One entry of a run's traffic: a request, a DNS question, a tunnel or a refusal."""

from __future__ import annotations

from typing import Literal

Kind = Literal["request", "dns", "tunnel", "refusal"]
Verdict = Literal["allowed", "denied", "failed", "asking"]
"""`asking`: the request waits for the user's answer."""

Fields = list[tuple[bytes, bytes]]
"""Header fields, in the order in which they were received."""


class TrafficEntry:
    """An entry that is filled in while something happens, and put to the writer on each change.

    One is made for every request, so defaults are attributes of the class. `time` is in seconds since
    the epoch. Durations are in seconds, and negative for a step that did not take place: a connection
    that was reused needed no DNS.
    """

    id = 0
    """Assigned by the writer."""
    queued = False
    """Mark of the writer: the entry is waiting to be written."""
    weight = 0
    """Note of the writer: bytes of the entry's long parts while it waits."""
    final = False
    """Mark of the writer: it has read the entry in its final form."""
    scheme = ""
    """http, https, tcp, tls, udp, ..."""
    method = ""
    """The type of a DNS question: A, TXT, ..."""
    host = ""
    port = 0
    address = ""
    """The address that was dialled: the server's, or that of the host's own proxy."""
    path = ""
    """The path with its query, as requested; it is redacted when it is written."""
    protocol = ""
    """HTTP/1.1, HTTP/2, websocket."""
    status = 0
    """The status of HTTP; 0: there was no response."""
    verdict: Verdict = "allowed"
    rule = ""
    """The rule that decided, as it was written, or the policy's default."""
    error = ""
    """The reason why it failed or was denied, in one line."""
    credential = ""
    """The name of the credential that was injected."""
    dns = -1.0
    connect = -1.0
    tls = -1.0
    first_byte = -1.0
    total = -1.0
    """Negative while the entry is in progress. Set last: nothing may change afterwards."""
    sent = 0
    """Bytes of bodies from the sandbox; of a tunnel, all bytes."""
    received = 0
    asks_model = False
    """A language model is asked, so its response is looked into."""
    counts_tokens = False
    """The request was charged as one to a language model, whose answer will be counted."""
    usage: dict[str, object] | None = None
    """The tokens that a language model counted: see `llm_usage`."""
    request_fields: Fields | None = None
    response_fields: Fields | None = None
    request_body: bytes | None = None
    response_body: bytes | None = None

    def __init__(self, kind: Kind, time: float) -> None:
        self.kind = kind
        self.time = time
