"""The server's side of SOCKS 5 (RFC 1928). Pure.

Any user and password (RFC 1929) is accepted and forgotten: only programs of the sandbox reach this
port, and they all have the same rights.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import Final, NamedTuple

SUCCEEDED, NOT_ALLOWED, NO_COMMAND, NO_ADDRESS_KIND = 0, 2, 7, 8

_VERSION: Final = 5
_NO_PASSWORD, _PASSWORD, _NONE = 0, 2, 0xFF
_CONNECT: Final = 1
_V4, _NAME, _V6 = 1, 3, 4


class Target(NamedTuple):
    """The server that a client asks for."""

    host: str
    """A name or an address, as it was sent."""
    port: int


class Step(NamedTuple):
    """The next step of the conversation."""

    consumed: int = 0
    """Bytes that belong to the step; 0 while more must come."""
    reply: bytes = b""
    target: Target | None = None
    """The server that the client asks for. It waits for a `reply`."""
    failed: str = ""
    """Why the conversation is over."""


class Server:
    """The state of one conversation."""

    def __init__(self) -> None:
        self._next = self._greeting

    def feed(self, data: bytes) -> Step:
        """Take the next step. `data` begins with the first byte that no step has consumed.

        Raises `ValueError` for what is not SOCKS 5.
        """
        return self._next(data) if data else Step()

    def _greeting(self, data: bytes) -> Step:
        if data[0] != _VERSION:
            raise ValueError(f"SOCKS {data[0]}, but only SOCKS 5 is supported")
        if len(data) < 2 or len(data) < 2 + data[1]:
            return Step()
        end = 2 + data[1]
        offered = data[2:end]
        if _NO_PASSWORD in offered:
            self._next = self._request
            return Step(end, bytes((_VERSION, _NO_PASSWORD)))
        if _PASSWORD in offered:
            self._next = self._password
            return Step(end, bytes((_VERSION, _PASSWORD)))
        return Step(end, bytes((_VERSION, _NONE)), failed="no supported way to authenticate")

    def _password(self, data: bytes) -> Step:
        if data[0] != 1:
            raise ValueError("malformed password")
        if len(data) < 2 or len(data) < 3 + data[1]:
            return Step()
        end = 3 + data[1] + data[2 + data[1]]
        if len(data) < end:
            return Step()
        self._next = self._request
        return Step(end, b"\x01\x00")

    def _request(self, data: bytes) -> Step:
        if data[0] != _VERSION:
            raise ValueError("malformed request")
        if len(data) < 5:
            return Step()
        command, reserved, kind = data[1:4]
        size = {_V4: 4, _V6: 16, _NAME: 1 + data[4]}.get(kind)
        if size is None or reserved:
            return Step(len(data), reply(NO_ADDRESS_KIND), failed="an address of an unknown kind")
        end = 4 + size + 2
        if len(data) < end:
            return Step()
        if command != _CONNECT:
            return Step(
                end, reply(NO_COMMAND), failed=f"command {command}: only CONNECT is supported"
            )
        address = data[4 : 4 + size]
        if kind == _V4:
            host = str(IPv4Address(address))
        elif kind == _V6:
            host = str(IPv6Address(address))
        else:
            host = _server_name(address[1:])
        return Step(end, target=Target(host, int.from_bytes(data[end - 2 : end], "big")))


def _server_name(data: bytes) -> str:
    """Decode a name. RFC 1928 has no encoding for names, so other bytes could mean any server."""
    if not data or not data.isascii():
        raise ValueError("a name is empty or not ASCII")
    return data.decode("ascii")


def reply(code: int) -> bytes:
    """Return the reply to a request. The bound address, which no client needs, is 0.0.0.0:0."""
    return bytes((_VERSION, code, 0, _V4)) + bytes(6)
