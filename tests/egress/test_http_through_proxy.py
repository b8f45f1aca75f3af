"""Plain HTTP through the host's own proxy, which gets the request itself.

One proxy is real (tinyproxy) and opens tunnels to port 443 alone; the other notes what it is asked. Only
they can resolve origin.test.
"""

from __future__ import annotations

import asyncio
import base64
from contextlib import asynccontextmanager, closing
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from tests.egress.dialling import tinyproxy as running
from tests.egress.gateways import Gateway, opened

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.egress.dialling import Names
    from tests.origin import Origin

LOGIN = base64.b64encode(b"me:secret")
AUTHORIZATION = b"Proxy-Authorization: Basic %b\r\n" % LOGIN
NOWHERE = "http://127.0.0.1:1"


@pytest.fixture
async def tinyproxy(tmp_path: Path, names: Names) -> AsyncIterator[str]:
    """Return the URL of a proxy, with the password; the host itself resolves nothing."""
    del names
    async with running(tmp_path, "ConnectPort 443") as place:
        yield f"http://me:secret@{place}"


class Asked:
    """A proxy that notes what it is asked, and answers."""

    def __init__(self) -> None:
        self.heads: list[bytes] = []
        self.url = ""
        self.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with closing(writer):
            while not reader.at_eof():
                try:
                    self.heads.append(await reader.readuntil(b"\r\n\r\n"))
                except (asyncio.IncompleteReadError, ConnectionError):
                    return
                if self.heads[-1].startswith(b"CONNECT "):
                    writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                else:
                    writer.write(self.answer)
                    if b"close" in self.answer:
                        return


@asynccontextmanager
async def asked(login: str = "me:secret@") -> AsyncIterator[Asked]:
    proxy = Asked()
    listening = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.url = f"http://{login}127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    try:
        yield proxy
    finally:
        listening.close()


def _get(path: str, port: int, *lines: str, method: str = "GET") -> bytes:
    head = [f"{method} {path} HTTP/1.1", f"Host: origin.test:{port}", *lines]
    return "\r\n".join([*head, "Connection: close", "", ""]).encode()


def _said(run: Path) -> bytes:
    """Return everything that the run has on disk."""
    return b"".join(path.read_bytes() for path in run.iterdir() if path.is_file())


async def _ask(gateway: Gateway, request: bytes, port: int = 80) -> bytes:
    return await gateway.ask("origin.test", port, request)


async def test_a_request_passes_a_proxy_that_tunnels_to_443_alone(
    run: Path, origin: Origin, tinyproxy: str
) -> None:
    """A request passes with its body, and the password reaches neither the server nor the record."""
    network = {"hosts": {}, "upstream_http_proxy": tinyproxy, "capture": "bodies"}
    async with opened(run, **network) as gateway:
        body = ("Content-Length: 5", "Proxy-Authorization: Basic mine")
        request = _get("/echo", origin.port, *body, method="POST") + b"hello"
        answer = await _ask(gateway, request, origin.port)

    assert answer.startswith(b"HTTP/1.1 200 "), answer
    assert b'"body": "hello"' in answer
    [head] = origin.heads
    assert head.startswith(b"POST /echo HTTP/1.1\r\n")
    assert b"Host: origin.test:%d\r\n" % origin.port in head
    for seen in (answer, head, _said(run)):
        assert LOGIN not in seen
        assert b"me:secret" not in seen
        assert b"Basic mine" not in seen
    [row] = gateway.rows("request")
    assert (row.verdict, row.status) == ("allowed", 200)
    assert row.address == urlsplit(tinyproxy).hostname


async def test_what_the_proxy_is_told(run: Path, names: Names) -> None:
    """Each request on a reused connection has the whole URL, the same Host and the password."""
    async with asked() as proxy, opened(run, hosts={}, upstream_http_proxy=proxy.url) as gateway:
        reader, writer = await gateway.tunnel("origin.test", 80)
        for target in (b"GET /a?b=c", b"OPTIONS *"):
            writer.write(target + b" HTTP/1.1\r\nHost: origin.test\r\nX: y\r\n\r\n")
            await reader.readuntil(b"ok")
        writer.close()
        request = b"GET /z HTTP/1.1\r\nHost: origin.test:81\r\nConnection: close\r\n\r\n"
        await _ask(gateway, request, 81)

    asked_for = b"Host: origin.test\r\nX: y\r\n" + AUTHORIZATION + b"\r\n"
    assert proxy.heads == [
        b"GET http://origin.test/a?b=c HTTP/1.1\r\n" + asked_for,
        b"OPTIONS http://origin.test HTTP/1.1\r\n" + asked_for,
        b"GET http://origin.test:81/z HTTP/1.1\r\nHost: origin.test:81\r\n"
        + AUTHORIZATION
        + b"\r\n",
    ]


@pytest.mark.parametrize(
    ("request_", "asked_inside"),
    [
        (_get("/", 80, "Connection: upgrade", "Upgrade: websocket"), b"Upgrade: websocket"),
        (_get("/", 80, "Max-Forwards: 0", method="TRACE"), b"TRACE / HTTP/1.1"),
    ],
    ids=["upgrade", "trace"],
)
async def test_some_requests_need_a_tunnel(
    run: Path, names: Names, request_: bytes, asked_inside: bytes
) -> None:
    """Requests that a proxy would handle itself get a tunnel, and no reused connection."""
    async with asked() as proxy, opened(run, hosts={}, upstream_http_proxy=proxy.url) as gateway:
        first = b"GET / HTTP/1.1\r\nHost: origin.test\r\nConnection: close\r\n\r\n"
        await _ask(gateway, first)
        await _ask(gateway, request_)

    _, connect, inside = proxy.heads
    assert connect.startswith(b"CONNECT origin.test:80 HTTP/1.1\r\n")
    assert AUTHORIZATION in connect
    assert asked_inside in inside
    assert b"Proxy-Authorization" not in inside


