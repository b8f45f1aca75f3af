"""The server of the page: files for everybody, and WebSockets for who shows the secret.

`websockets` speaks both sides: what it serves beside WebSockets are small GETs, each on a connection of
its own, and the page's files are no more than that.
"""

from __future__ import annotations

import asyncio
import logging
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Response

from moat.errors import MoatError
from moat.platform import socket_owner
from moat.printable import without_controls
from moat.version import __version__
from moat.web import messages, traffic
from moat.web.messages import Opening, OpenTerminal, OpenTraffic
from moat.web.page_files import PageFiles
from moat.web.runs import RunsFeed, RunsPage
from moat.web.terminal import BrowserTerminal

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from websockets.asyncio.server import ServerConnection
    from websockets.http11 import Request

    from moat.web.access import Access

log = logging.getLogger(__name__)

_MOST_CONNECTIONS: Final = 256
_OPENING_S: Final = 10.0
"""Time for a page to show the secret."""
_POLICY_VIOLATION: Final = 1008
WRONG_SECRET: Final = 4401
"""The code with which a connection is closed whose page has another server's secret, or none."""


class PageServer:
    def __init__(self, home: Path, access: Access, *, read_only: bool) -> None:
        self._home = home
        self._access = access
        self._read_only = read_only
        self._files = PageFiles(access.origin)
        self._feed = RunsFeed(home)
        self._services: dict[str, Callable[[ServerConnection], Awaitable[None]]] = {
            "/runs": self._serve_runs,
            "/terminal": self._serve_terminal,
            "/traffic": self._serve_traffic,
        }

    # --- requests ---

    def answer(self, connection: ServerConnection, request: Request) -> Response | None:
        """Answer a request; `None`: it goes on as a WebSocket."""
        if (refusal := self._refusal(connection, request)) is not None:
            return refusal
        if request.path in self._services:
            if self._access.is_from_our_page(request.headers.get_all("Origin")):
                return None
            return _plain(HTTPStatus.FORBIDDEN, "another site's page asks")
        found = self._files.get(request.path)
        if found is None:
            return _plain(HTTPStatus.NOT_FOUND, "there is no such page")
        return _response(HTTPStatus.OK, *found)

    def _refusal(self, connection: ServerConnection, request: Request) -> Response | None:
        if len(connection.server.all_connections) > _MOST_CONNECTIONS:
            return _plain(HTTPStatus.SERVICE_UNAVAILABLE, "too many connections")
        sock: socket.socket = connection.transport.get_extra_info("socket")
        try:
            why = socket_owner.objection(socket_owner.owner(sock))
        except OSError as exc:
            why = f"it can't be told whose the connection is: {exc}"
        if why:
            log.warning("a connection was refused: %s", why)
            return _plain(HTTPStatus.FORBIDDEN, "this page is another user's")
        if not self._access.is_for_us(request.headers.get_all("Host")):
            return _plain(
                HTTPStatus.MISDIRECTED_REQUEST, "use the address that moat web has printed"
            )
        if request.method != "GET":
            return _plain(HTTPStatus.METHOD_NOT_ALLOWED, "there is nothing here but to get")
        return None

    # --- WebSockets ---

    async def serve(self, connection: ServerConnection) -> None:
        """Serve one WebSocket to its end, and let no error out of it."""
        try:
            if await self._admits(connection):
                await self._service(connection)
            else:
                await connection.close(WRONG_SECRET, "the secret is another one")
        except ConnectionClosed:
            pass
        except (ValueError, TimeoutError) as exc:
            log.warning("a page was dropped: %s", without_controls(str(exc)) or "it said nothing")
            await connection.close(_POLICY_VIOLATION, "nonsense")
        except OSError as exc:  # such as no more watches of inotify
            why = exc.strerror or str(exc)
            await _say_why(connection, MoatError(f"this can't be shown: {why}"))
        except MoatError as error:
            await _say_why(connection, error)

    async def _admits(self, connection: ServerConnection) -> bool:
        async with asyncio.timeout(_OPENING_S):
            opening = messages.read_as(Opening, await connection.recv())
        if not self._access.admits(opening.secret):
            return False
        await connection.send(
            messages.write(
                "welcome",
                version=__version__,
                token=self._access.token,
                read_only=self._read_only,
            )
        )
        return True

    async def _service(self, connection: ServerConnection) -> None:
        if connection.request is not None:  # it was answered, or this would not be called
            await self._services[connection.request.path](connection)

    async def _serve_runs(self, connection: ServerConnection) -> None:
        with self._feed.subscribed() as page:
            await RunsPage(connection, self._home, page, read_only=self._read_only).serve()

    async def _serve_terminal(self, connection: ServerConnection) -> None:
        asked = messages.read_as(OpenTerminal, await connection.recv())
        await BrowserTerminal(connection, self._home, asked, read_only=self._read_only).serve()

    async def _serve_traffic(self, connection: ServerConnection) -> None:
        asked = messages.read_as(OpenTraffic, await connection.recv())
        await traffic.serve(connection, self._home, asked)


async def _say_why(connection: ServerConnection, error: MoatError) -> None:
    try:
        await connection.send(messages.write("failed", summary=error.summary, hint=error.hint))
    except ConnectionClosed:
        return  # nobody is there to be told


def _plain(status: HTTPStatus, text: str) -> Response:
    fields = [("Content-Type", "text/plain; charset=utf-8"), ("X-Content-Type-Options", "nosniff")]
    return _response(status, fields, f"{text}\n".encode())


def _response(status: HTTPStatus, fields: list[tuple[str, str]], content: bytes) -> Response:
    headers = Headers([*fields, ("Content-Length", str(len(content))), ("Connection", "close")])
    return Response(status, status.phrase, headers, content)
