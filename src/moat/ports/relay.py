"""Connections from outside to the servers of a sandbox: accepted, checked, joined, bounded.

The server inside is hostile. It costs the supervisor no more than a bounded number of connections with
a bounded buffer each, whether it is slow, silent or floods; a new connection takes the place of the one
in which nothing has passed for longest, or waits in the backlog.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from moat.egress.ingress.accept_loop import AcceptLoop
from moat.egress.ingress.tunnel import Tunnel
from moat.egress.streams import break_off, reason
from moat.platform import socket_owner
from moat.ports.dialed import connected

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterable

    from moat.spec.port import PublishedPort

log = logging.getLogger(__name__)

MAX_CONNECTIONS: Final = 128
"""Connections of one run that are served at a time. Each takes two descriptors."""
IDLE_S: Final = 30.0
"""Time without a byte after which a connection gives way to a new one if there is no room."""
CONNECT_S: Final = 10.0
"""Time that a server inside may take to accept a connection."""
_INSIDE: Final = ("127.0.0.1", "::1")


class Visitor(NamedTuple):
    """The other end of a connection to a published port."""

    address: str
    uid: int | None
    """The user, where it is a process of this machine; `None` where nobody was asked or knows."""


class Sandbox(Protocol):
    """The part of the run that the relay needs."""

    def dial(self, address: str, port: int, /) -> Awaitable[int]:
        """Return a socket that connects inside; it may still be connecting. Raises `OSError`."""
        ...

    def refusal(self, port: int, /) -> str:
        """Return why no connection may reach this port of the sandbox now; empty if it may."""
        ...


class Record(Protocol):
    """The record of connections, written before a byte of them passes."""

    def connected(self, port: PublishedPort, visitor: Visitor, problem: str, /) -> None:
        """A visitor was joined to the server inside, or couldn't be because of a `problem`."""
        ...

    def refused(self, port: PublishedPort, visitor: Visitor, why: str, /) -> None:
        """A visitor may not come in."""
        ...


class Relay:
    """Serves the published ports of one run."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        start: Callable[[Coroutine[None, None, None]], None],
        sandbox: Sandbox,
        record: Record,
    ) -> None:
        """`start` runs a task."""
        self._loop = loop
        self._start = start
        self._sandbox = sandbox
        self._record = record
        self._accepting = AcceptLoop(loop, self._has_room, self._accepted, self._room_again)
        self._ports: dict[socket.socket, PublishedPort] = {}
        """The port of each listener."""
        self._tunnels: dict[Tunnel, None] = {}
        self._closed = False
        self._pending = 0
        """Connections that were accepted and aren't joined yet."""

    def serve(self, port: PublishedPort, listeners: Iterable[socket.socket]) -> None:
        """Accept what comes to a port's sockets, which are the relay's now."""
        for sock in listeners:
            self._ports[sock] = port
            self._accepting.add(sock)

    def close(self) -> None:
        """Break off everything, and accept no more."""
        self._closed = True
        self._accepting.close()
        for tunnel in tuple(self._tunnels):
            tunnel.close("the port is closed")

    # --- room ---

    def _has_room(self) -> bool:
        if len(self._tunnels) + self._pending < MAX_CONNECTIONS:
            return True
        quiet = min(self._tunnels, key=_last_read, default=None)
        if quiet is None or self._loop.time() - _last_read(quiet) < IDLE_S:
            return False
        quiet.close("it gave way to another connection")
        return True

    def _room_again(self) -> float:
        oldest = min(map(_last_read, self._tunnels), default=self._loop.time())
        return oldest + IDLE_S

    # --- connections ---

    def _accepted(self, sock: socket.socket, listener: socket.socket) -> None:
        self._pending += 1
        self._start(self._serve(self._ports[listener], sock))

    async def _serve(self, port: PublishedPort, visitor: socket.socket) -> None:
        try:
            await self._join(port, visitor)
        except OSError as exc:
            log.info("a connection to %s has failed: %s", port.name, exc)
            break_off(visitor)
        except asyncio.CancelledError:
            break_off(visitor)
            raise
        except Exception:  # an error of one connection is no other's
            log.exception("a connection to %s has failed", port.name)
            break_off(visitor)
        finally:
            self._pending -= 1
            self._accepting.resume()

    async def _join(self, port: PublishedPort, visitor: socket.socket) -> None:
        uid = socket_owner.owner(visitor) if _local(port) else None
        who = Visitor(visitor.getpeername()[0], uid)
        why = socket_owner.objection(uid) if _local(port) else ""
        why = why or self._refusal(port)
        if why:
            self._record.refused(port, who, why)
            break_off(visitor)
            return
        try:
            server = await self._connect(port.port)
        except (OSError, TimeoutError) as exc:
            self._record.connected(port, who, _problem(exc))
            break_off(visitor)
            return
        # While it was connecting, the policy may have opened this port to the proxy.
        why = self._refusal(port)
        if why:
            self._record.refused(port, who, why)
            break_off(server)
            break_off(visitor)
            return
        self._record.connected(port, who, "")
        server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        tunnel = Tunnel(self._loop, self._ended, lambda: "")
        self._tunnels[tunnel] = None
        try:
            await tunnel.join(visitor, server)
        except BaseException:
            tunnel.close("it could not be joined")
            server.close()
            raise
        if tunnel not in self._tunnels:  # it was closed before it had both its ends
            tunnel.client.close(abruptly=True)
            tunnel.server.close(abruptly=True)

    def _refusal(self, port: PublishedPort) -> str:
        return "the port is closed" if self._closed else self._sandbox.refusal(port.port)

    def _ended(self, tunnel: Tunnel, why: str) -> None:
        del why
        self._tunnels.pop(tunnel, None)
        self._accepting.resume()

    async def _connect(self, port: int) -> socket.socket:
        async with asyncio.timeout(CONNECT_S):
            try:
                return await self._connect_to(_INSIDE[0], port)
            except ConnectionRefusedError:
                return await self._connect_to(_INSIDE[1], port)

    async def _connect_to(self, address: str, port: int) -> socket.socket:
        sock = socket.socket(fileno=await self._sandbox.dial(address, port))
        try:
            sock.setblocking(False)
            await connected(self._loop, sock)
        except BaseException:
            sock.close()
            raise
        return sock


def _local(port: PublishedPort) -> bool:
    """Return whether a port serves the run's own user alone."""
    return not port.address


def _last_read(tunnel: Tunnel) -> float:
    return max(tunnel.client.last_read, tunnel.server.last_read)


def _problem(exc: OSError) -> str:
    if isinstance(exc, ConnectionRefusedError):
        return "nothing listens there in the sandbox"
    if isinstance(exc, TimeoutError):
        return f"the server in the sandbox accepted nothing for {CONNECT_S:g} s"
    return reason(exc)
