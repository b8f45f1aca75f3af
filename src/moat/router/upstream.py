"""Connections to the published ports of runs, and answers of the router's own in their place."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Final

from moat.client.connect import launch
from moat.client.connect.supervisor_client import SupervisorClient
from moat.egress.http.messages import ResponseHead
from moat.egress.streams import reason
from moat.egress.upstream.connector import ConnectError, ConnectTimes
from moat.egress.upstream.dialer import Dialled
from moat.errors import MoatError
from moat.paths import RunFolder
from moat.router.table import Problem, Route

if TYPE_CHECKING:
    from pathlib import Path

    from moat.egress.http.interfaces import Destination, ResponseReceiver
    from moat.egress.http.messages import Payload, RequestHead
    from moat.egress.traffic.entry import Fields
    from moat.egress.upstream.connector import ALPN, ClientFactory
    from moat.router.directory import Directory
    from moat.router.pages import Page

CONNECT_S: Final = 10.0


class RunConnector:
    """Connects to the port of a run that a host name means. Implements `pool.Connector`."""

    def __init__(self, home: Path, directory: Directory, loop: asyncio.AbstractEventLoop) -> None:
        self._home = home
        self._directory = directory
        self._loop = loop

    async def connect(
        self, destination: Destination, alpn: ALPN, make: ClientFactory, *, forward: bool
    ) -> ConnectTimes:
        """Connect, and call `make` for the client, of HTTP/1.1 whatever the visitor speaks.

        A run whose supervisor is gone gets another one first. Raises `ConnectError`.
        """
        del alpn, forward
        begun = self._loop.time()
        route = self._route(destination)
        folder = RunFolder(self._home / "runs" / route.run.id)
        if not launch.is_supervised(folder):
            await self._loop.run_in_executor(None, _revive, self._home, folder)
            route = self._route(destination)
        address, port = route.port.address, route.port.host_port
        try:
            async with asyncio.timeout(CONNECT_S):
                sock = await self._dial(address, port)
        except OSError as exc:
            why = reason(exc) if exc.errno else f"no answer for {CONNECT_S:g} s"
            raise ConnectError(f"port {route.port.name} of run {route.run.name}: {why}") from exc
        dialled = Dialled(sock, address, -1.0, self._loop.time() - begun)
        try:
            await self._loop.create_connection(lambda: make(None, dialled), sock=sock)
        except BaseException:
            sock.close()
            raise
        return ConnectTimes(-1.0, dialled.connect)

    def _route(self, destination: Destination) -> Route:
        found = self._directory.find(destination)
        if isinstance(found, Route):
            return found
        assert isinstance(found, Problem)  # noqa: S101  the index has no connection
        raise ConnectError(f"{found.reason}; {found.hint}", found.status)

    async def _dial(self, address: str, port: int) -> socket.socket:
        sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await self._loop.sock_connect(sock, (address, port))
        except BaseException:
            sock.close()
            raise
        return sock


def _revive(home: Path, folder: RunFolder) -> None:
    """Have the run adopted by a supervisor, and wait until its ports are open. Raises `ConnectError`."""
    try:
        SupervisorClient(home, folder).get("/v1/run", until="started")
    except MoatError as exc:
        raise ConnectError(exc.summary, 503) from exc


class Unanswered:
    """The receiver of a response that says more where there is none. Implements `ResponseReceiver`."""

    def __init__(self, exchange: ResponseReceiver, why: str) -> None:
        """`why`: the most likely reason why a new connection breaks before it brought anything."""
        self._why = why
        self._exchange = exchange

    def response_head(self, head: ResponseHead) -> None:
        self._exchange.response_head(head)

    def response_data(self, payload: Payload) -> None:
        self._exchange.response_data(payload)

    def response_end(self, trailers: Fields) -> None:
        self._exchange.response_end(trailers)

    def response_flush(self) -> None:
        self._exchange.response_flush()

    def upstream_full(self) -> None:
        self._exchange.upstream_full()

    def upstream_drained(self) -> None:
        self._exchange.upstream_drained()

    def upstream_lost(self, why: str, *, unused: bool) -> None:
        self._exchange.upstream_lost(self._why if unused else why, unused=unused)

    def failed(self, status: int, why: str) -> None:
        self._exchange.failed(status, why)


class PageUpstream:
    """A server that answers one request with a page, whatever it is. Implements `Upstream`."""

    address = ""
    reused = False

    def __init__(self, page: Page) -> None:
        self._page = page
        self._receiver: ResponseReceiver | None = None
        self._with_body = True

    def request(self, exchange: ResponseReceiver, request: RequestHead, target: str) -> None:
        del target
        self._receiver = exchange
        self._with_body = request.method != "HEAD"

    def flush(self) -> None:
        """Answer, now that the request has been passed on as far as it has come."""
        receiver, self._receiver = self._receiver, None
        if receiver is None:
            return
        page = self._page
        head = ResponseHead(page.status, page.fields, len(page.body) if self._with_body else 0)
        head.reason, head.length, head.ends = page.phrase, len(page.body), not self._with_body
        receiver.response_head(head)
        if self._with_body:
            receiver.response_data([page.body])
        receiver.response_end([])

    def send(self, payload: Payload) -> None:
        """Drop the body of the request, which changes nothing."""

    def end(self, trailers: Fields) -> None:
        """Drop the trailers."""

    def pause(self) -> None:
        """Do nothing: a page fits into any buffer."""

    def resume(self) -> None:
        """Do nothing, like `pause`."""

    def switch(self) -> None:
        """Do nothing: a page is never another protocol."""

    def release(self) -> None:
        """Do nothing: there is no connection for another request."""

    def abort(self, *, at_once: bool) -> None:
        del at_once
        self._receiver = None
