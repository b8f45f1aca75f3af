"""Header fields whose meaning HTTP/1.1 and HTTP/2 share (RFC 9110). Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from moat.egress.http.messages import BadMessageError

if TYPE_CHECKING:
    from moat.egress.traffic.entry import Fields

NOT_FORWARDED: Final = frozenset(
    (
        *(b"host", b"content-length", b"transfer-encoding", b"connection", b"upgrade", b"te"),
        *(b"keep-alive", b"proxy-connection", b"proxy-authenticate", b"proxy-authorization"),
        *(b"expect", b"http2-settings", b"x-moat-denied"),
    )
)
"""Fields between two neighbours only (RFC 9110 7.6.1), and those that the proxy writes itself."""

_LENGTH: Final = re.compile(rb"[0-9]{1,18}")
# HTTP's names for itself (RFC 9110 16.7, RFC 7540 3.1), and TLS to speak it in (RFC 2817).
_HTTP_PROTOCOL: Final = re.compile(rb"https?|h[23].*|tls|ssl")
# In trailers these would describe a message that has already been decided about and forwarded
# (RFC 9110 6.5.1).
_NOT_IN_TRAILERS: Final = NOT_FORWARDED | {
    *(b"trailer", b"authorization", b"cookie", b"set-cookie", b"content-encoding"),
    *(b"content-type", b"content-range", b"cache-control"),
}


def content_length(value: bytes) -> int:
    """Parse a Content-Length. Raises `BadMessageError`."""
    if not _LENGTH.fullmatch(value):
        raise BadMessageError("Content-Length is not a number")
    return int(value)


def size_of(fields: Fields) -> int:
    """Return the bytes that fields have in HTTP/1.1."""
    return sum(len(name) + len(value) + 4 for name, value in fields)


def fit_for_trailers(fields: Fields) -> Fields:
    """Return the fields that are allowed in trailers."""
    return [
        field for field in fields if field[0].lower().replace(b"_", b"-") not in _NOT_IN_TRAILERS
    ]


def members(value: bytes) -> set[bytes]:
    """Return the members of a comma-separated list, in lower case."""
    return {member.strip(b" \t").lower() for member in value.split(b",")}


def offers_http(upgrade: bytes) -> bool:
    """Tell whether an Upgrade field offers a version of HTTP, in clear or in TLS.

    The proxy speaks HTTP with each side by itself. If client and server agreed on another version
    between them, the requests that follow would pass unseen. Every other protocol is the business
    of its two ends.
    """
    return any(map(_HTTP_PROTOCOL.fullmatch, _protocols(upgrade)))


def accepts_upgrade(offered: bytes, chosen: bytes) -> bool:
    """Tell whether the server changed to what the client offered (RFC 9110 7.8)."""
    return _protocols(chosen) <= _protocols(offered)


def _protocols(upgrade: bytes) -> set[bytes]:
    return {member.partition(b"/")[0] for member in members(upgrade)}