async def test_another_protocol_passes_in_a_tunnel(
    tmp_path: Path, run: Path, origin: Origin, names: Names
) -> None:
    """WebSockets without TLS pass a proxy that opens tunnels to their port."""
    async with (
        running(tmp_path, f"ConnectPort {origin.port}") as place,
        opened(run, hosts={}, upstream_http_proxy=f"http://me:secret@{place}") as gateway,
    ):
        reader, writer = await gateway.tunnel("origin.test", origin.port)
        head = _get("/upgrade", origin.port, "Upgrade: echo").replace(b"close", b"upgrade")
        writer.write(head)
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
        writer.write(b"ping")
        assert await reader.readexactly(4) == b"ping"
        writer.close()

    assert b"Host: origin.test:%d\r\n" % origin.port in origin.heads[0]
    assert b"Proxy-Authorization" not in origin.heads[0]


async def test_a_name_with_an_address_of_the_users_needs_a_tunnel(run: Path, names: Names) -> None:
    """A proxy would look the name up itself, and ignore Host (RFC 9112 3.2.2)."""
    hosts = {"origin.test": "8.8.4.4"}
    async with asked() as proxy, opened(run, hosts=hosts, upstream_http_proxy=proxy.url) as gateway:
        await _ask(gateway, _get("/", 80))

    assert proxy.heads[0].startswith(b"CONNECT 8.8.4.4:80 HTTP/1.1\r\n")
    assert proxy.heads[1].startswith(b"GET / HTTP/1.1\r\n")


@pytest.mark.parametrize(
    "network",
    [
        {"upstream_proxy": NOWHERE},
        {"upstream_http_proxy": NOWHERE, "no_upstream_proxy": ".test"},
    ],
)
async def test_a_server_that_is_not_behind_the_proxy_is_dialled(
    run: Path, origin: Origin, names: Names, network: dict[str, str]
) -> None:
    """The proxy for HTTPS isn't used for HTTP, and NO_PROXY holds."""
    names.answers["origin.test"] = [("127.0.0.1",)]
    async with opened(run, hosts={}, **network) as gateway:
        answer = await _ask(gateway, _get("/near", origin.port), origin.port)

    assert answer.endswith(b"hello from /near")
    assert origin.heads[0].startswith(b"GET /near HTTP/1.1\r\n")


@pytest.mark.parametrize("login", ["", "me:wrong@"])
async def test_a_proxy_that_wants_another_password_is_a_502(
    run: Path, names: Names, login: str
) -> None:
    """A 407 is for Moat: a program in the sandbox has no password."""
    async with (
        asked(login) as proxy,
        opened(run, hosts={}, upstream_http_proxy=proxy.url) as gateway,
    ):
        proxy.answer = (
            b"HTTP/1.1 407 Proxy Authentication Required\r\n"
            b"Proxy-Authenticate: Basic realm=x\r\nContent-Length: 6\r\n\r\nlog in"
        )
        answer = await _ask(gateway, _get("/", 80))

    assert answer.startswith(b"HTTP/1.1 502 ")
    assert b"answered 407 Proxy Authentication Required: it wants a user and password" in answer
    assert b"wrong" not in answer + _said(run)
    assert b"log in" not in answer
    [row] = gateway.rows("request")
    assert row.verdict == "failed"


@pytest.mark.parametrize("framing", [b"Content-Length: 69\r\n", b"Connection: close\r\n"])
async def test_a_proxy_that_repeats_its_password_is_masked(
    run: Path, names: Names, framing: bytes
) -> None:
    """Only the password is masked in an error page that repeats the request."""
    page = b"<a href=mailto:?body=Basic%20bWU6c2VjcmV0%0D%0A>Basic " + LOGIN + b" bW"
    network = {"hosts": {}, "capture": "bodies"}
    async with asked() as proxy, opened(run, **network, upstream_http_proxy=proxy.url) as gateway:
        proxy.answer = b"HTTP/1.1 503 No\r\nX-Told: Basic %b\r\n%b\r\n%b" % (LOGIN, framing, page)
        answer = await _ask(gateway, _get("/", 80))

    assert answer.startswith(b"HTTP/1.1 503 ")
    assert LOGIN not in answer + _said(run)
    assert b"mailto:?body=Basic%20************%0D%0A>Basic ************ " in answer
    assert b"bW" in answer


async def test_a_proxy_that_is_not_there_is_a_502(run: Path, names: Names) -> None:
    """A proxy that can't be reached is a 502, as for a tunnel."""
    async with opened(run, hosts={}, upstream_http_proxy="http://me:secret@127.0.0.1:1") as gateway:
        answer = await _ask(gateway, _get("/", 80))

    assert b"502 " in answer
    assert b"the proxy http://127.0.0.1:1 can't be reached: connection refused" in answer


async def test_what_is_private_is_refused_before_the_proxy_is_asked(
    run: Path, names: Names
) -> None:
    """A private address is refused before the proxy, which could reach it, is asked."""
    names.answers["origin.test"] = [("10.0.0.5",)]
    async with asked() as proxy, opened(run, hosts={}, upstream_http_proxy=proxy.url) as gateway:
        answer = await _ask(gateway, _get("/", 80))

    assert answer.startswith(b"HTTP/1.1 403 ")
    assert proxy.heads == []
