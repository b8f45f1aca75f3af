"""Requests that are authorized before they are sent: through both versions of HTTP, to a real server."""

from __future__ import annotations

import asyncio
import functools
from contextlib import asynccontextmanager, closing, suppress
from typing import TYPE_CHECKING, NamedTuple

import pytest
from tests.egress.gateways import TIMEOUT_S, Gateway, files, opened, secure, status_of
from tests.egress.http2_peers import Peer, serving

from moat.egress.http.h1.server import HTTP1Server
from moat.egress.http.h2.server import HTTP2Server
from moat.egress.http.interfaces import Destination, PendingExchange
from moat.egress.http.origin_check import OriginCheck
from moat.egress.policy.decision import Decision, Verdict
from moat.egress.streams import break_off
from moat.egress.tls.ca import CertificateAuthority
from moat.egress.traffic.reader import TrafficReader
from moat.paths import RunFolder

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path
    from typing import Any

    from moat.egress.exchange_services import ExchangeServices

BOTH = pytest.mark.parametrize("protocol", ["HTTP/1.1", "HTTP/2"])

TOKEN = b"Bearer t0ken-of-the-run"


class Authorizer:
    """A run's services that leave it to the test to authorize requests."""

    def __init__(self, services: ExchangeServices) -> None:
        self._services = services
        self._waiting = asyncio.Queue[PendingExchange]()
        self.asked = 0
        self.client_left = asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._services, name)

    def authorize(self, exchange: PendingExchange) -> None:
        self.asked += 1
        self._waiting.put_nowait(exchange)

    def closed(self, connection: Any) -> None:
        self._services.closed(connection)
        self.client_left.set()

    async def next(self) -> PendingExchange:
        """Return the next exchange that waits for its authorization."""
        async with asyncio.timeout(TIMEOUT_S):
            return await self._waiting.get()

    async def authorize_next(self) -> PendingExchange:
        exchange = await self.next()
        authorize(exchange)
        return exchange


def authorize(exchange: PendingExchange) -> None:
    """Put the run's credential in the place of the client's own."""
    outgoing = exchange.request.copy()
    outgoing.fields = [each for each in outgoing.fields if each[0].lower() != b"authorization"]
    outgoing.fields.append((b"Authorization", TOKEN))
    exchange.authorized(outgoing, exchange.target)


