"""TCP connections to addresses, raced by RFC 8305, and the tunnel that a parent proxy opens in one."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, Final

from aiohappyeyeballs import (
    start_connection,  # pyright: ignore[reportUnknownVariableType]  its tuples have no item types
)

from moat.egress.peek import peek, take
from moat.egress.upstream.parent_proxy import answer_size

if TYPE_CHECKING:
    from collections.abc import Sequence

Address = IPv4Address | IPv6Address
_Info = tuple[int, int, int, str, tuple[str, int]]

_NEXT_ADDRESS_S: Final = 0.25
"""Between the starts of two attempts (RFC 8305 5)."""


async def connect(addresses: Sequence[Address], port: int) -> tuple[socket.socket, str]:
    """Connect to the first address that answers; return the socket and the address.

    The socket is non-blocking, without Nagle's delay. Raises `OSError`.
    """
    sock = await start_connection(
        [_address_info(address, port) for address in addresses],
        happy_eyeballs_delay=_NEXT_ADDRESS_S,
        interleave=1,
        socket_factory=_new_socket,
    )
    try:
        return sock, sock.getpeername()[0]
    except OSError as exc:  # the peer has closed it already
        sock.close()
        raise ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET)) from exc


def _address_info(address: Address, port: int) -> _Info:
    if isinstance(address, IPv4Address):
        return (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (str(address), port))
    # A scope stays in the text (fe80::1%eth0): uvloop takes it only from there.
    return (socket.AF_INET6, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (str(address), port))


def _new_socket(info: _Info) -> socket.socket:
    sock = socket.socket(info[0], info[1], info[2])
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


async def open_tunnel(sock: socket.socket, request: bytes) -> None:
    """Send a CONNECT to a proxy and wait until it agrees.

    What follows the answer is the server's already, and stays in the socket. Raises `RefusedError`,
    `ClosedEarlyError` and `OSError`. The socket belongs to the caller all along.
    """
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(sock, request)
    take(sock, await peek(loop, sock, answer_size))
