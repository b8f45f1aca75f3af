"""The search for a credential in the body of a response, which arrives in pieces. Pure.

A secret in a body that is not coded is masked, byte for byte. In a coded body (gzip, deflate, br) that
can't be done without coding it anew, which would break its length, its ETag and its checksums: there the
response is broken off before the secret's last byte.
"""

from __future__ import annotations

import importlib
import zlib
from typing import TYPE_CHECKING, Final, Protocol

from moat.egress.http.secret_masking import MIN_LENGTH

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moat.egress.http.messages import Payload
    from moat.egress.http.secret_masking import Secrets

CODINGS: Final = (b"gzip", b"deflate", b"br")
"""Codings that can be looked into."""
_PIECE: Final = 1 << 18
"""Bytes of decoded text that are in memory at a time."""
_ALWAYS_DECODED: Final = 1 << 25
_MOST_TIMES: Final = 200
"""Logs and tables of numbers shrink to a hundredth. 800 bytes of Brotli can be a gigabyte of zeros."""


class EchoFoundError(Exception):
    """A coded body has a secret."""


class UndecodableError(Exception):
    """A coded body can't be decoded; the text says why."""


class BodySearch(Protocol):
    name: str
    """The name of the grant whose secrets it looks for."""
    found: bool
    """Tells that a secret was found."""

    def feed(self, payload: Payload, *, ends: bool = False) -> Payload:
        """Return what may be passed on. Raises `EchoFoundError` or `UndecodableError`.

        `ends`: nothing follows, so that nothing is held back.
        """
        ...

    def end(self) -> Payload:
        """Return what was held back, at the end of a body of unknown length."""
        ...


class MaskingSearch:
    """Masks secrets, even if they arrive in pieces.

    The end of a piece is held back where it may be the beginning of a secret. A few bytes are not, else
    every second event of a stream would wait for the next one. They are remembered instead, so that a
    secret is found whole.
    """

    def __init__(self, name: str, secrets: Secrets) -> None:
        self.name = name
        self._secrets = secrets
        self._passed = b""
        """The last few bytes that were passed on."""
        self._held = b""
        self.found = False

    def feed(self, payload: Payload, *, ends: bool = False) -> Payload:
        before = len(self._passed)
        text = b"".join([self._passed, self._held, *payload])
        if self._secrets.found_in(text):
            self.found = True
            text = self._secrets.masked(text)
        elif ends and not before and not self._held:
            return payload
        if ends:
            return [text[before:]]
        end = len(text) - self._secrets.partial_end(text, MIN_LENGTH)
        # What was passed on can't be held back any more; too little of a secret to be one was.
        end = max(end, before)
        self._held = text[end:]
        self._passed = text[max(0, end - MIN_LENGTH + 1) : end]
        return [text[before:end]] if end > before else []

    def end(self) -> Payload:
        return [self._held] if self._held else []


class CodedSearch:
    """Passes a coded body on as it is, held back while its text may be the beginning of a secret."""

    def __init__(self, name: str, secrets: Secrets, coding: bytes) -> None:
        self.name = name
        self._secrets = secrets
        self._decode: _Decoder = _Brotli() if coding == b"br" else _Inflate()
        self._text = b""
        """The end of the decoded text that may be the beginning of a secret."""
        self._held: list[bytes] = []
        self._coded = self._decoded = 0
        """Bytes of the body, before and after decoding."""
        self.found = False

    def feed(self, payload: Payload, *, ends: bool = False) -> Payload:
        self._held += [bytes(piece) for piece in payload]
        for piece in payload:
            self._coded += len(piece)
            for text in self._decode.feed(bytes(piece)):
                self._check_size(len(text))
                self._search(self._text + text)
        return [] if self._text and not ends else self._release()

    def _check_size(self, more: int) -> None:
        """Raise `UndecodableError` for a body that is made to take up the supervisor."""
        self._decoded += more
        if self._decoded > max(_ALWAYS_DECODED, self._coded * _MOST_TIMES):
            raise UndecodableError(f"it decodes to more than {_MOST_TIMES} times its size")

    def _search(self, text: bytes) -> None:
        if self._secrets.found_in(text):
            self.found = True
            raise EchoFoundError
        held = self._secrets.partial_end(text)
        self._text = text[len(text) - held :]

    def end(self) -> Payload:
        return self._release()

    def _release(self) -> Payload:
        held, self._held = self._held, []
        return [*held]


class _Decoder(Protocol):
    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the text piece by piece. Raises `UndecodableError`."""
        ...


class _Inflate:
    """gzip, zlib or raw deflate, which servers send under the same name (RFC 9110 8.4.1.2)."""

    def __init__(self) -> None:
        self._decoder = zlib.decompressobj(zlib.MAX_WBITS | 32)
        self._first = b""
        """Bytes before the first text: a header, or none."""
        self._begun = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        if not self._begun:
            self._first += data
        try:
            for text in self._inflate(data):
                self._begun = self._begun or bool(text)
                yield text
        except zlib.error as exc:
            if self._begun:
                raise UndecodableError(str(exc)) from exc
            self._begun = True
            self._decoder = zlib.decompressobj(-zlib.MAX_WBITS)
            yield from self.feed(self._first)

    def _inflate(self, data: bytes) -> Iterator[bytes]:
        while data:
            yield self._decoder.decompress(data, _PIECE)
            if self._decoder.eof:  # another member may follow (RFC 1952 2.2)
                data = self._decoder.unused_data
                self._decoder = zlib.decompressobj(zlib.MAX_WBITS | 32)
            else:
                data = self._decoder.unconsumed_tail


class _Decompressor(Protocol):
    def process(self, data: bytes, *, output_buffer_limit: int) -> bytes: ...


class _Brotli:
    def __init__(self) -> None:
        # The library has no types; and few responses have this coding.
        brotli = importlib.import_module("brotli")
        self._error: type[Exception] = brotli.error
        self._decoder: _Decompressor = brotli.Decompressor()

    def feed(self, data: bytes) -> Iterator[bytes]:
        while text := self._process(data):
            yield text
            data = b""  # the library has the rest

    def _process(self, data: bytes) -> bytes:
        try:
            return self._decoder.process(data, output_buffer_limit=_PIECE)
        except self._error as exc:
            raise UndecodableError(str(exc)) from exc
