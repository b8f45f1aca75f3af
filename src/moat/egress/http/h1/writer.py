"""A writer of HTTP/1.1 heads and trailers: always from parsed messages, never as received. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moat.egress.http.messages import CHUNKED, ResponseHead

if TYPE_CHECKING:
    from collections.abc import Iterable

    from moat.egress.http.messages import RequestHead
    from moat.egress.traffic.entry import Fields

_REASONS: Final = {
    100: b"Continue", 101: b"Switching Protocols", 103: b"Early Hints", 200: b"OK",
    400: b"Bad Request", 403: b"Forbidden", 408: b"Request Timeout", 417: b"Expectation Failed",
    421: b"Misdirected Request", 431: b"Request Header Fields Too Large", 501: b"Not Implemented",
    502: b"Bad Gateway", 503: b"Service Unavailable", 504: b"Gateway Timeout",
}  # fmt: skip


def request_bytes(
    request: RequestHead, target: str, host: bytes, extra: Iterable[tuple[bytes, bytes]] = ()
) -> bytes:
    """Write a head for a server: always HTTP/1.1, always with framing of the proxy's own.

    `extra`: fields that are for the next hop alone.
    """
    parts = [f"{request.method} {target} HTTP/1.1\r\nHost: ".encode("ascii"), host, b"\r\n"]
    for name, value in (*request.fields, *extra):
        parts += (name, b": ", value, b"\r\n")
    framing = request.framing
    if framing > 0:
        parts.append(b"Content-Length: %d\r\n" % framing)
    elif framing == CHUNKED:
        parts.append(b"Transfer-Encoding: chunked\r\n")
    elif request.method in {"POST", "PUT", "PATCH"}:
        parts.append(b"Content-Length: 0\r\n")
    if request.continues:
        parts.append(b"Expect: 100-continue\r\n")
    if request.upgrade is not None:
        parts += (b"Connection: upgrade\r\nUpgrade: ", request.upgrade, b"\r\n")
    parts.append(b"\r\n")
    return b"".join(parts)


def response_bytes(response: ResponseHead, framing: int, *, close: bool) -> bytes:
    """Write a head for a client; `framing`: that of the body that the client gets."""
    status = response.status
    reason = response.reason or _REASONS.get(status, b"")
    parts = [b"HTTP/1.1 %d %b\r\n" % (status, reason)]
    for name, value in response.fields:
        parts += (name, b": ", value, b"\r\n")
    if framing == CHUNKED:
        parts.append(b"Transfer-Encoding: chunked\r\n")
    elif response.length is not None and status >= 200 and status != 204:
        parts.append(b"Content-Length: %d\r\n" % response.length)
    if response.upgrade is not None and status in {101, 426}:
        parts += (b"Connection: upgrade\r\nUpgrade: ", response.upgrade, b"\r\n")
    elif close:
        parts.append(b"Connection: close\r\n")
    parts.append(b"\r\n")
    return b"".join(parts)


def last_answer(status: int, line: str, fields: Fields) -> bytes:
    """Write a response of the proxy's own with one line of text, which ends the connection."""
    body = f"{line}\n".encode()
    head = ResponseHead(status, fields, len(body))
    return response_bytes(head, len(body), close=True) + body


def trailer_bytes(trailers: Fields) -> bytes:
    """Write the end of a chunked body."""
    if not trailers:
        return b"0\r\n\r\n"
    lines = [b"%b: %b\r\n" % field for field in trailers]
    return b"0\r\n" + b"".join(lines) + b"\r\n"
