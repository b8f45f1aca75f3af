"""A hostile program that tries to get a granted secret to another place than the one that it is for.

It says what it likes, byte for byte, to a gateway with a grant. The server writes down all that arrives,
and sends it back.
"""

from __future__ import annotations

import asyncio
import base64
import functools
import re
import subprocess
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from tests.egress.authorization.test_response_guard_in_gateway import (
    PLACEHOLDER,
    SECRET,
    Vault,
    github,
)
from tests.egress.gateways import TIMEOUT_S, Gateway, opened
from tests.egress.http2_peers import Peer

from moat.egress.tls.ca import CertificateAuthority
from moat.spec import Grant, Injection

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

TOKEN = SECRET.encode()
FAKE = PLACEHOLDER.encode()
HOST = b"Host: origin.test:PORT\r\n"
BEARER = b"Authorization: Bearer " + FAKE + b"\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
HIDDEN = b"POST /evil HTTP/1.1\r\n" + HOST + BEARER + b"Content-Length: 0\r\n\r\n"


class Sink:
    """A server that reads all, and answers each head with what it has read until then."""

    def __init__(self) -> None:
        self.received = b""
        self.port = 0
        self._tasks = set[asyncio.Task[None]]()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._converse(reader, writer)
        except (asyncio.CancelledError, OSError):
            return
        finally:
            writer.transport.abort()

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.sleep(0)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            self.received += data
            for _ in range(data.count(b" HTTP/1.1\r\n")):
                body = self.received
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body))
                writer.write(body)

    @property
    def heads(self) -> list[bytes]:
        """What a server takes for heads: those of hidden requests, too."""
        return re.findall(
            rb"(?:GET|POST|PUT|HEAD|TRACE|OPTIONS) .*?\r\n\r\n", self.received, re.DOTALL
        )


@asynccontextmanager
async def attacked(
    run: Path, tmp_path: Path, *grants: Grant, **injection: Any
) -> AsyncIterator[tuple[Gateway, Sink]]:
    folder = tmp_path / "ca"
    folder.mkdir()
    authority = CertificateAuthority.load_or_create(folder)
    sink = Sink()
    context = authority.context("origin.test", ("http/1.1",))
    server = await asyncio.start_server(sink.serve, "127.0.0.1", 0, ssl=context)
    sink.port = server.sockets[0].getsockname()[1]
    network = {"hosts": {"origin.test": "127.0.0.1", "evil.test": "127.0.0.1"}}
    ca = authority.certificate_pem.decode()
    async with opened(run, upstream_ca=ca, **network) as gateway:
        gateway.gateway.grant(grants or (github(sink.port, **injection),), Vault())
        try:
            yield gateway, sink
        finally:
            server.close()
            await sink.close()


async def say(gateway: Gateway, sink: Sink, words: bytes) -> bytes:
    """Say something over TLS to the origin, and return what comes until the end or a silence."""
    reader, writer = await gateway.tunnel("origin.test", sink.port, tls=True)
    writer.write(words.replace(b"PORT", b"%d" % sink.port))
    heard = b""
    try:
        async with asyncio.timeout(TIMEOUT_S):
            while not _is_answered(heard, has_body=not words.startswith(b"HEAD")):
                data = await reader.read(65536)
                if not data:
                    return heard
                heard += data
    except ConnectionResetError:
        return heard
    finally:
        writer.close()
    return heard


def _is_answered(heard: bytes, *, has_body: bool) -> bool:
    """Tell whether a whole response has come."""
    head, end, body = heard.removeprefix(CONTINUE).partition(b"\r\n\r\n")
    if end and not has_body:
        return True
    found = re.search(rb"content-length: (\d+)", head.lower())
    return bool(end) and found is not None and len(body) >= int(found[1])


def request(*fields: bytes, line: bytes = b"POST /a HTTP/1.1", body: bytes = b"") -> bytes:
    return b"".join((line, b"\r\n", HOST, *fields, b"\r\n", body))


CHUNKED = b"Transfer-Encoding: chunked\r\n"


def chunk(data: bytes, extension: bytes = b"") -> bytes:
    return b"%x%b\r\n%b\r\n" % (len(data), extension, data)


