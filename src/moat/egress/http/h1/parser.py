"""Heads of HTTP/1.x messages: strict to read (RFC 9112, RFC 9110), and written anew by `http1_written`.

Pure. What two parsers could understand differently is refused, not repaired: a request that reaches a
server has been understood by us alone, and was written by us. That is why this is not a lenient
general-purpose parser; tests compare it with llhttp and h11, which accept all that it accepts and
read the same out of it.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from moat.egress.http.bad_request import RequestLine
    from moat.egress.traffic.entry import Fields

MAX_HEAD: Final = 64 * 1024
"""Bytes of a head; of trailers, too."""
MAX_FIELDS: Final = 200
MAX_INFORMATIONAL: Final = 32
"""Heads below 200 that a server may send for one request."""

NO_BODY: Final = 0
CHUNKED: Final = -1
UNTIL_CLOSE: Final = -2
"""A body's framing is its length in bytes, or one of these."""


class BadMessageError(ValueError):
    """What was received is not HTTP as RFC 9112 has it; the text says why, in one line."""

    def __init__(self, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.status = status
        self.line: RequestLine | None = None
        """Of the request, where it had one."""


class RequestHead:
    """A request, as both versions of HTTP have it. Hop-by-hop fields are not in `fields`.

    What most requests leave as it is stands in the class: making one is on the way of each.
    """

    host: bytes | None = None
    """The Host field (:authority), which is not in `fields`."""
    framing = NO_BODY
    keep_alive = True
    minor = 1
    """Of the version: HTTP/1.0 or HTTP/1.1."""
    continues = False
    """`Expect: 100-continue`."""
    overriding: tuple[str, ...] = ()
    """Methods that some servers would take instead, because a field says so."""
    rerouted: tuple[str, ...] = ()
    """Targets that some would."""
    upgrade: bytes | None = None

    def __init__(self, method: str, target: str, fields: Fields) -> None:
        self.method = method
        self.target = target
        """As sent: origin-form, absolute-form, authority-form or `*`."""
        self.fields = fields


class ResponseHead:
    """A response; `length` is what Content-Length says even where no body follows (HEAD, 304)."""

    reason = b""
    keep_alive = True
    minor = 1
    upgrade: bytes | None = None
    ends = False
    """Nothing follows it, neither a body nor trailers."""

    def __init__(self, status: int, fields: Fields, framing: int = NO_BODY) -> None:
        self.status = status
        self.fields = fields
        self.framing = framing
        self.length: int | None = framing if framing >= 0 else None


_TOKEN: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
_METHOD: Final = re.compile(_TOKEN + rb"{1,32}")
# Possessive, so that a head that does not match is refused in time linear to its length.
_REQUEST_LINE: Final = re.compile(rb"(" + _TOKEN + rb"{1,32}+) ([\x21-\x7e]++) HTTP/1\.([01])\r\n")
_STATUS_LINE: Final = re.compile(
    rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: ([\t\x20-\x7e\x80-\xff]*+))?\r\n"
)
_FIELD_LINES: Final = re.compile(rb"(?:" + _TOKEN + rb"++:[^\x00-\x08\x0a-\x1f\x7f]*+\r\n)*+\r\n")
_FIELD: Final = re.compile(rb"([^:]++):[ \t]*+([^\r]*+)\r\n")
_NO_HEAD: Final = re.compile(rb"[^\r]\n|\r[^\n]|\A\n|\x00")
"""What can't become a head any more, however it goes on: a line end of one byte, a zero."""
_KNOWN_SIZE: Final = 2048
"""Bytes of fields that are worth remembering."""
_LENGTH: Final = re.compile(rb"[0-9]{1,18}")

# Between two neighbours only (RFC 9110 7.6.1), or ours to decide, to write anew or to say.
NOT_FORWARDED: Final = frozenset(
    (
        *(b"host", b"content-length", b"transfer-encoding", b"connection", b"upgrade", b"te"),
        *(b"keep-alive", b"proxy-connection", b"proxy-authenticate", b"proxy-authorization"),
        *(b"expect", b"http2-settings", b"x-moat-denied"),
    )
)
# Not ours to drop, but rules about methods and paths have to know of them.
_OVERRIDING: Final = frozenset((b"x-http-method-override", b"x-http-method", b"x-method-override"))
_REROUTING: Final = frozenset(
    (b"x-original-url", b"x-original-uri", b"x-rewrite-url", b"x-forwarded-uri")
)
_HEEDED: Final = NOT_FORWARDED | _OVERRIDING | _REROUTING
_MOST_INSTEAD: Final = 4
"""Methods, or targets, that fields name: each of them with each is decided about."""
_URL_START: Final = re.compile(r"\A[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*")
# What HTTP calls itself (RFC 9110 16.7, RFC 7540 3.1), and TLS to speak it in (RFC 2817).
_LEADS_TO_HTTP: Final = re.compile(rb"https?|h[23].*|tls|ssl")
_ONCE: Final = frozenset((b"host", b"content-length", b"transfer-encoding"))
# In trailers these would say something about a message that has gone by (RFC 9110 6.5.1), and has
# been decided about.
_NOT_IN_TRAILERS: Final = _HEEDED | {
    *(b"trailer", b"authorization", b"cookie", b"set-cookie", b"content-encoding"),
    *(b"content-type", b"content-range", b"cache-control"),
}


