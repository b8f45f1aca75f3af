"""Connections without a request: each is recorded with what is known of it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from tests.egress.databases import interpose
from tests.egress.gateways import TIMEOUT_S, Gateway, files, opened
from tests.origin import Origin

from moat.egress.http.interfaces import INCOMPLETE, UNUSED

if TYPE_CHECKING:
    from pathlib import Path

HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01"
"""The beginning of a ClientHello."""
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\x04" + bytes(5)
CONNECT = b"CONNECT one.test:80 HTTP/1.1\r\nHost: x\r\n\r\n"


def _next_row(gateway: Gateway) -> asyncio.Event:
    """Set when something is recorded."""
    loop, recorded = asyncio.get_running_loop(), asyncio.Event()
    interpose(gateway.gateway.traffic, lambda: loop.call_soon_threadsafe(recorded.set))
    return recorded


@pytest.mark.parametrize(
    ("said", "where", "error"),
    [
        (b"", (3128, "tcp"), UNUSED),
        (b"CONNECT one.test:4", (3128, "tcp"), UNUSED),
        (b"\x05\x01\x00", (3128, "tcp"), UNUSED),
        (b"GET http://one.te", (3128, "http"), INCOMPLETE),
        (CONNECT, (80, "tcp"), UNUSED),
        (CONNECT + b"GET /steal HTTP/1.1\r\nHost: 8", (80, "http"), INCOMPLETE),
        (CONNECT + b"P", (80, "tcp"), UNUSED),
        (CONNECT + PREFACE, (80, "http"), UNUSED),
        (CONNECT + HELLO, (80, "https"), UNUSED),
    ],
)
async def test_who_leaves_before_asking_is_written_down(
    run: Path, said: bytes, where: tuple[int, str], error: str
) -> None:
    """The entry is a failure and blames nobody: connection pools do this, too."""
    async with opened(run) as gateway:
        recorded = _next_row(gateway)
        _, writer = await gateway.connect()
        writer.write(said)
        writer.write_eof()
        async with asyncio.timeout(TIMEOUT_S):
            await recorded.wait()
        writer.close()

    [row] = gateway.rows()
    assert (row.kind, row.verdict, row.error) == ("refusal", "failed", error)
    assert (row.port, row.scheme) == where
    assert (row.host == "one.test") is said.startswith(CONNECT)


async def test_the_name_in_a_handshake_is_written_down(run: Path) -> None:
    """A program could carry data out in the name alone."""
    async with opened(run) as gateway:
        recorded = _next_row(gateway)
        _, writer = await gateway.tunnel("one.test", 443, tls=True, sni="stolen.evil.test")
        writer.close()
        async with asyncio.timeout(TIMEOUT_S):
            await recorded.wait()

    [row] = gateway.rows()
    assert (row.scheme, row.host, row.verdict) == ("https", "one.test", "failed")
    assert row.error.startswith(UNUSED)
    assert "stolen.evil.test" in row.error


async def test_who_has_asked_and_leaves_has_left_nothing_out(run: Path) -> None:
    """A connection that was kept for another request has no entry of its own."""
    with Origin() as origin:
        async with opened(run) as gateway:
            reader, writer = await gateway.tunnel("origin.test", origin.port)
            writer.write(b"GET / HTTP/1.1\r\nHost: origin.test:%d\r\n\r\n" % origin.port)
            await reader.readuntil(b"hello from /")
            writer.write_eof()
            async with asyncio.timeout(TIMEOUT_S):
                await reader.read()  # so it has been closed
            writer.close()

    assert [row.kind for row in gateway.rows()] == ["request"]


@pytest.mark.parametrize(
    "said",
    [
        b"CONNECT s3cret@one.test:443 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET http://s3cret@one.test/ HTTP/1.1\r\nHost: one.test\r\n\r\n",
        b"GET http://one.test/a%2fx?token=s3cret HTTP/1.1\r\nHost: one.test\r\n\r\n",
        b"GET http://one.test/a;token=s3cret/b HTTP/1.1\r\nHost: one.test\r\n\r\n",
        b"GET http://one.test/a HTTP/1.1\r\nHost: s3cret@one.test\r\n\r\n",
    ],
)
async def test_what_is_refused_is_written_down_without_its_secrets(run: Path, said: bytes) -> None:
    """Secrets are left out of the path and of the error, which quotes the path."""
    async with opened(run, rules=("deny one.test/secret", "deny one.test/a")) as gateway:
        reader, writer = await gateway.connect()
        writer.write(said)
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    assert gateway.rows()
    assert b"s3cret" not in files(run)
