"""SOCKS 5 (RFC 1928), the server's side. Pure.

Whatever a client offers as a password (RFC 1929) is taken and forgotten: who may speak to this port is
in the sandbox, and all in it are one.
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
    host: str
    port: int


class Step(NamedTuple):
    """What the bytes so far lead to."""

    consumed: int = 0
    """Of them; 0 while more must come."""
    reply: bytes = b""
    target: Target | None = None
    """Where it wants to go: `reply(SUCCEEDED)` is what it waits for."""
    failed: str = ""
    """Why it is over."""


class Server:
    def __init__(self) -> None:
        self._next = self._greeting

    def feed(self, data: bytes) -> Step:
        """`data` begins with what no step has consumed yet. Raises `ValueError` for no SOCKS 5."""
        return self._next(data) if data else Step()

    def _greeting(self, data: bytes) -> Step:
        if data[0] != _VERSION:
            raise ValueError(f"SOCKS {data[0]}, but only SOCKS 5 is spoken here")
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
        return Step(
            end, bytes((_VERSION, _NONE)), failed="no way to authenticate that is known here"
        )

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
                end, reply(NO_COMMAND), failed=f"command {command}: only CONNECT is known here"
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
    """RFC 1928 has no encoding for names: clients would mean different servers."""
    if not data or not data.isascii():
        raise ValueError("a name that is empty or not in ASCII")
    return data.decode("ascii")


def reply(code: int) -> bytes:
    """To a request; the address bound (which nobody needs) is 0.0.0.0:0."""
    return bytes((_VERSION, code, 0, _V4)) + bytes(6)
