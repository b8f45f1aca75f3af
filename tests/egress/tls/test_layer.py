"""A socket whose bytes travel inside TLS, as its owner sees it."""

from __future__ import annotations

import asyncio
import socket
import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from tests.egress.dialling import self_signed

from moat.egress.tls.layer import inside_tls

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

MEGABYTES = bytes(range(256)) * 16 * 1024


@pytest.fixture
def contexts(tmp_path: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """The context of the server and of a client that trusts it."""
    server, trusted = self_signed(tmp_path, x509.DNSName("proxy.test"))
    return server, ssl.create_default_context(cadata=trusted)


@asynccontextmanager
async def layered(
    serve: Serve, contexts: tuple[ssl.SSLContext, ssl.SSLContext]
) -> AsyncIterator[socket.socket]:
    """The owner's socket; what it sends arrives at `serve`, decrypted."""
    listening = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=contexts[0])
    carrier = await connected(listening.sockets[0].getsockname())
    with await inside_tls(carrier, contexts[1], "proxy.test") as sock:
        yield sock
    listening.close()


async def connected(address: tuple[str, int]) -> socket.socket:
    sock = socket.socket()
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, address)
    return sock


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


async def test_megabytes_pass_both_ways_unchanged(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    """More than all buffers hold passes, so each side has to wait for the other."""
    async with layered(echo, contexts) as sock:
        reader, writer = await asyncio.open_connection(sock=sock)
        sending = asyncio.create_task(write(writer, MEGABYTES))
        assert await reader.readexactly(len(MEGABYTES)) == MEGABYTES
        await sending
        writer.close()
        await writer.wait_closed()


async def write(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(data)
    await writer.drain()


async def test_what_is_not_read_is_not_taken(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    """An owner that does not read stops the sender: nothing piles up in between."""
    sent = 0
    stopped = asyncio.Event()

    async def pour(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.transport.set_write_buffer_limits(0)
        try:
            while True:
                writer.write(bytes(65536))
                async with asyncio.timeout(1):
                    await writer.drain()
                sent += 65536
        except TimeoutError:
            stopped.set()
        writer.transport.abort()

    async with layered(pour, contexts):
        await stopped.wait()
    assert sent < 32 * 1024 * 1024


async def test_the_servers_end_is_the_holders(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    """The end arrives after the last byte."""

    async def say(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"goodbye")
        writer.close()

    async with layered(say, contexts) as sock:
        reader, writer = await asyncio.open_connection(sock=sock)
        assert await reader.read() == b"goodbye"
        writer.close()
        await writer.wait_closed()


async def test_the_holders_end_is_the_servers(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    """Closing the socket closes the TLS connection after the last byte."""
    heard: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.set_result(await reader.read())
        writer.close()

    async with layered(listen, contexts) as sock:
        sock.send(b"goodbye")
        sock.close()
        assert await heard == b"goodbye"


async def test_a_server_by_another_name_is_refused(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    """No socket is left open: warnings of unclosed ones are errors here."""
    listening = await asyncio.start_server(echo, "127.0.0.1", 0, ssl=contexts[0])
    carrier = await connected(listening.sockets[0].getsockname())
    with pytest.raises(ssl.SSLCertVerificationError):
        await inside_tls(carrier, contexts[1], "other.test")
    assert carrier.fileno() == -1
    listening.close()


async def test_who_gives_up_during_the_handshake_leaves_nothing(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    """The server is silent, and the caller gives up."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        carrier = await connected(silent.getsockname())
        shaking = asyncio.create_task(inside_tls(carrier, contexts[1], "proxy.test"))
        accepted, _ = await asyncio.to_thread(silent.accept)
        with accepted:
            assert await asyncio.to_thread(accepted.recv, 1)
            shaking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await shaking
    assert carrier.fileno() == -1
