"""A strict parser of HTTP/1.x heads and trailers (RFC 9112, RFC 9110). Pure.

A message that two parsers could understand differently is refused, not repaired: a request that
reaches a server has been understood by this parser alone and was written anew by `writer`. That is
why this isn't a lenient general-purpose parser. Tests compare it with llhttp and h11, which accept
everything that it accepts and read the same out of it.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from moat.egress.http.fields import (
    NOT_FORWARDED,
    content_length,
    fit_for_trailers,
    members,
    offers_http,
)
from moat.egress.http.messages import (
    CHUNKED,
    MAX_HEAD,
    NO_BODY,
    UNTIL_CLOSE,
    BadMessageError,
    RequestHead,
    ResponseHead,
)
from moat.egress.http.override_fields import overrides, overriding_methods, rerouted_targets

if TYPE_CHECKING:
    from moat.egress.traffic.entry import Fields

MAX_FIELDS: Final = 200

_TOKEN: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
# Possessive, so that a head that doesn't match is refused in time linear in its length.
_REQUEST_LINE: Final = re.compile(rb"(" + _TOKEN + rb"{1,32}+) ([\x21-\x7e]++) HTTP/1\.([01])\r\n")
_STATUS_LINE: Final = re.compile(
    rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: ([\t\x20-\x7e\x80-\xff]*+))?\r\n"
)
_FIELD_LINES: Final = re.compile(rb"(?:" + _TOKEN + rb"++:[^\x00-\x08\x0a-\x1f\x7f]*+\r\n)*+\r\n")
_FIELD: Final = re.compile(rb"([^:]++):[ \t]*+([^\r]*+)\r\n")
_NEVER_A_HEAD: Final = re.compile(rb"[^\r]\n|\r[^\n]|\A\n|\x00")
"""Bytes that no continuation turns into a valid head: a bare CR or LF, a NUL."""
_CACHED_SIZE: Final = 2048
"""Bytes of fields whose parsed form is worth caching."""
_OVERRIDES: Final = b"(overrides)"
"""Among the fields that are heeded: others may name another method or path. No field is called so."""
_ONCE: Final = frozenset((b"host", b"content-length", b"transfer-encoding"))


def head_end(data: bytes, scanned: int = 0) -> int:
    """Return the offset behind the first head in `data`; -1 while the head is incomplete.

    An earlier call has searched the first `scanned` bytes in vain. Raises `BadMessageError` as soon
    as the data can't become a head any more or grows too large.
    """
    start = scanned - 3 if scanned > 3 else 0
    end = data.find(b"\r\n\r\n", start, MAX_HEAD) + 4
    if end > 3:
        return end
    if len(data) >= MAX_HEAD:
        raise BadMessageError(f"the head has more than {MAX_HEAD} bytes", 431)
    if _NEVER_A_HEAD.search(data, start):
        raise BadMessageError("a line of the head does not end with CR LF")
    return -1


def parse_request_head(head: bytes) -> RequestHead:
    """Parse a head that ends with its empty line. Raises `BadMessageError`."""
    match = _REQUEST_LINE.match(head)
    if match is None:
        raise BadMessageError("not an HTTP/1.1 request")
    method, target, minor = match.groups()
    lines = head[match.end() :]
    # Most clients send the same fields with each of their requests.
    heeded, fields = _cached_fields(lines) if len(lines) <= _CACHED_SIZE else _parse_fields(lines)
    request = RequestHead(method.decode("ascii"), target.decode("ascii"), fields.copy())
    if minor == b"0":
        request.minor = 0
        request.keep_alive = False
    if heeded:
        _apply_to_request(request, heeded)
    if request.host is None and request.minor:
        raise BadMessageError("the request has no Host")
    return request


def _apply_to_request(request: RequestHead, heeded: dict[bytes, bytes]) -> None:
    request.host = heeded.get(b"host")
    if len(heeded) == 1 and request.host is not None:
        return
    request.framing = _framing(heeded, request.minor, NO_BODY)
    upgrade = _apply_connection(request, heeded)
    if upgrade is not None and request.minor and not offers_http(upgrade):
        request.upgrade = upgrade
    if _OVERRIDES in heeded:
        request.overriding = overriding_methods(request.fields)
        request.rerouted = rerouted_targets(request.fields)
    if b"expect" in heeded and request.minor:
        if heeded[b"expect"].lower() != b"100-continue":
            raise BadMessageError("unknown expectation", 417)
        request.continues = True
    if b"te" in heeded and b"trailers" in members(heeded[b"te"]):
        request.fields.append((b"TE", b"trailers"))


def parse_response_head(head: bytes, method: str) -> ResponseHead:
    """Parse the head of a response to a request with this method. Raises `BadMessageError`."""
    match = _STATUS_LINE.match(head)
    if match is None:
        raise BadMessageError("not an HTTP/1.1 response")
    minor, status, reason = match.groups()
    heeded, fields = _parse_fields(head[match.end() :])
    response = ResponseHead(int(status), fields)
    response.reason = reason or b""
    response.minor = 0 if minor == b"0" else 1
    response.keep_alive = bool(response.minor)
    framing = _framing(heeded, response.minor, UNTIL_CLOSE)
    response.length = framing if framing >= 0 else None
    number = response.status
    if method == "HEAD" or number < 200 or number in {204, 304}:
        response.framing = NO_BODY
    else:
        response.framing = framing
    response.ends = response.framing == NO_BODY and number >= 200
    response.upgrade = _apply_connection(response, heeded)
    if response.framing == UNTIL_CLOSE:
        response.keep_alive = False
    return response


def parse_trailers(block: bytes) -> Fields:
    """Parse a block that ends with its empty line and drop what isn't allowed in trailers.

    Raises `BadMessageError`.
    """
    return fit_for_trailers(_field_list(block, "trailers"))


def _parse_fields(lines: bytes) -> tuple[dict[bytes, bytes], Fields]:
    """Return the fields that the proxy heeds, by name, and those that it forwards.

    `lines` ends with the empty line.
    """
    heeded: dict[bytes, bytes] = {}
    forwarded: Fields = []
    for field in _field_list(lines, "header fields"):
        lower = field[0].lower()
        if lower not in NOT_FORWARDED:
            forwarded.append(field)
            if overrides(lower):
                heeded[_OVERRIDES] = b""
        elif lower not in heeded:
            heeded[lower] = field[1]
        elif lower in _ONCE:
            raise BadMessageError(f"more than one {lower.decode('ascii')}")
        else:
            heeded[lower] += b"," + field[1]
    return heeded, forwarded


def _field_list(lines: bytes, kind: str) -> Fields:
    if not _FIELD_LINES.fullmatch(lines):
        raise BadMessageError(f"malformed {kind}")
    fields: Fields = _FIELD.findall(lines)
    if len(fields) > MAX_FIELDS:
        raise BadMessageError(f"more than {MAX_FIELDS} {kind}", 431)
    if b" \r\n" in lines or b"\t\r\n" in lines:
        fields = [(name, value.rstrip(b" \t")) for name, value in fields]
    return fields


_cached_fields = lru_cache(maxsize=256)(_parse_fields)


def _framing(heeded: dict[bytes, bytes], minor: int, default: int) -> int:
    """Apply RFC 9112 6.3, without the repairs that it allows a recipient."""
    encoding = heeded.get(b"transfer-encoding")
    length = heeded.get(b"content-length")
    if encoding is not None:
        if length is not None:
            raise BadMessageError("both Transfer-Encoding and Content-Length")
        if encoding.lower() != b"chunked" or not minor:
            raise BadMessageError("a Transfer-Encoding other than chunked", 501)
        return CHUNKED
    if length is not None:
        return content_length(length)
    return default


def _apply_connection(head: RequestHead | ResponseHead, heeded: dict[bytes, bytes]) -> bytes | None:
    """Apply the Connection field, and return the protocols that the sender offers to change to."""
    options = heeded.get(b"connection") or heeded.get(b"proxy-connection")
    if options is None:
        return None
    if options == b"keep-alive":
        head.keep_alive = True
        return None
    names = members(options)
    if b"close" in names:
        head.keep_alive = False
    elif b"keep-alive" in names:
        head.keep_alive = True
    if names - {b"close", b"keep-alive", b"upgrade"}:
        head.fields[:] = [field for field in head.fields if field[0].lower() not in names]
    return heeded.get(b"upgrade") if b"upgrade" in names else None