# Requests with the placeholder in its place, and with something around it.
AROUND = {
    "a request in a body": request(
        BEARER, b"Content-Length: %d\r\n" % len(HIDDEN.replace(b"PORT", b"12345")), body=HIDDEN
    ),
    "a request in a chunk": request(BEARER, CHUNKED, body=chunk(HIDDEN) + b"0\r\n\r\n"),
    "a request behind a chunk's end": request(BEARER, CHUNKED, body=b"0\r\n\r\n" + HIDDEN),
    "CL.TE": request(BEARER, CHUNKED, b"Content-Length: 5\r\n", body=b"0\r\n\r\n" + HIDDEN),
    "TE.CL": request(
        BEARER, b"Content-Length: 4\r\n", CHUNKED, body=chunk(HIDDEN) + b"0\r\n\r\n"
    ),
    "TE.TE": request(
        BEARER, CHUNKED, b"Transfer-encoding: identity\r\n", body=chunk(HIDDEN) + b"0\r\n\r\n"
    ),
    "no body, but one follows": request(BEARER, line=b"GET /a HTTP/1.1", body=HIDDEN),
    "in an extension of a chunk": request(
        BEARER, CHUNKED, body=chunk(b"hello", b";a=" + FAKE) + b"0\r\n\r\n"
    ),
    "in an extension of the last chunk": request(
        BEARER, CHUNKED, body=b"0;token=" + FAKE + b"\r\n\r\n"
    ),
    "in trailers": request(
        BEARER, CHUNKED, b"Trailer: Authorization\r\n", body=b"0\r\n" + BEARER + b"X-A: b\r\n\r\n"
    ),
    "in another trailer": request(BEARER, CHUNKED, body=b"0\r\nX-Copy: " + FAKE + b"\r\n\r\n"),
    "in the name of a field": request(BEARER, FAKE + b": 1\r\n", b"Content-Length: 0\r\n"),
    "in a cookie": request(BEARER, b"Cookie: a=" + FAKE + b"\r\n", b"Content-Length: 0\r\n"),
    "in the query": request(BEARER, line=b"GET /a?x=" + FAKE + b" HTTP/1.1"),
    "in the path": request(BEARER, line=b"GET /" + FAKE + b" HTTP/1.1"),
    "in the user's agent": request(b"User-Agent: " + FAKE + b"\r\n", line=b"GET /a HTTP/1.1"),
    "in Referer": request(b"Referer: https://x/" + FAKE + b"\r\n", line=b"GET /a HTTP/1.1"),
    "hop by hop": request(BEARER, b"Connection: close, Authorization\r\n", line=b"GET /a HTTP/1.1"),
    "twice": request(BEARER, BEARER.lower(), line=b"GET /a HTTP/1.1"),
    "in a list": request(
        BEARER.replace(b"\r\n", b", Bearer of-the-attacker\r\n"), line=b"GET /a HTTP/1.1"
    ),
    "with an underscore": request(
        b"X_Authorization: x\r\n", BEARER.replace(b"z", b"z", 1), line=b"GET /a HTTP/1.1"
    ),
    "folded": request(b"Authorization: Bearer\r\n " + FAKE + b"\r\n", line=b"GET /a HTTP/1.1"),
    "space before the colon": request(BEARER.replace(b":", b" :"), line=b"GET /a HTTP/1.1"),
    "continued": request(
        BEARER, b"Expect: 100-continue\r\nContent-Length: 5\r\n", body=b"hello"
    ),
    "HTTP/1.0": request(BEARER, line=b"GET /a HTTP/1.0"),
    "HEAD": request(BEARER, line=b"HEAD /a HTTP/1.1"),
    "an upgrade to HTTP/2": request(
        BEARER, b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n",
        line=b"GET /a HTTP/1.1",
    ),
    "early data": request(BEARER, b"Early-Data: 1\r\n", line=b"GET /a HTTP/1.1"),
    "forwarded": request(
        BEARER, b"X-Forwarded-Host: evil.test\r\nForwarded: host=evil.test\r\n",
        line=b"GET /a HTTP/1.1",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", AROUND)
async def test_the_secret_comes_into_its_field_of_a_head_and_nowhere_else(
    run: Path, tmp_path: Path, name: str
) -> None:
    """A request that could be read in two ways is refused; one inside another is only a body."""
    async with attacked(run, tmp_path) as (gateway, sink):
        heard = await say(gateway, sink, AROUND[name])
        assert TOKEN not in heard
        for head in sink.heads:
            fields = head.split(b"\r\n")
            with_it = [field for field in fields if TOKEN in field]
            assert with_it in (
                [],
                [b"Authorization: Bearer " + TOKEN],
                [b"authorization: Bearer " + TOKEN],
            )
            assert head.lower().count(b"\r\nauthorization:") <= 1 or b"/evil" in head
        # What isn't a head has it nowhere.
        rest = sink.received
        for head in sink.heads:
            rest = rest.replace(head, b"")
        assert TOKEN not in rest
        bodies = [head for head in sink.heads if b" /evil " in head and TOKEN in head]
        assert not bodies or name in PIPELINED


PIPELINED = {"a request behind a chunk's end", "no body, but one follows"}
"""Where the second request is a request: pipelining. It is decided about like every other."""


REFUSED = {
    "a user in the target": b"GET https://me:pw@origin.test:PORT/evil HTTP/1.1\r\n" + HOST,
    "a user in Host": b"GET /evil HTTP/1.1\r\nHost: me@origin.test:PORT\r\n",
    "another host": b"GET /evil HTTP/1.1\r\nHost: evil.test:PORT\r\n",
    "another host first": b"GET /evil HTTP/1.1\r\nHost: evil.test:PORT\r\n" + HOST,
    "another host in the target": b"GET https://evil.test:PORT/evil HTTP/1.1\r\n" + HOST,
    "another scheme": b"GET http://origin.test:PORT/evil HTTP/1.1\r\n" + HOST,
    "a longer name": b"GET /evil HTTP/1.1\r\nHost: origin.test.evil.test:PORT\r\n",
    "a tunnel in the tunnel": b"CONNECT evil.test:PORT HTTP/1.1\r\n" + HOST,
    "a tunnel to itself": b"CONNECT origin.test:PORT HTTP/1.1\r\n" + HOST,
}


@pytest.mark.parametrize("name", REFUSED)
async def test_a_request_that_names_another_server_reaches_none(
    run: Path, tmp_path: Path, name: str
) -> None:
    """Neither with the secret nor without it."""
    async with attacked(run, tmp_path) as (gateway, sink):
        heard = await say(gateway, sink, REFUSED[name] + BEARER + b"\r\n")
        assert re.match(rb"HTTP/1\.1 4\d\d ", heard), heard
        assert sink.received == b""


async def test_another_name_in_the_handshake_reaches_no_server(run: Path, tmp_path: Path) -> None:
    """The name that was dialled, that of the handshake and that of the request must agree."""
    async with attacked(run, tmp_path) as (gateway, sink):
        reader, writer = await gateway.tunnel("origin.test", sink.port)
        try:
            with suppress(OSError, TimeoutError):
                await writer.start_tls(gateway.trust(), server_hostname="evil.test")
                writer.write(request(BEARER, line=b"GET /evil HTTP/1.1"))
                async with asyncio.timeout(TIMEOUT_S):
                    assert not (await reader.read()).startswith(b"HTTP/1.1 200")
        finally:
            writer.transport.abort()
        assert sink.received == b""


PATHS = (
    *("/api/../evil", "/api/%2e%2e/evil", "/api/.%2e/evil", "/api/..;/evil", "/api/..;a=b/evil"),
    *(
        "/api/%252e%252e/evil",
        "/api/..%2fevil",
        "/api/..%5cevil",
        "/api/..\\evil",
        "/api//../../evil",
    ),
    *("//evil/api/a", "/evil/../api", "/api/a/../../evil", "/api/%00/../../evil", "/api/;/../evil"),
    *("/evil?/api/a", "/evil;/api/a", "/evil%3f/api/a", "/./evil", "/API/a", "/api%2fa", "/apis"),
)


@pytest.mark.parametrize("path", PATHS)
async def test_a_path_that_some_server_reads_otherwise_gets_no_secret(
    run: Path, tmp_path: Path, path: str
) -> None:
    """The grant is for what lies below /api, in every reading."""
    async with attacked(run, tmp_path, paths=("/api/**",)) as (gateway, sink):
        await say(gateway, sink, request(BEARER, line=f"GET {path} HTTP/1.1".encode()))
        assert TOKEN not in sink.received
    assert sink.heads == [] or PLACEHOLDER in sink.received.decode()


async def test_the_path_that_is_meant_gets_it(run: Path, tmp_path: Path) -> None:
    """The paths above would be nothing if this got no secret."""
    async with attacked(run, tmp_path, paths=("/api/**",)) as (gateway, sink):
        await say(gateway, sink, request(BEARER, line=b"GET /api/a HTTP/1.1"))
        assert TOKEN in sink.received


async def test_a_placeholder_of_another_run_is_worth_nothing(run: Path, tmp_path: Path) -> None:
    """A run's own secret may be sent in its own place; that of the other run is never there."""
    other = "ghp_otherplaceholderofanotherrunxxx"
    async with attacked(run, tmp_path) as (gateway, sink):
        words = request(f"X-Api-Key: {other}\r\n".encode(), line=b"GET /a HTTP/1.1")
        heard = await say(gateway, sink, words)
        assert b" 403 " in heard
        assert sink.received == b""
        words = request(f"Authorization: Bearer {other}\r\n".encode(), line=b"GET /a HTTP/1.1")
        await say(gateway, sink, words)
        assert other.encode() not in sink.received


@pytest.mark.parametrize("line", ["TRACE /a", "OPTIONS /a", "OPTIONS *"])
async def test_methods_that_come_back_get_no_secret(run: Path, tmp_path: Path, line: str) -> None:
    async with attacked(run, tmp_path) as (gateway, sink):
        await say(gateway, sink, request(BEARER, line=f"{line} HTTP/1.1".encode()))
        assert TOKEN not in sink.received


async def test_no_handshake_takes_early_data(run: Path, tmp_path: Path) -> None:
    """What comes before the handshake's end could be repeated by whoever has seen it."""
    async with attacked(run, tmp_path) as (gateway, sink):
        await gateway.open_port(sink.port)
        roots = tmp_path / "roots.pem"
        roots.write_bytes(gateway.gateway.authority.certificate_pem)
        where = ("-connect", f"origin.test:{sink.port}", "-servername", "origin.test")
        command = ["openssl", "s_client", "-proxy", f"{gateway.address}:3128", *where]
        ask = functools.partial(
            subprocess.run,
            [*command, "-CAfile", roots, "-tls1_3", "-ign_eof", "-crlf"],
            input=b"GET / HTTP/1.1\nHost: origin.test:%d\nConnection: close\n\n" % sink.port,
            capture_output=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        done = await asyncio.to_thread(ask)
    assert b"New, TLSv1.3" in done.stdout, done.stderr
    limits = re.findall(rb"Max Early Data: (\d+)", done.stdout)
    assert limits
    assert set(limits) == {b"0"}


# --- HTTP/2 ---


class Raw(Peer):
    """A client whose library checks nothing of what it sends."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        super().__init__(reader, writer, client=True)
        settings = H2Configuration(
            client_side=True,
            header_encoding="ascii",
            validate_outbound_headers=False,
            normalize_outbound_headers=False,
        )
        self.h2 = H2Connection(settings)
        self.h2.initiate_connection()


PSEUDO = {":method": "GET", ":scheme": "https", ":authority": "origin.test:PORT", ":path": "/a"}
AUTH = ("authorization", f"Bearer {PLACEHOLDER}")
STREAMS = {
    "another authority": [*(PSEUDO | {":authority": "evil.test:PORT"}).items(), AUTH],
    "another host beside it": [*PSEUDO.items(), ("host", "evil.test:PORT"), AUTH],
    "two authorities": [*PSEUDO.items(), (":authority", "evil.test:PORT"), AUTH],
    "an authority with a user": [*(PSEUDO | {":authority": "me@origin.test:PORT"}).items(), AUTH],
    "another scheme": [*(PSEUDO | {":scheme": "http"}).items(), AUTH],
    "a target with a host": [*(PSEUDO | {":path": "https://evil.test/a"}).items(), AUTH],
    "a pseudo field behind": [AUTH, *PSEUDO.items()],
    "a line end in a value": [*PSEUDO.items(), ("x-a", f"b\r\nX-Copy: {PLACEHOLDER}"), AUTH],
    "a line end in a path": [*(PSEUDO | {":path": "/a HTTP/1.1\r\nX: y\r\n\r\nGET /"}).items(), AUTH],
    "upper case": [*PSEUDO.items(), ("Authorization", f"Bearer {PLACEHOLDER}")],
    "cut into two fields": [
        *PSEUDO.items(),
        ("authorization", f"Bearer {PLACEHOLDER[:10]}"),
        ("authorization", PLACEHOLDER[10:]),
    ],
    "cut into crumbs": [
        *PSEUDO.items(), AUTH, ("cookie", f"a={PLACEHOLDER[:9]}"), ("cookie", PLACEHOLDER[9:])
    ],
    "a tunnel": [(":method", "CONNECT"), (":authority", "evil.test:PORT"), AUTH],
    "a tunnel for a WebSocket": [
        *(PSEUDO | {":method": "CONNECT", ":protocol": "websocket"}).items(), AUTH
    ],
    "a head in many frames": [*PSEUDO.items(), AUTH, *((f"x-{n}", "y" * 3000) for n in range(12))],
    "chunks": [*PSEUDO.items(), ("transfer-encoding", "chunked"), AUTH],
    "hop by hop": [*PSEUDO.items(), ("connection", "authorization"), AUTH],
}  # fmt: skip


@pytest.mark.parametrize("name", STREAMS)
async def test_streams_of_http2_are_read_as_strictly(run: Path, tmp_path: Path, name: str) -> None:
    """The server of HTTP/1.1 behind them sees the secret in its field or nothing at all."""
    async with attacked(run, tmp_path) as (gateway, sink):
        client = Raw(*await gateway.tunnel("origin.test", sink.port, tls=True, alpn="h2"))
        fields = [(field, value.replace("PORT", str(sink.port))) for field, value in STREAMS[name]]
        with suppress(AssertionError, OSError):  # the connection may be ended, rightly
            client.h2.send_headers(1, fields, end_stream=True)
            client.flush()
            await client.until(lambda: 1 in client.over or client.farewell is not None)
        client.writer.close()
        assert TOKEN not in client.bodies.get(1, b"")
        assert sink.received.count(TOKEN) <= 1
        for head in sink.heads:
            assert b"evil" not in head
            assert head.lower().count(b"authorization:") == 1
            assert b"\r\nauthorization: bearer " + TOKEN.lower() in head.lower()
        assert len(sink.heads) <= 1


async def test_trailers_of_http2_carry_no_secret(run: Path, tmp_path: Path) -> None:
    """A placeholder there stays one, and a credential's field is dropped."""
    async with attacked(run, tmp_path) as (gateway, sink):
        client = Raw(*await gateway.tunnel("origin.test", sink.port, tls=True, alpn="h2"))
        pseudo = PSEUDO | {":method": "POST", ":authority": f"origin.test:{sink.port}"}
        client.h2.send_headers(1, [*pseudo.items(), AUTH])
        client.h2.send_data(1, b"hello")
        client.h2.send_headers(1, [AUTH, ("x-copy", PLACEHOLDER)], end_stream=True)
        client.flush()
        await client.until(lambda: 1 in client.over)
        client.writer.close()
        assert sink.received.count(TOKEN) == 1
        head, _, body = sink.received.partition(b"\r\n\r\n")
        assert TOKEN in head
        assert b"authorization" not in body.lower()


async def test_a_basic_credential_takes_no_part_of_another(run: Path, tmp_path: Path) -> None:
    """A placeholder inside Basic chooses the grant; user and password are the grant's alone."""
    injection = {"kind": "basic", "value": "x-access-token:{token}"}
    async with attacked(run, tmp_path, **injection) as (gateway, sink):
        client = base64.b64encode(f"attacker:{PLACEHOLDER}".encode())
        words = request(b"Authorization: Basic " + client + b"\r\n", line=b"GET /a HTTP/1.1")
        await say(gateway, sink, words)
    [value] = re.findall(rb"[Aa]uthorization: Basic (\S+)\r\n", sink.received)
    assert base64.b64decode(value) == b"x-access-token:" + TOKEN


async def test_a_redirect_carries_nothing_on(run: Path, tmp_path: Path) -> None:
    """The client's next request is for another host, and is decided about by itself."""
    grant = Grant(
        provider="github",
        injections=(Injection(hosts=("elsewhere.test",), ports=(1,)),),
        placeholders={"token": PLACEHOLDER},
    )
    async with attacked(run, tmp_path, grant) as (gateway, sink):
        await say(gateway, sink, request(BEARER, line=b"GET /redirected HTTP/1.1"))
        assert TOKEN not in sink.received
        assert FAKE in sink.received


async def test_what_differs_in_one_value_is_decided_anew(run: Path, tmp_path: Path) -> None:
    """What became of an earlier request is remembered for those that are like it, field by field."""
    async with attacked(run, tmp_path) as (gateway, sink):
        line = b"GET /a HTTP/1.1"
        for mark in (b"1", b"1", b"2"):
            words = request(BEARER, b"X-Mark: " + mark + b"\r\n", line=line)
            await say(gateway, sink, words)
        assert [b"X-Mark: 2" in head for head in sink.heads] == [False, False, True]
        assert sink.received.count(TOKEN) == 3
        words = request(BEARER, b"X-Api-Key: of-the-attacker\r\n", line=line)
        assert b" 403 " in await say(gateway, sink, words)
        assert len(sink.heads) == 3
