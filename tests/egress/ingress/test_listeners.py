"""The listeners in the sandbox: which are required, and which a program may have taken."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from moat.egress.ingress.listeners import Listeners

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Shim:
    """Stands in for the sandbox: listens on loopback, where some ports are taken."""

    def __init__(self, *taken: int) -> None:
        self.taken = set(taken)
        self.asked: list[int] = []
        """TCP ports."""
        self.places: dict[int, tuple[str, int]] = {}
        """The address on loopback of each port."""

    async def listen(self, family: str, kind: str, _address: str, port: int) -> int:
        if family == "inet6":
            raise OSError(errno.EAFNOSUPPORT, "not here")
        if kind == "udp":
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                return sock.detach()
        self.asked.append(port)
        if port in self.taken:
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
        with socket.create_server(("127.0.0.1", 0)) as sock:
            self.places[port] = sock.getsockname()
            return sock.detach()


class Room:
    """There is always some."""

    def has_room(self) -> bool:
        return True


@pytest.fixture
async def accepted() -> asyncio.Future[None]:
    """Done when a connection has been accepted and closed."""
    return asyncio.get_running_loop().create_future()


@pytest.fixture
async def listeners(accepted: asyncio.Future[None]) -> AsyncIterator[Listeners]:
    def accept(sock: socket.socket) -> None:
        sock.close()
        accepted.set_result(None)

    loop = asyncio.get_running_loop()
    with closing(Listeners(loop, Room(), accept, lambda _query, _transport: None)) as made:
        yield made


async def test_a_port_that_a_program_has_taken_stops_no_other(
    listeners: Listeners, accepted: asyncio.Future[None]
) -> None:
    """Otherwise the next supervisor would have no network: the program holds the port already."""
    shim = Shim(5000)
    await listeners.open(shim.listen, frozenset((5000, 8443)))

    assert listeners.missed == {5000: "a program of the sandbox listens there"}
    with socket.create_connection(shim.places[8443]):
        await accepted


async def test_a_port_that_is_free_again_is_captured_with_the_next_change(
    listeners: Listeners,
) -> None:
    """Ports that are captured already are not asked for again."""
    shim = Shim(5000)
    await listeners.open(shim.listen, frozenset((5000,)))
    shim.taken.clear()
    shim.asked.clear()
    await listeners.open_ports(shim.listen, frozenset((5000, 8443)))

    assert listeners.missed == {}
    assert sorted(shim.asked) == [5000, 8443]


@pytest.mark.parametrize("port", [53, 80, 443, 3128])
async def test_without_what_is_always_captured_there_is_no_network(
    listeners: Listeners, port: int
) -> None:
    """No program of the sandbox runs yet, so the error can't be one of a taken port."""
    with pytest.raises(OSError, match="in use"):
        await listeners.open(Shim(port).listen, frozenset())
