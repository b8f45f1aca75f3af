"""Sockets that are connecting to a server of a sandbox."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio


async def connected(loop: asyncio.AbstractEventLoop, sock: socket.socket) -> None:
    """Wait until a socket has connected. Raises `OSError`."""
    with suppress(OSError):
        sock.getpeername()
        return  # as it mostly has, on a loopback
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_writer(sock, _settle, ready)
    try:
        await ready
    finally:
        loop.remove_writer(sock)
    number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if number:
        raise OSError(number, os.strerror(number))


def _settle(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)
