"""Heads and trailers as field sections of HTTP/2 (RFC 9113 8). Pure.

The counterpart of HTTP/1.1's `parser` and `writer`: a head that HTTP/1.1 could not express is
malformed here, too, because either side of an exchange may speak either version.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from moat.egress.http.fields import (
    NOT_FORWARDED,
    content_length,
    fit_for_trailers,
)
from moat.egress.http.messages import (
    CHUNKED,
    NO_BODY,
    BadMessageError,
    RequestHead,
    ResponseHead,
)
from moat.egress.http.override_fields import overrides, overriding_methods, rerouted_targets

if TYPE_CHECKING:
    from moat.egress.http.interfaces import Destination
    from moat.egress.traffic.entry import Fields

_NAME: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+")
_VALUE: Final = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")
_METHOD: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,32}")
_TARGET: Final = re.compile(rb"[\x21-\x7e]+")
_STATUS: Final = re.compile(rb"[1-9][0-9]{2}")
_REWRITTEN: Final = NOT_FORWARDED | {b"cookie"}
"""Request fields that are dropped or written anew."""


def request_head(section: Fields, *, ends: bool) -> RequestHead:
    """Parse a request; `ends`: neither a body nor trailers follow. Raises `BadMessageError`."""
    pseudo = {name: value for name, value in section if name.startswith(b":")}
    regular = _checked([field for field in section if not field[0].startswith(b":")])
    heeded = {name: value for name, value in regular if name in _REWRITTEN}
    method, target = _request_line(pseudo)
    host = _host(pseudo.get(b":authority"), heeded.get(b"host"))
    request = RequestHead(method, target, _forwarded(regular, heeded))
    request.host = host
    if any(overrides(name) for name, _ in regular):
        request.overriding = overriding_methods(regular)
        request.rerouted = rerouted_targets(regular)
    request.continues = heeded.get(b"expect", b"").lower() == b"100-continue"
    framing = _framing(section)
    if not ends:
        request.framing = framing
    elif framing > 0:
        raise _missing_body()
    return request


def _request_line(pseudo: dict[bytes, bytes]) -> tuple[str, str]:
    method, target = pseudo.get(b":method", b""), pseudo.get(b":path", b"")
    if method == b"CONNECT" or b":protocol" in pseudo:
        raise BadMessageError("CONNECT is for the proxy's own port", 405)
    if not _METHOD.fullmatch(method) or not _TARGET.fullmatch(target):
        raise BadMessageError("malformed method or path")
    if target[:1] not in b"/*":
        raise BadMessageError(":path is not a path")
    return method.decode("ascii"), target.decode("ascii")


def _host(authority: bytes | None, host: bytes | None) -> bytes:
    """Return the server that the request names (RFC 9113 8.3.1)."""
    named = host if authority is None else authority
    if named is None:
        raise BadMessageError("there is neither :authority nor host")
    if host not in {None, named}:
        raise BadMessageError(":authority and host name different servers")
    return named


def _forwarded(regular: Fields, heeded: dict[bytes, bytes]) -> Fields:
    fields = [field for field in regular if field[0] not in _REWRITTEN]
    crumbs = [value for name, value in regular if name == b"cookie"]
    if crumbs:  # RFC 9113 8.2.3
        fields.append((b"cookie", b"; ".join(crumbs)))
    if heeded.get(b"te", b"").lower() == b"trailers":
        fields.append((b"te", b"trailers"))
    return fields


def request_section(request: RequestHead, destination: Destination, target: str) -> Fields:
    """Write a request to a server."""
    section = [
        (b":method", request.method.encode("ascii")),
        (b":scheme", destination.scheme.encode("ascii")),
        (b":authority", destination.authority),
        (b":path", target.encode("ascii")),
        *lowered(request.fields),
    ]
    if request.framing > 0:
        section.append((b"content-length", b"%d" % request.framing))
    if request.continues:
        section.append((b"expect", b"100-continue"))
    return section


def response_head(section: Fields, method: str, *, ends: bool) -> ResponseHead:
    """Parse the response to a request with this method; `ends`: no body and no trailers follow.

    Raises `BadMessageError`.
    """
    status = next((value for name, value in section if name == b":status"), b"")
    if not _STATUS.fullmatch(status):
        raise BadMessageError("malformed status")
    framing = _framing(section)
    regular = [each for each in section if each[0] != b":status" and each[0] not in NOT_FORWARDED]
    head = ResponseHead(int(status), _checked(regular), framing)
    if method == "HEAD" or head.status < 200 or head.status in {204, 304}:
        head.framing = NO_BODY
        head.ends = head.status >= 200
    elif ends and framing > 0:
        raise _missing_body()
    # gRPC reports a failed call by a head that ends the stream, and doesn't understand one that ends
    # a frame later. A length of 0 alone doesn't end it: trailers may follow.
    head.ends = head.ends or ends
    return head


def response_section(head: ResponseHead) -> Fields:
    """Write a response to a client."""
    section = [(b":status", b"%d" % head.status), *lowered(head.fields)]
    if head.length is not None and head.status >= 200:
        section.append((b"content-length", b"%d" % head.length))
    return section


def trailers(section: Fields) -> Fields:
    """Parse trailers, and drop what isn't allowed in them. Raises `BadMessageError`."""
    return fit_for_trailers(_checked(section))


def lowered(fields: Fields) -> Fields:
    """Write names in lower case, as RFC 9113 8.2 wants them."""
    return [(name.lower(), value) for name, value in fields]


def _framing(section: Fields) -> int:
    lengths = [value for name, value in section if name == b"content-length"]
    if len(lengths) > 1:
        raise BadMessageError("more than one content-length")
    return content_length(lengths[0]) if lengths else CHUNKED


def _missing_body() -> BadMessageError:
    return BadMessageError("there is a Content-Length, but no body")  # RFC 9113 8.1.1


def _checked(fields: Fields) -> Fields:
    for name, value in fields:
        if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
            raise BadMessageError("malformed header field")
    return fields