def head_end(data: bytes, seen: int = 0) -> int:
    """Where the first head in `data` ends; -1 while it is incomplete.

    `seen`: so many bytes of it were looked at before, in vain. Raises `BadMessageError` as soon as
    it can't become a head any more, or grows too large.
    """
    start = seen - 3 if seen > 3 else 0
    end = data.find(b"\r\n\r\n", start, MAX_HEAD) + 4
    if end > 3:
        return end
    if len(data) >= MAX_HEAD:
        raise BadMessageError(f"the head has more than {MAX_HEAD} bytes", 431)
    if _NO_HEAD.search(data, start):
        raise BadMessageError("a line of the head does not end with CR LF")
    return -1


def parse_request_head(head: bytes) -> RequestHead:
    """`head` ends with its empty line. Raises `BadMessageError`."""
    match = _REQUEST_LINE.match(head)
    if match is None:
        raise BadMessageError("not a request of HTTP/1.1")
    method, target, minor = match.groups()
    lines = head[match.end() :]
    # A client says the same of itself in each of its requests.
    own, fields = _known_fields(lines) if len(lines) <= _KNOWN_SIZE else _sorted_fields(lines)
    request = RequestHead(method.decode("ascii"), target.decode("ascii"), fields.copy())
    if minor == b"0":
        request.minor = 0
        request.keep_alive = False
    if own:
        _apply_to_request(request, own)
    if request.host is None and request.minor:
        raise BadMessageError("there is no Host")
    return request


def _apply_to_request(request: RequestHead, own: dict[bytes, bytes]) -> None:
    request.host = own.get(b"host")
    if len(own) == 1 and request.host is not None:
        return
    request.framing = _framing(own, request.minor, NO_BODY)
    upgrade = _apply_connection(request, own)
    if upgrade is not None and request.minor and not _offers_http(upgrade):
        request.upgrade = upgrade
    if not own.keys().isdisjoint(_OVERRIDING):
        request.overriding = overriding_methods(request.fields)
    if not own.keys().isdisjoint(_REROUTING):
        request.rerouted = rerouted_targets(request.fields)
    if b"expect" in own and request.minor:
        if own[b"expect"].lower() != b"100-continue":
            raise BadMessageError("unknown expectation", 417)
        request.continues = True
    if b"te" in own and b"trailers" in _words(own[b"te"]):
        request.fields.append((b"TE", b"trailers"))


def parse_response_head(head: bytes, method: str) -> ResponseHead:
    """The answer to a request of this method. Raises `BadMessageError`."""
    match = _STATUS_LINE.match(head)
    if match is None:
        raise BadMessageError("not a response of HTTP/1.1")
    minor, status, reason = match.groups()
    own, fields = _sorted_fields(head[match.end() :])
    response = ResponseHead(int(status), fields)
    response.reason = reason or b""
    response.minor = 0 if minor == b"0" else 1
    response.keep_alive = bool(response.minor)
    framing = _framing(own, response.minor, UNTIL_CLOSE)
    response.length = framing if framing >= 0 else None
    number = response.status
    if method == "HEAD" or number < 200 or number in {204, 304}:
        response.framing = NO_BODY
    else:
        response.framing = framing
    response.ends = response.framing == NO_BODY and number >= 200
    response.upgrade = _apply_connection(response, own)
    if response.framing == UNTIL_CLOSE:
        response.keep_alive = False
    return response


def parse_trailers(block: bytes) -> Fields:
    """`block` ends with its empty line. What may not stand in trailers is left out."""
    if not _FIELD_LINES.fullmatch(block):
        raise BadMessageError("malformed trailers")
    found = _FIELD.findall(block)
    if len(found) > MAX_FIELDS:
        raise BadMessageError(f"more than {MAX_FIELDS} trailers", 431)
    return fit_for_trailers([(name, value.rstrip(b" \t")) for name, value in found])


def fit_for_trailers(fields: Fields) -> Fields:
    return [
        field for field in fields if field[0].lower().replace(b"_", b"-") not in _NOT_IN_TRAILERS
    ]