class Client:
    """A client of one connection, in either version."""

    def __init__(
        self,
        protocol: str,
        origin_port: int,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._port = origin_port
        self._reader = reader
        self.writer = writer
        self._peer = Peer(reader, writer, client=True) if protocol == "HTTP/2" else None

    async def ask(self, path: str, authorization: str = "") -> tuple[int, bytes]:
        """Return the status and the body of the response."""
        async with asyncio.timeout(TIMEOUT_S):
            if self._peer is None:
                return await self._ask_http1(path, authorization)
            return await self._ask_http2(self._peer, path, authorization)

    async def _ask_http2(self, peer: Peer, path: str, authorization: str) -> tuple[int, bytes]:
        fields = [("authorization", authorization)] if authorization else []
        number = peer.ask(path, self._port, *fields)
        peer.flush()
        await peer.until(lambda: number in peer.over)
        return int(peer.statuses[number]), peer.bodies.get(number, b"")

    async def _ask_http1(self, path: str, authorization: str) -> tuple[int, bytes]:
        head = f"GET {path} HTTP/1.1\r\nHost: origin.test:{self._port}\r\n"
        credential = f"Authorization: {authorization}\r\n" if authorization else ""
        self.writer.write(f"{head}{credential}\r\n".encode())
        answer = await self._reader.readuntil(b"\r\n\r\n")
        length = int(answer.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        return status_of(answer), await self._reader.readexactly(length)


class Setting(NamedTuple):
    gateway: Gateway
    authorizer: Authorizer
    client: Client


@asynccontextmanager
async def authorizing(run: Path, protocol: str, port: int, ca: str) -> AsyncIterator[Setting]:
    """A client that is connected to the origin at this port, through its own server side."""
    async with opened(run, upstream_ca=ca, capture="headers") as gateway:
        authorizer = Authorizer(gateway.gateway.services)
        check = OriginCheck(Destination("https", "origin.test", port))
        side = HTTP2Server if protocol == "HTTP/2" else HTTP1Server
        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            functools.partial(side, authorizer, check), "127.0.0.1", 0
        )
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        try:
            yield Setting(gateway, authorizer, Client(protocol, port, reader, writer))
        finally:
            writer.close()
            server.close()


@BOTH
async def test_the_server_gets_the_credential_and_the_record_the_clients_request(
    run: Path, tmp_path: Path, protocol: str
) -> None:
    """The client's own credential goes nowhere, and the run's is not recorded."""
    with secure(tmp_path / "ca") as (origin, ca):
        async with authorizing(run, protocol, origin.port, ca) as (gateway, authorizer, client):
            answer = asyncio.create_task(client.ask("/a", "Bearer placeholder"))
            exchange = await authorizer.next()
            assert origin.connections == 0, "nothing is sent before it is authorized"
            authorize(exchange)
            assert await answer == (200, b"hello from /a")

    [head] = origin.heads
    assert head.lower().count(b"authorization:") == 1
    assert TOKEN in head
    [row] = gateway.rows("request")
    assert (row.verdict, row.status) == ("allowed", 200)
    with TrafficReader(RunFolder(run).database) as reader:
        names = [name.lower() for name, _ in reader.captures([row.id])[0].request_fields]
    assert names.count("authorization") == 1
    assert b"t0ken" not in files(run)


@BOTH
@pytest.mark.parametrize(("status", "verdict"), [(502, "failed"), (403, "denied")])
async def test_a_request_that_is_not_authorized_is_answered_and_not_sent(
    run: Path, tmp_path: Path, protocol: str, status: int, verdict: str
) -> None:
    """The client gets one line that says why, and its connection serves the next request."""
    with secure(tmp_path / "ca") as (origin, ca):
        async with authorizing(run, protocol, origin.port, ca) as (gateway, authorizer, client):
            answer = asyncio.create_task(client.ask("/a"))
            exchange = await authorizer.next()
            if verdict == "failed":
                exchange.failed(502, "no token for github: it has expired")
            else:
                reason = "moat: no token for github: it has expired"
                exchange.deny(Decision(Verdict.DENY, "grant github", reason))
            assert await answer == (status, b"moat: no token for github: it has expired\n")
            answer = asyncio.create_task(client.ask("/b"))
            await authorizer.authorize_next()
            assert await answer == (200, b"hello from /b")

    assert len(origin.heads) == 1
    refused, _ = gateway.rows("request")
    assert (refused.verdict, refused.error) == (verdict, "no token for github: it has expired")


@BOTH
async def test_no_request_is_sent_for_a_client_that_left_before_it_was_authorized(
    run: Path, tmp_path: Path, protocol: str
) -> None:
    """No connection is made for a client that has left."""
    with secure(tmp_path / "ca") as (origin, ca):
        async with authorizing(run, protocol, origin.port, ca) as (gateway, authorizer, client):
            answer = asyncio.create_task(client.ask("/a"))
            exchange = await authorizer.next()
            answer.cancel()
            break_off(client.writer.transport)  # its end alone could be half of a connection's
            async with asyncio.timeout(TIMEOUT_S):
                await authorizer.client_left.wait()
            authorize(exchange)
        assert origin.connections == 0

    [row] = gateway.rows("request")
    assert (row.verdict, row.error) == ("failed", "the client closed the connection")


class StaleOrigin:
    """A server that closes its first connection instead of answering a second request on it."""

    def __init__(self) -> None:
        self.heads: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with closing(writer), suppress(asyncio.IncompleteReadError):
            while True:
                self.heads.append(await reader.readuntil(b"\r\n\r\n"))
                if len(self.heads) == 2:
                    return
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


@BOTH
async def test_a_retry_sends_the_authorized_request(
    run: Path, tmp_path: Path, protocol: str
) -> None:
    """A retry on another connection has the credential, which isn't fetched again."""
    stale = StaleOrigin()
    (tmp_path / "ca").mkdir()
    authority = CertificateAuthority.load_or_create(tmp_path / "ca")
    context = authority.context("origin.test", ("http/1.1",))
    server = await asyncio.start_server(stale.serve, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    ca = authority.certificate_pem.decode()
    async with authorizing(run, protocol, port, ca) as (gateway, authorizer, client):
        for _ in range(2):
            answer = asyncio.create_task(client.ask("/a"))
            await authorizer.authorize_next()
            assert await answer == (200, b"ok")
        asked = authorizer.asked
    server.close()

    assert asked == 2
    assert len(stale.heads) == 3
    assert all(TOKEN in head for head in stale.heads)
    assert [row.status for row in gateway.rows("request")] == [200, 200]


@pytest.mark.parametrize("protocol", ["HTTP/2"])
async def test_a_server_that_speaks_http2_gets_the_credential(
    run: Path, tmp_path: Path, protocol: str
) -> None:
    """A stream of HTTP/2 to the server has the credential in its head."""
    heads: list[dict[str, str]] = []

    async def serves(peer: Peer) -> None:
        await peer.until(lambda: len(peer.requests) == 1)
        heads.append(peer.asked[1])
        peer.answer(1)
        peer.flush()

    (tmp_path / "ca").mkdir()
    authority = CertificateAuthority.load_or_create(tmp_path / "ca")
    ca = authority.certificate_pem.decode()
    async with (
        serving(authority, serves) as port,
        authorizing(run, protocol, port, ca) as (_, authorizer, client),
    ):
        answer = asyncio.create_task(client.ask("/a"))
        await authorizer.authorize_next()
        assert await answer == (200, b"answer")

    assert heads[0]["authorization"] == TOKEN.decode()
