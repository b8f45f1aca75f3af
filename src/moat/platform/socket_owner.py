"""The user behind a connection from this machine, as the kernel knows it (sock_diag(7)).

A TCP connection doesn't say who has made it, and any user may connect to the loopback. But both of its
ends are sockets of this machine, and the kernel tells everybody to whom a socket belongs.
"""

from __future__ import annotations

import socket
import struct
from typing import Final

from moat.platform import netlink

_NETLINK_SOCK_DIAG: Final = 4
_SOCK_DIAG_BY_FAMILY: Final = 20
_ALL_STATES: Final = 0xFFFFFFFF
_NO_COOKIE: Final = 0xFFFFFFFF
_REQUEST: Final = struct.Struct("=BBBBI")
_ID_SIZE: Final = 48
_STATE: Final = struct.Struct("=xBxx")
_OWNER: Final = struct.Struct("=12xII")
_CONNECTED: Final = frozenset((1, 4, 5, 8))
"""ESTABLISHED, FIN_WAIT1, FIN_WAIT2 and CLOSE_WAIT."""


def owner(connection: socket.socket) -> int | None:
    """Return the uid of the process that has connected from this machine; `None` where nobody knows.

    That is so for a connection from another machine, and where the process has closed its socket
    already: the kernel says of such a socket that it is root's. Raises `OSError` where the kernel can't
    be asked.
    """
    client, own = connection.getpeername()[:2], connection.getsockname()[:2]
    wanted = _id(connection.family, client, own)
    request = _REQUEST.pack(connection.family, socket.IPPROTO_TCP, 0, 0, _ALL_STATES) + wanted
    body = netlink.ask(_NETLINK_SOCK_DIAG, _SOCK_DIAG_BY_FAMILY, request)
    if body is None:
        return None  # there is no such socket
    (state,) = _STATE.unpack_from(body)
    uid, inode = _OWNER.unpack_from(body, 4 + _ID_SIZE)
    ports_and_addresses = slice(4, 4 + _ID_SIZE - 12)
    same = body[ports_and_addresses] == wanted[: _ID_SIZE - 12]
    return uid if same and state in _CONNECTED and inode else None


def _id(family: int, source: tuple[str, int], target: tuple[str, int]) -> bytes:
    """Return a `struct inet_diag_sockid`."""
    addresses = (socket.inet_pton(family, each[0]).ljust(16, b"\0") for each in (source, target))
    ports = struct.pack("!HH", source[1], target[1])
    return ports + b"".join(addresses) + struct.pack("=III", 0, _NO_COOKIE, _NO_COOKIE)
