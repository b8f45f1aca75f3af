"""What the record keeps of a request that can't be understood: enough to find it by. Pure.

Anything may come where a request is awaited, the end of another one's body with a password in it,
too. So only what looks like a request's first line is kept, as ASCII, and without secrets.
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
"""Bytes of a target."""
_LINE: Final = re.compile(
    rb"[\r\n]{0,2}([A-Za-z]{1,32}) +((?:/|\*|https?://)[^\r\n]*)", re.IGNORECASE
)
_VERSION: Final = re.compile(rb"\s+HTTP/[0-9.]{1,4}\s*\Z")
_ABSOLUTE: Final = re.compile(
    r"(https?)://(?:[^/?#]*@)?(\[[^/?#\]]*\]|[^/?#:]*)[^/?#]*", re.IGNORECASE
)


def request_line(data: bytes) -> RequestLine | None:
    """Of what begins with one."""
    match = _LINE.match(data[: _LIMIT + 64])
    return None if match is None else described(match[1], _VERSION.sub(b"", match[2]))


def described(method: bytes, target: bytes) -> RequestLine:
    cut = "..." if len(target) > _LIMIT else ""
    return RequestLine(_shown(method[:32]), _shown(target[:_LIMIT]) + cut)


def refusal(now: float, destination: Destination | None, problem: BadMessageError) -> TrafficEntry:
    """`destination`: of the connection; on the proxy's own port the request would have named it."""
    entry = TrafficEntry("refusal", now)
    entry.scheme, entry.host, entry.port = (
        ("http", "", 0) if destination is None else destination.key
    )
    entry.verdict, entry.status = "denied", problem.status
    entry.error = f"malformed request: {problem}"
    entry.total = 0.0
    if problem.line is not None:
        entry.method, target = problem.line
        named = _ABSOLUTE.match(target)
        if named is not None:
            target = target[named.end() :] or "/"
            if destination is None:
                entry.scheme, entry.host = named[1].lower(), named[2].lower()
        entry.path = redact.url(target)
    return entry


def _shown(text: bytes) -> str:
    return "".join(chr(byte) if 0x20 <= byte < 0x7F else f"\\x{byte:02x}" for byte in text)
