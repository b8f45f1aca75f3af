"""Peers that speak HTTP/2 frame by frame, as a client and as a server."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    RequestReceived,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)
from tests.egress.gateways import TIMEOUT_S

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from tests.egress.gateways import Gateway

    from moat.egress.tls.ca import CertificateAuthority


class Peer:
    """One end of a connection."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, client: bool
    ) -> None:
        self._reader = reader
        self.writer = writer
        self.h2 = H2Connection(H2Configuration(client_side=client, header_encoding="ascii"))
        self.h2.initiate_connection()
        self.requests: list[int] = []
        self.asked: dict[int, dict[str, str]] = {}
        self.statuses: dict[int, str] = {}
        self.bodies: dict[int, bytes] = {}
        self.over: set[int] = set()
        self.reset: set[int] = set()
        self.ended_by_head: set[int] = set()
        self.heads: dict[int, dict[str, str]] = {}
        self.trailers: dict[int, dict[str, str]] = {}
        self.farewell: int | None = None
        """The code of its GOAWAY."""

    def flush(self, *more: bytes) -> None:
        """Send everything in one write."""
        self.writer.write(self.h2.data_to_send() + b"".join(more))

    def ask(
        self,
        path: str,
        port: int,
        *fields: tuple[str, str],
        ends: bool = True,
        method: str | None = None,
    ) -> int:
        number = self.h2.get_next_available_stream_id()
        pseudo = [(":method", method or ("GET" if ends else "POST")), (":scheme", "https")]
        where = [(":authority", f"origin.test:{port}"), (":path", path)]
        self.h2.send_headers(number, [*pseudo, *where, *fields], end_stream=ends)
        return number

    def answer(self, number: int, *fields: tuple[str, str]) -> None:
        self.h2.send_headers(number, [(":status", "200"), *fields])
        self.h2.send_data(number, b"answer", end_stream=True)

    async def until(self, done: Callable[[], bool]) -> None:
        async with asyncio.timeout(TIMEOUT_S):
            while not done():
                data = await self._reader.read(65536)
                assert data, "the connection ended"
                for event in self.h2.receive_data(data):
                    self._happened(event)
                self.flush()

    def _happened(self, event: object) -> None:
        match event:
            case RequestReceived():
                self.requests.append(event.stream_id or 0)
                self.asked[event.stream_id or 0] = dict(event.headers or ())
            case ResponseReceived():
                number = event.stream_id or 0
                head = self.heads[number] = dict(event.headers or ())
                self.statuses[number] = head[":status"]
                if event.stream_ended is not None:
                    self.ended_by_head.add(number)
            case TrailersReceived():
                self.trailers[event.stream_id or 0] = dict(event.headers or ())
            case DataReceived():
                number = event.stream_id or 0
                self.bodies[number] = self.bodies.get(number, b"") + (event.data or b"")
            case StreamEnded():
                self.over.add(event.stream_id or 0)
            case StreamReset():
                self.over.add(event.stream_id or 0)
                self.reset.add(event.stream_id or 0)
            case ConnectionTerminated():
                self.farewell = event.error_code
            case _:
                return


@asynccontextmanager
async def serving(
    authority: CertificateAuthority, *scripts: Callable[[Peer], Awaitable[None]]
) -> AsyncIterator[int]:
    """Run a server whose n-th connection follows the n-th script, and return its port."""
    rest = iter(scripts)
    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        peer = Peer(reader, writer, client=False)
        peer.flush()
        await next(rest)(peer)

    context = authority.context("origin.test", ("h2",))
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in writers:
            writer.close()
    assert next(rest, None) is None, "connections that were not made"


async def connected(gateway: Gateway, port: int) -> Peer:
    """Return a client that has a tunnel to the origin."""
    peer = Peer(*await gateway.tunnel("origin.test", port, tls=True, alpn="h2"), client=True)
    peer.flush()
    return peer
