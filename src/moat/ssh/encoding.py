"""The data types of the SSH protocols (RFC 4251 5), read and written. Pure."""

from __future__ import annotations

from typing import Final

LONGEST_MESSAGE: Final = 256 * 1024
"""Bytes of a message to an agent; OpenSSH's agent takes no longer ones either."""


class Reader:
    """Takes fields off a message. Raises `ValueError` where one is malformed or ends too early."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def byte(self) -> int:
        return self._take(1)[0]

    def boolean(self) -> bool:
        value = self.byte()
        if value > 1:
            # RFC 4251 reads any other number as true. Two spellings of one thing have no use here.
            raise ValueError("a boolean is neither 0 nor 1")
        return bool(value)

    def uint32(self) -> int:
        return int.from_bytes(self._take(4), "big")

    def string(self) -> bytes:
        return self._take(self.uint32())

    def text(self) -> str:
        """Take a string that must be UTF-8."""
        return self.string().decode()

    def mpint(self) -> int:
        return int.from_bytes(self.string(), "big", signed=True)

    def end(self) -> None:
        """Check that nothing follows."""
        if self._at < len(self._data):
            raise ValueError("something follows the last field")

    def _take(self, size: int) -> bytes:
        piece = self._data[self._at : self._at + size]
        if len(piece) < size:
            raise ValueError("it ends too early")
        self._at += size
        return piece


def uint32(number: int) -> bytes:
    return number.to_bytes(4, "big")


def string(data: bytes | str) -> bytes:
    content = data.encode() if isinstance(data, str) else data
    return uint32(len(content)) + content


def mpint(number: int) -> bytes:
    """Write a number that isn't negative: its first bit must be clear."""
    return string(number.to_bytes(number.bit_length() // 8 + 1 if number else 0, "big"))


class Messages:
    """Cuts a stream of bytes into messages, each of which follows its length (RFC 9987 3)."""

    def __init__(self) -> None:
        self._waiting = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Return the messages that are complete now. Raises `ValueError` for one that is too long."""
        self._waiting += data
        complete: list[bytes] = []
        while len(self._waiting) >= 4:
            size = int.from_bytes(self._waiting[:4], "big")
            if not 0 < size <= LONGEST_MESSAGE:
                raise ValueError(f"a message of {size} bytes")
            if len(self._waiting) < 4 + size:
                break
            complete.append(bytes(self._waiting[4 : 4 + size]))
            del self._waiting[: 4 + size]
        return complete
