"""Readers of HTTP/1.1 bodies, one for each kind of framing (RFC 9112 6 and 7). Pure.

A reader is fed data as it arrives and returns the payload without copying it, as slices of that data.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Protocol

from moat.egress.http.h1 import parser
from moat.egress.http.messages import CHUNKED, MAX_HEAD, UNTIL_CLOSE, BadMessageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from moat.egress.http.messages import Payload
    from moat.egress.http.secret_masking import Secrets
    from moat.egress.traffic.entry import Fields


class BodyReader(Protocol):
    done: bool
    """The body is complete."""
    trailers: Fields
    rest: bytes | memoryview
    """The data behind the body, once it is `done`."""

    def feed(self, data: bytes | memoryview) -> Payload:
        """Return the payload in `data`. Raises `BadMessageError`."""
        ...


def body_reader(framing: int) -> BodyReader:
    """Return a reader for a body with this framing; see `messages`."""
    if framing == CHUNKED:
        return ChunkedReader()
    if framing == UNTIL_CLOSE:
        return EndlessReader()
    return SizedReader(framing)


def chunks(payload: Payload) -> Payload:
    """Frame the payload in chunks, but for empty pieces: an empty chunk is the last (RFC 9112 7.1)."""
    made: Payload = []
    for piece in payload:
        if piece:
            made += (b"%x\r\n" % len(piece), piece, b"\r\n")
    return made


class SizedReader:
    """A reader of a body with a known length."""

    __slots__ = ("_left", "done", "rest", "trailers")

    def __init__(self, length: int) -> None:
        self._left = length
        self.done = length == 0
        self.trailers: Fields = []
        self.rest: bytes | memoryview = b""

    def feed(self, data: bytes | memoryview) -> Payload:
        size = len(data)
        if size < self._left:
            self._left -= size
            return [data]
        self.done = True
        if size == self._left:
            return [data]
        view = memoryview(data)
        self.rest = view[self._left :]
        return [view[: self._left]]


class EndlessReader:
    """A reader of a body that ends with its connection."""

    __slots__ = ("done", "rest", "trailers")

    def __init__(self) -> None:
        self.done = False
        self.trailers: Fields = []
        self.rest: bytes | memoryview = b""

    def feed(self, data: bytes | memoryview) -> Payload:
        return [data]


_SIZE_LINE: Final = re.compile(
    # A size, and extensions, which are dropped: nobody uses them, and parsers differ about them.
    rb"([0-9A-Fa-f]{1,15}+)(?:[ \t]*+;[\t\x20-\x7e\x80-\xff]*+)?\r\n"
)
_MAX_LINE: Final = 1024


class ChunkedReader:
    """A reader of a chunked body, which buffers incomplete lines between chunks, but never payload."""

    __slots__ = ("_left", "_line", "_state", "done", "rest", "trailers")

    def __init__(self) -> None:
        self._state: Callable[[memoryview, int, Payload], int] = self._size_line
        self._line = b""
        self._left = 0
        self.done = False
        self.trailers: Fields = []
        self.rest: bytes | memoryview = b""

    def feed(self, data: bytes | memoryview) -> Payload:
        payload: Payload = []
        if self._line:
            data = self._line + bytes(data)
            self._line = b""
        view = memoryview(data)
        at = 0
        while not self.done and at < len(view):
            step = self._state(view, at, payload)
            if step < 0:
                self._line = bytes(view[at:])
                return payload
            at = step
        if self.done:
            self.rest = view[at:]
        return payload

    def _size_line(self, view: memoryview, at: int, _payload: Payload) -> int:
        line = bytes(view[at : at + _MAX_LINE])
        end = line.find(b"\n") + 1
        if not end:
            if len(line) == _MAX_LINE:
                raise BadMessageError("the line with a chunk's size is too long")
            return -1
        match = _SIZE_LINE.fullmatch(line, 0, end)
        if match is None:
            raise BadMessageError("malformed size of a chunk")
        self._left = int(match[1], 16)
        self._state = self._data if self._left else self._trailer_lines
        return at + end

    def _data(self, view: memoryview, at: int, payload: Payload) -> int:
        piece = view[at : at + self._left]
        payload.append(piece)
        self._left -= len(piece)
        if not self._left:
            self._state = self._data_end
        return at + len(piece)

    def _data_end(self, view: memoryview, at: int, _payload: Payload) -> int:
        end = bytes(view[at : at + 2])
        if end != b"\r\n"[: len(end)]:
            raise BadMessageError("a chunk is longer than its size says")
        if len(end) < 2:
            return -1
        self._state = self._size_line
        return at + 2

    def _trailer_lines(self, view: memoryview, at: int, _payload: Payload) -> int:
        lines = bytes(view[at : at + MAX_HEAD])
        if lines.startswith(b"\r\n"):
            self.done = True
            return at + 2
        if len(lines) < 2:
            if lines not in b"\r\n" and not lines.isascii():
                raise BadMessageError("malformed trailers")
            return -1
        end = parser.head_end(lines)
        if end < 0:
            return -1
        self.trailers = parser.parse_trailers(lines[:end])
        self.done = True
        return at + end


class MaskingReader:
    """A reader that masks secrets in the payload of another one, even if they arrive in pieces."""

    __slots__ = ("_secrets", "done", "inner", "rest", "trailers", "withheld")

    def __init__(self, inner: BodyReader, secrets: Secrets) -> None:
        self.inner = inner
        self._secrets = secrets
        self.withheld = b""
        """The end of the payload, where it may be the beginning of a secret."""
        self.done = inner.done
        self.trailers: Fields = []
        self.rest: bytes | memoryview = b""

    def feed(self, data: bytes | memoryview) -> Payload:
        text = self._secrets.masked(self.withheld + b"".join(self.inner.feed(data)))
        end = len(text)
        if self.inner.done:
            self.done, self.rest = True, self.inner.rest
            self.trailers = [
                (name, self._secrets.masked(value)) for name, value in self.inner.trailers
            ]
        else:
            end -= self._secrets.partial_end(text)
        self.withheld = text[end:]
        return [text[:end]] if end else []
