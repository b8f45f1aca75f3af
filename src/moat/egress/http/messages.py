"""The vocabulary that HTTP/1.1 and HTTP/2 share: heads, framing, payloads and what is wrong with them.

Pure. RFC 9110 describes these messages; `h1` and `h2` read and write them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from moat.egress.traffic.entry import Fields

MAX_HEAD: Final = 64 * 1024
"""Bytes of a head, and of a block of trailers."""
MAX_INFORMATIONAL: Final = 32
"""Informational heads (status below 200) that a server may send for one request."""

NO_BODY: Final = 0
CHUNKED: Final = -1
UNTIL_CLOSE: Final = -2
"""The framing of a body is its length in bytes, or one of these."""

_IDEMPOTENT: Final = frozenset(("GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"))

Payload = list[bytes | memoryview]
"""Consecutive pieces of a body, without framing."""


class RequestLine(NamedTuple):
    """A method and a target in printable ASCII; other bytes are escaped as in a Python literal."""

    method: str
    target: str


class BadMessageError(ValueError):
    """A message that violates RFC 9110, 9112 or 9113; the text says how, in one line."""

    def __init__(self, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.status = status
        """The status to answer a request with."""
        self.line: RequestLine | None = None
        """The line of the bad request, if it has one."""


class RequestHead:
    """A request's head, without hop-by-hop fields.

    Attributes that most requests leave unset have their defaults in the class, because a head is
    made for every request.
    """

    host: bytes | None = None
    """The Host field or `:authority`, which is not in `fields`."""
    framing = NO_BODY
    keep_alive = True
    minor = 1
    """The minor version: HTTP/1.0 or HTTP/1.1."""
    continues = False
    """The client sent `Expect: 100-continue`."""
    overriding: tuple[str, ...] = ()
    """Methods that a field asks a server to use instead of `method`."""
    rerouted: tuple[str, ...] = ()
    """Targets that a field asks a server to use instead of `target`."""
    upgrade: bytes | None = None
    """The protocols that the client offers to change to."""

    def __init__(self, method: str, target: str, fields: Fields) -> None:
        self.method = method
        self.target = target
        """The target as received: in origin-form, absolute-form, authority-form or `*`."""
        self.fields = fields

    @property
    def repeatable(self) -> bool:
        """Sending the request twice does no harm (RFC 9110 9.2.2), and takes nothing but its head."""
        return self.method in _IDEMPOTENT and self.framing == NO_BODY

    def copy(self) -> RequestHead:
        """Return a request whose fields can be changed without changing this one's."""
        return self.with_fields(self.fields.copy())

    def with_fields(self, fields: Fields) -> RequestHead:
        """Return a request that has other fields, and is the same but for them."""
        made = RequestHead(self.method, self.target, fields)
        made.host, made.framing, made.upgrade = self.host, self.framing, self.upgrade
        made.keep_alive, made.minor, made.continues = self.keep_alive, self.minor, self.continues
        made.overriding, made.rerouted = self.overriding, self.rerouted
        return made


class ResponseHead:
    """A response's head, without hop-by-hop fields."""

    reason = b""
    keep_alive = True
    minor = 1
    upgrade: bytes | None = None
    """The protocol that the server changes to, or offers."""
    ends = False
    """No body and no trailers follow."""

    def __init__(self, status: int, fields: Fields, framing: int = NO_BODY) -> None:
        self.status = status
        self.fields = fields
        self.framing = framing
        self.length: int | None = framing if framing >= 0 else None
        """The Content-Length, even where no body follows (HEAD, 304)."""
