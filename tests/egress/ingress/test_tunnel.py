"""Tunnels: what passes, and how they end."""

from __future__ import annotations

import asyncio
import socket
from contextlib import closing
from typing import NamedTuple

import pytest

from moat.egress.ingress.tunnel import Tunnel
from moat.egress.streams import break_off
from moat.spec.network import Timeouts


class Joined(NamedTuple):
    """A tunnel with a socket of ours at either end."""

    tunnel: Tunnel
    client: socket.socket
    server: socket.socket
    ended: asyncio.Future[str]
    """The reason once the tunnel has ended; empty for an ordinary end."""
    denials: list[str]
    """The denial of the policy as it is now, if there is one."""


def _pair() -> tuple[socket.socket, socket.socket]:
    """Two connected TCP sockets: Unix sockets have no reset."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        near = socket.create_connection(listening.getsockname())
        far, _ = listening.accept()
    near.setblocking(False)
    far.setblocking(False)
    return near, far


@pytest.fixture
async def joined() -> Joined:
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[str] = loop.create_future()
    denials: list[str] = []
    tunnel = Tunnel(loop, lambda _, why: ended.set_result(why), lambda: "".join(denials))
    client, inner = _pair()
    server, outer = _pair()
    await tunnel.join(inner, outer)
    return Joined(tunnel, client, server, ended, denials)


async def _read(sock: socket.socket) -> bytes:
    return await asyncio.get_running_loop().sock_recv(sock, 65536)


async def test_what_one_has_left_unsaid_the_other_still_gets(joined: Joined) -> None:
    """A half-closed connection goes on in the other direction (RFC 9293, 3.6)."""
    joined.client.send(b"question")
    joined.client.shutdown(socket.SHUT_WR)
    assert await _read(joined.server) == b"question"
    assert await _read(joined.server) == b""
    joined.server.send(b"answer")
    joined.server.close()
    assert await _read(joined.client) == b"answer"
    assert await _read(joined.client) == b""
    assert await joined.ended == ""
    joined.client.close()


@pytest.mark.parametrize("end", ["client", "server"])
async def test_who_has_closed_may_reset_what_still_comes(joined: Joined, end: str) -> None:
    """curl closes, the server's close_notify finds nobody, the kernel resets: an ordinary end."""
    gone, left = joined.client, joined.server
    if end == "server":
        gone, left = left, gone
    gone.close()
    assert await _read(left) == b""
    while not joined.ended.done():  # the first write brings the reset, the next one meets it
        left.send(b"close_notify")
        await asyncio.sleep(0)

    assert joined.ended.result() == ""
    left.close()


@pytest.mark.parametrize("end", ["client", "server"])
async def test_a_reset_in_the_middle_reaches_the_other(joined: Joined, end: str) -> None:
    gone, left = joined.client, joined.server
    if end == "server":
        gone, left = left, gone
    break_off(gone)

    assert await joined.ended == "broken: connection reset by peer"
    with pytest.raises(ConnectionResetError):
        await _read(left)
    left.close()


async def test_one_that_is_silent_for_too_long_is_ended(joined: Joined) -> None:
    timeouts = Timeouts()
    now = asyncio.get_running_loop().time()
    joined.tunnel.check(now, timeouts)
    assert not joined.ended.done()
    joined.tunnel.check(now + timeouts.idle + 1, timeouts)
    assert await joined.ended == f"no byte has passed for {timeouts.idle:g} s"
    joined.client.close()
    joined.server.close()


async def test_one_that_the_policy_does_not_open_any_more_is_reset(joined: Joined) -> None:
    """Both ends are reset at once; until then the tunnel goes on."""
    joined.tunnel.reconsider()
    joined.client.send(b"question")
    assert await _read(joined.server) == b"question"
    joined.denials.append("denied by rule")
    joined.tunnel.reconsider()
    assert await joined.ended == "denied by rule"
    for each in (joined.client, joined.server):
        with pytest.raises(ConnectionResetError):
            await _read(each)
        each.close()
