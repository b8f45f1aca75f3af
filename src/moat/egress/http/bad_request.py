"""Entries for requests that can't be understood: enough to find them by. Pure.

Anything may come where a request is expected, even the end of another one's body with a password in
it. So only what looks like a request line is recorded, as ASCII and redacted.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from moat.egress.http.messages import RequestLine
from moat.egress.traffic import redact
from moat.egress.traffic.entry import TrafficEntry

if TYPE_CHECKING:
    from moat.egress.http.interfaces import Destination
    from moat.egress.http.messages import BadMessageError

_LIMIT: Final = 2048
"""Bytes of a target that are recorded."""
_LINE: Final = re.compile(
    rb"[\r\n]{0,2}([A-Za-z]{1,32}) +((?:/|\*|https?://)[^\r\n]*)", re.IGNORECASE
)
_VERSION: Final = re.compile(rb"\s+HTTP/[0-9.]{1,4}\s*\Z")
_ABSOLUTE: Final = re.compile(
    r"(https?)://(?:[^/?#]*@)?(\[[^/?#\]]*\]|[^/?#:]*)[^/?#]*", re.IGNORECASE
)


def request_line(data: bytes) -> RequestLine | None:
    """Return the request line that data begins with, if it looks like one."""
    match = _LINE.match(data[: _LIMIT + 64])
    return None if match is None else printable(match[1], _VERSION.sub(b"", match[2]))


def printable(method: bytes, target: bytes) -> RequestLine:
    cut = "..." if len(target) > _LIMIT else ""
    return RequestLine(_escaped(method[:32]), _escaped(target[:_LIMIT]) + cut)


def refusal(now: float, destination: Destination | None, problem: BadMessageError) -> TrafficEntry:
    """Return the entry for a bad request.

    `destination`: the server that its connection is for; `None` on the proxy's own port, where the
    request names its server.
    """
    entry = TrafficEntry("refusal", now)
    entry.scheme, entry.host, entry.port = (
        ("http", "", 0) if destination is None else destination.key
    )
    entry.verdict, entry.status = "denied", problem.status
    entry.error = f"malformed request: {problem}"
    entry.total = 0.0
    if problem.line is not None:
        entry.method, target = problem.line
        url = _ABSOLUTE.match(target)
        if url is not None:
            target = target[url.end() :] or "/"
            if destination is None:
                entry.scheme, entry.host = url[1].lower(), url[2].lower()
        entry.path = redact.url(target)
    return entry


def _escaped(text: bytes) -> str:
    return "".join(chr(byte) if 0x20 <= byte < 0x7F else f"\\x{byte:02x}" for byte in text)
