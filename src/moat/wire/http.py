"""The subset of HTTP/1.1 (RFC 9112) that client and supervisor speak over the run's socket.

Sans-I/O. Both ends are ours, or the user's curl: heads are small, bodies have a `Content-Length`, and a
connection serves one request.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl, urlsplit

MAX_HEAD: Final = 16 * 1024
MAX_BODY: Final = 8 * 1024 * 1024
LEVEL_HEADER: Final = "Moat-Level"

_REASONS: Final = {
    101: "Switching Protocols",
    200: "OK",
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    409: "Conflict",
    413: "Content Too Large",
    500: "Internal Server Error",
}


class HTTPError(ValueError):
    """The peer's message is malformed."""


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    path: str
    query: dict[str, str] = field(default_factory=dict[str, str])
    headers: dict[str, str] = field(default_factory=dict[str, str])
    """Header fields by name, in lower case."""

    @property
    def content_length(self) -> int:
        return _length(self.headers)


@dataclass(frozen=True, slots=True)
class Response:
    status: int
    headers: dict[str, str]

    @property
    def content_length(self) -> int:
        return _length(self.headers)

    @property
    def level(self) -> int:
        """Level of the protocol that the supervisor knows; 0 where it is too old to say so here."""
        text = self.headers.get(LEVEL_HEADER.lower(), "0")
        return int(text) if text.isascii() and text.isdigit() and len(text) < 4 else 0


def encode_request(
    method: str, target: str, body: bytes = b"", upgrade: str | None = None
) -> bytes:
    connection = f"Connection: Upgrade\r\nUpgrade: {upgrade}" if upgrade else "Connection: close"
    head = f"{method} {target} HTTP/1.1\r\nHost: moat\r\n{connection}\r\n"
    if body:
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return head.encode("ascii") + b"\r\n" + body


def encode_response(status: int, body: bytes = b"", kind: str = "application/json") -> bytes:
    head = (
        f"HTTP/1.1 {status} {_REASONS.get(status, 'Unknown')}\r\nConnection: close\r\n"
        f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode("ascii") + body


def encode_upgrade(protocol: str, level: int) -> bytes:
    """`level` says what of the protocol is understood; see `wire.messages`."""
    return (
        f"HTTP/1.1 101 {_REASONS[101]}\r\nConnection: Upgrade\r\nUpgrade: {protocol}\r\n"
        f"{LEVEL_HEADER}: {level}\r\n\r\n"
    ).encode("ascii")


def decode_request(head: bytes) -> Request:
    """Decode a head, up to and including the empty line. Raise `HTTPError`."""
    first, headers = _split(head)
    try:
        method, target, version = first.split(" ")
        url = urlsplit(target)
    except ValueError:
        raise HTTPError(f"not a request line: {first!r}") from None
    if not method or not version.startswith("HTTP/1."):
        raise HTTPError(f"not a request line: {first!r}")
    return Request(method, url.path, dict(parse_qsl(url.query)), headers)


def decode_response(head: bytes) -> Response:
    """Decode a head, with or without the empty line. Raise `HTTPError`."""
    first, headers = _split(head)
    try:
        return Response(int(first.split(" ", 2)[1]), headers)
    except (IndexError, ValueError):
        raise HTTPError(f"not a status line: {first!r}") from None


def _split(head: bytes) -> tuple[str, dict[str, str]]:
    first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon:
            raise HTTPError(f"not a header: {line!r}")
        headers[name.strip().lower()] = value.strip()
    return first, headers


def _length(headers: dict[str, str]) -> int:
    text = headers.get("content-length", "0")
    # Its length first: int() raises for thousands of digits.
    if len(text) > 16 or not text.isascii() or not text.isdigit() or int(text) > MAX_BODY:
        raise HTTPError(f"Content-Length {text!r}")
    return int(text)