def _sorted_fields(lines: bytes) -> tuple[dict[bytes, bytes], Fields]:
    """What concerns this connection, and what goes on to the other side.

    `lines` end with the empty one.
    """
    if not _FIELD_LINES.fullmatch(lines):
        raise BadMessageError("malformed header field")
    found: Fields = _FIELD.findall(lines)
    if len(found) > MAX_FIELDS:
        raise BadMessageError(f"more than {MAX_FIELDS} fields", 431)
    if b" \r\n" in lines or b"\t\r\n" in lines:
        found = [(name, value.rstrip(b" \t")) for name, value in found]
    own: dict[bytes, bytes] = {}
    fields: Fields = []
    for field in found:
        lower = field[0].lower()
        if lower not in NOT_FORWARDED:
            fields.append(field)
            if not lower.startswith(b"x"):  # as all do that may say something else
                continue
            lower = lower.replace(b"_", b"-")
            if lower not in _HEEDED:
                continue
        if lower not in own:
            own[lower] = field[1]
        elif lower in _ONCE:
            raise BadMessageError(f"more than one {lower.decode('ascii')}")
        else:
            own[lower] += b"," + field[1]
    return own, fields


_known_fields = lru_cache(maxsize=256)(_sorted_fields)


def _framing(own: dict[bytes, bytes], minor: int, otherwise: int) -> int:
    """RFC 9112 6.3, without what it allows a recipient to repair."""
    encoding = own.get(b"transfer-encoding")
    length = own.get(b"content-length")
    if encoding is not None:
        if length is not None:
            raise BadMessageError("both Transfer-Encoding and Content-Length")
        if encoding.lower() != b"chunked" or not minor:
            raise BadMessageError("a Transfer-Encoding other than chunked", 501)
        return CHUNKED
    if length is not None:
        return content_length(length)
    return otherwise


def content_length(value: bytes) -> int:
    """Raises `BadMessageError`."""
    if not _LENGTH.fullmatch(value):
        raise BadMessageError("Content-Length is not a number")
    return int(value)


def _apply_connection(head: RequestHead | ResponseHead, own: dict[bytes, bytes]) -> bytes | None:
    """Follows the Connection field; the protocol that the sender would change to."""
    options = own.get(b"connection") or own.get(b"proxy-connection")
    if options is None:
        return None
    if options == b"keep-alive":
        head.keep_alive = True
        return None
    words = _words(options)
    if b"close" in words:
        head.keep_alive = False
    elif b"keep-alive" in words:
        head.keep_alive = True
    if words - {b"close", b"keep-alive", b"upgrade"}:
        head.fields[:] = [field for field in head.fields if field[0].lower() not in words]
    return own.get(b"upgrade") if b"upgrade" in words else None


def _offers_http(upgrade: bytes) -> bool:
    """Whether a version of HTTP is among the protocols, in clear or in TLS.

    Which one is spoken is agreed with us, not through us: what is then asked for would pass unseen.
    Any other protocol is its two ends' business: who may ask for it, may have it.
    """
    return any(map(_LEADS_TO_HTTP.fullmatch, _protocols(upgrade)))


def agrees(offered: bytes, chosen: bytes) -> bool:
    """Whether the server has changed to what it was asked for (RFC 9110 7.8)."""
    return _protocols(chosen) <= _protocols(offered)


def _protocols(upgrade: bytes) -> set[bytes]:
    return {word.partition(b"/")[0] for word in _words(upgrade)}


def overriding_methods(fields: Iterable[tuple[bytes, bytes]]) -> tuple[str, ...]:
    """Raises `BadMessageError` for what is no method."""
    found = _instead(fields, _OVERRIDING)
    if not all(_METHOD.fullmatch(each) for each in found):
        raise BadMessageError("a field that overrides the method names none")
    return tuple(each.decode("ascii").upper() for each in found)


def rerouted_targets(fields: Iterable[tuple[bytes, bytes]]) -> tuple[str, ...]:
    """In origin-form, whichever way they are written. Raises `BadMessageError` for too many."""
    targets: list[str] = []
    for value in _instead(fields, _REROUTING):
        text = "".join(chr(byte) if byte < 0x80 else f"%{byte:02X}" for byte in value)
        targets.append("/" + _URL_START.sub("", text).removeprefix("/"))
    return tuple(targets)


def _instead(fields: Iterable[tuple[bytes, bytes]], names: frozenset[bytes]) -> list[bytes]:
    """To servers that have fields as variables (RFC 3875 4.1.18), `_` in a name is as good as `-`."""
    named = (value for name, value in fields if name.lower().replace(b"_", b"-") in names)
    found = list(dict.fromkeys(named))
    if len(found) > _MOST_INSTEAD:
        raise BadMessageError("too many fields name another method or path")
    return found


def _words(value: bytes) -> set[bytes]:
    return {word.strip(b" \t").lower() for word in value.split(b",")}
