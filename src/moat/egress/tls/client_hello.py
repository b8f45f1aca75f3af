"""The first message of a TLS client (RFC 8446 4.1.2), which names the server. Pure."""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

LIMIT: Final = 64 * 1024
"""Bytes of a ClientHello; today's have up to two thousand."""

_HANDSHAKE, _CLIENT_HELLO = 22, 1
_SERVER_NAME, _ALPN = 0, 16
_ENCRYPTED: Final = frozenset((0xFE0D, 0xFFCE))
"""The extensions of ECH (RFC 9849) and of ESNI, its earlier draft."""
_EXTENSION: Final = struct.Struct("!HH")
"""Type and length."""
_MAX_RECORD: Final = 1 << 14
_MAX_RECORDS: Final = 64
"""Records that a ClientHello may be spread over; usual is one. With a byte in each, reading is slow."""


class ClientHello(NamedTuple):
    sni: str | None
    """The server's name as it was sent (RFC 6066 3)."""
    alpn: tuple[bytes, ...]
    encrypted: bool
    """The hello carries another ClientHello (ECH) or another name (ESNI), encrypted, or pretends to."""


class _Reader:
    """Takes fields off a message. Raises `ValueError` where it ends too early."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, size: int) -> bytes:
        piece = self._data[self._at : self._at + size]
        if len(piece) < size:
            raise ValueError("it ends too early")
        self._at += size
        return piece

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def vector(self, size: int) -> _Reader:
        """Take a vector; its length is a number of `size` bytes."""
        return _Reader(self.take(self.number(size)))

    def rest(self) -> bytes:
        return self._data[self._at :]

    def __bool__(self) -> bool:
        return self._at < len(self._data)


def parse(data: bytes) -> ClientHello | None:
    """Parse the first bytes of a connection; `None` while the ClientHello is incomplete.

    Raises `ValueError` for anything else.
    """
    message = _message(data)
    if message is None:
        return None
    reader = _Reader(message)
    reader.take(2 + 32)  # legacy_version, random
    reader.vector(1)  # legacy_session_id
    reader.vector(2)  # cipher_suites
    reader.vector(1)  # legacy_compression_methods
    extensions = _extensions(reader.vector(2).rest()) if reader else {}
    if reader:
        raise ValueError("something follows its extensions")
    name, protocols = extensions.get(_SERVER_NAME), extensions.get(_ALPN)
    return ClientHello(
        None if name is None else _server_name(_Reader(name)),
        () if protocols is None else _protocols(_Reader(protocols)),
        not _ENCRYPTED.isdisjoint(extensions),
    )


def _extensions(data: bytes) -> dict[int, bytes]:
    """Return the extensions by their types."""
    extensions: dict[int, bytes] = {}
    at = 0
    while at < len(data):
        if at + _EXTENSION.size > len(data):
            raise ValueError("it ends too early")
        kind, size = _EXTENSION.unpack_from(data, at)
        at += _EXTENSION.size + size
        if at > len(data):
            raise ValueError("it ends too early")
        if kind in extensions:
            raise ValueError("an extension comes twice")
        extensions[kind] = data[at - size : at]
    return extensions


def _message(data: bytes) -> bytes | None:
    """Return the body of the handshake message, which may be spread over records."""
    message = b""
    at = 0
    for _ in range(_MAX_RECORDS):
        length = _record_length(data[at : at + 5])
        if length is None:
            return None
        at += 5
        message += data[at : at + length]
        at += length
        size = _announced(message)
        if size is not None and len(message) >= size:
            if len(message) > size or at > len(data):
                raise ValueError("something follows it")
            return message[4:]
        if at > len(data):
            return None
    raise ValueError("it is cut into too many pieces")


def _announced(message: bytes) -> int | None:
    """Return the size of the handshake message with its header, once it is known."""
    if message and message[0] != _CLIENT_HELLO:
        raise ValueError("it is another message")
    if len(message) < 4:
        return None
    size = 4 + int.from_bytes(message[1:4], "big")
    if size > LIMIT:
        raise ValueError("it is too long")
    return size


def _record_length(header: bytes) -> int | None:
    """Return the length in a record's header; `None` while the header is incomplete."""
    if header and header[0] != _HANDSHAKE:
        raise ValueError("it is not a handshake")
    if len(header) > 1 and header[1] != 3:
        raise ValueError("it is of no known version")
    if len(header) < 5:
        return None
    length = int.from_bytes(header[3:], "big")
    if not 0 < length <= _MAX_RECORD:
        raise ValueError("a record has an impossible length")
    return length


def _server_name(content: _Reader) -> str:
    names = content.vector(2)
    if names.number(1) != 0:
        raise ValueError("a server's name is of an unknown kind")
    name = names.vector(2).rest()
    if names or content or not name or not name.isascii():
        raise ValueError("malformed name of a server")
    return name.decode("ascii")


def _protocols(content: _Reader) -> tuple[bytes, ...]:
    names = content.vector(2)
    protocols: list[bytes] = []
    while names:
        protocols.append(names.vector(1).rest())
    if content or not all(protocols) or not protocols:
        raise ValueError("malformed list of protocols")
    return tuple(protocols)
