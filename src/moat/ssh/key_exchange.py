"""The first key exchange of an ssh session, as a server's plain bytes show it (RFC 4253 4 to 8). Pure.

The server signs the session's identifier in a message that is not encrypted yet. Who sees it on the
way knows by the server's own word which session it is, without a secret of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from moat.ssh.encoding import Reader

if TYPE_CHECKING:
    from collections.abc import Generator

Found = Callable[[bytes, bytes], None]
"""Takes the server's host key and its signature over the session's identifier."""

_LONGEST: Final = 64 * 1024
"""Bytes before the keys are exchanged; a server's first messages have two thousand."""
_LONGEST_PACKET: Final = 35_000
_NEW_KEYS: Final = 21
# DH, ECDH and what takes their form (RFC 4253 8, RFC 5656 4); group exchange (RFC 4419 3). There, 31 is
# the group, which has two fields.
_REPLIES: Final = frozenset((31, 33))


class KeyExchange:
    """Reads what a server sends until the keys are exchanged, or until it is no ssh."""

    def __init__(self, found: Found) -> None:
        self._waiting = bytearray()
        self._read = 0
        self._parser = _parse(found)
        self._wanted: int | None = next(self._parser)

    def feed(self, data: bytes) -> None:
        """Take the next bytes."""
        if self._wanted is None:
            return
        self._read += len(data)
        self._waiting += data
        while self._wanted is not None and (piece := self._take(self._wanted)) is not None:
            try:
                self._wanted = self._parser.send(piece)
            except (StopIteration, ValueError):
                self._wanted = None
        if self._read > _LONGEST:
            self._wanted = None
        if self._wanted is None:
            self._waiting.clear()

    def _take(self, size: int) -> bytes | None:
        """Take so many bytes, or a line for 0; `None` while they aren't there."""
        if size == 0:
            size = self._waiting.find(b"\n") + 1
        if not 0 < size <= len(self._waiting):
            return None
        piece = bytes(self._waiting[:size])
        del self._waiting[:size]
        return piece


def _parse(found: Found) -> Generator[int, bytes, None]:
    """Ask for bytes, 0 for a line, and report what was found."""
    while not (yield 0).startswith(b"SSH-2.0-"):
        pass  # other lines may come first (RFC 4253 4.2)
    while True:
        size = int.from_bytes((yield 4), "big")
        if not 2 <= size <= _LONGEST_PACKET:
            raise ValueError("no packet of ssh")
        packet = yield size
        padding = packet[0]
        message = packet[1 : size - padding]
        if not message or message[0] == _NEW_KEYS:
            return
        if message[0] in _REPLIES:
            _report(message, found)


def _report(message: bytes, found: Found) -> None:
    fields = Reader(message[1:])
    try:
        host_key, _, signature = fields.string(), fields.string(), fields.string()
        fields.end()
    except ValueError:
        return  # the group of a group exchange
    found(host_key, signature)
