"""Whatever is open when the policy changes is decided again, and broken off if it is denied."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from tests.egress.gateways import TIMEOUT_S, opened
from tests.origin import Origin

from moat.egress.policy.decision import Verdict
from moat.egress.tls.ca import CertificateAuthority

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

UNFINISHED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n"


@pytest.fixture
def origin() -> Iterator[Origin]:
    with Origin(answers={"/unfinished": UNFINISHED}) as started:
        yield started


def _get(path: str, origin: Origin, *lines: str) -> bytes:
    head = [f"GET {path} HTTP/1.1", f"Host: origin.test:{origin.port}", *lines]
    return "\r\n".join([*head, "", ""]).encode()


async def test_a_stream_of_events_ends_and_looks_cut_off(run: Path, origin: Origin) -> None:
    """A rule about another path changes nothing; one about its own ends it without a last chunk."""
    async with opened(run) as gateway:
        reader, writer = await gateway.tunnel("origin.test", origin.port)
        writer.write(_get("/unfinished", origin))
        await reader.readuntil(b"first\r\n")
        await gateway.gateway.amend(Verdict.DENY, "origin.test/other")
        await gateway.gateway.amend(Verdict.DENY, "origin.test/unfinished")
        async with asyncio.timeout(TIMEOUT_S):
            assert await reader.read() == b""
        writer.close()

    [row] = gateway.rows("request")
    assert (row.verdict, row.rule) == ("denied", "deny origin.test/unfinished")
    assert row.status == 200
    assert row.total >= 0


async def test_a_websocket_is_reset(run: Path, origin: Origin) -> None:
    """No byte passes in either direction after the change."""
    async with opened(run) as gateway:
        reader, writer = await gateway.tunnel("origin.test", origin.port)
        writer.write(_get("/upgrade", origin, "Connection: Upgrade", "Upgrade: echo"))
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"ping")
        assert await reader.readexactly(4) == b"ping"
        await gateway.gateway.amend(Verdict.DENY, "origin.test")
        with pytest.raises(ConnectionResetError):
            async with asyncio.timeout(TIMEOUT_S):
                await reader.read()
        writer.close()

    [row] = gateway.rows("request")
    assert (row.verdict, row.rule, row.protocol) == ("denied", "deny origin.test", "websocket")


async def test_a_request_that_waits_for_its_server_is_answered(run: Path, origin: Origin) -> None:
    """The client gets the denial, and the request to the server ends."""
    loop = asyncio.get_running_loop()
    async with opened(run) as gateway:
        asked = asyncio.create_task(
            gateway.ask("origin.test", origin.port, _get("/wait", origin, "Connection: close"))
        )
        await loop.run_in_executor(None, origin.waiting.wait, TIMEOUT_S)
        await gateway.gateway.amend(Verdict.DENY, "GET origin.test")
        answer = await asked
        assert await loop.run_in_executor(None, origin.left.wait, TIMEOUT_S)

    assert answer.startswith(b"HTTP/1.1 403 ")
    assert b"rule=deny GET origin.test" in answer


async def test_raw_tcp_is_reset(run: Path, origin: Origin) -> None:
    """Raw TCP is reset, like TLS that passes through."""
    async with opened(run, policy="strict", tcp=(f"origin.test:{origin.port}",)) as gateway:
        reader, writer = await gateway.tunnel("origin.test", origin.port)
        writer.write(b"GET /unfinished HTTP/1.1\r\n\r\n")
        await reader.readuntil(b"first\r\n")
        await gateway.gateway.amend(Verdict.DENY, f"origin.test:{origin.port}")
        with pytest.raises(ConnectionResetError):
            async with asyncio.timeout(TIMEOUT_S):
                await reader.read()
        writer.close()

    [row] = gateway.rows("tunnel")
    assert (row.verdict, row.rule) == ("denied", f"deny origin.test:{origin.port}")


async def test_tls_that_passes_through_is_reset(run: Path) -> None:
    """Moat doesn't know what passes through, but it knows the server."""
    tls = CertificateAuthority.load_or_create(run).context("origin.test", ("http/1.1",))
    with Origin(tls, answers={"/unfinished": UNFINISHED}) as origin:
        async with opened(run, passthrough=("origin.test",)) as gateway:
            reader, writer = await gateway.tunnel("origin.test", origin.port, tls=True)
            writer.write(_get("/unfinished", origin))
            await reader.readuntil(b"first\r\n")
            await gateway.gateway.amend(Verdict.DENY, "origin.test")
            with pytest.raises(ConnectionResetError):
                async with asyncio.timeout(TIMEOUT_S):
                    await reader.read()
            writer.close()

    [row] = gateway.rows("tunnel")
    assert (row.scheme, row.verdict, row.rule) == ("tls", "denied", "deny origin.test")


async def test_what_no_rule_denies_goes_on(run: Path, origin: Origin) -> None:
    """A rule about another host or method breaks nothing off."""
    async with opened(run, tcp=(f"origin.test:{origin.port}",)) as gateway:
        reader, writer = await gateway.tunnel("origin.test", origin.port)
        writer.write(_get("/first", origin))
        await reader.readuntil(b"hello from /first")
        await gateway.gateway.amend(Verdict.DENY, "other.test")
        await gateway.gateway.amend(Verdict.DENY, "POST origin.test")
        writer.write(_get("/second", origin))
        await reader.readuntil(b"hello from /second")
        writer.close()
