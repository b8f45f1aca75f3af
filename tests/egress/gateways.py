"""A run's gateway without its sandbox: the proxy's own port, on a loopback address of the test's own."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
import time
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

from tests.egress.addresses import own_address
from tests.origin import Origin

from moat.egress.gateway import RunGateway
from moat.egress.policy.decision import Verdict
from moat.egress.tls.ca import CertificateAuthority
from moat.egress.traffic.reader import Filter, TrafficReader
from moat.paths import RunFolder
from moat.spec.budget import Budget
from moat.spec.network import Network

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Iterator
    from pathlib import Path

    from moat.egress.traffic.schema import Row

TIMEOUT_S = 120.0
UNLIMITED = Budget()


class Gateway:
    """A gateway with clients, as in a sandbox."""

    def __init__(self, gateway: RunGateway, address: str, folder: RunFolder) -> None:
        self.gateway = gateway
        self.address = address
        self._folder = folder
        pem = gateway.authority.certificate_pem.decode()
        self._trust = ssl.create_default_context(cadata=pem)

    def trust(self, *alpn: str) -> ssl.SSLContext:
        if alpn:
            self._trust.set_alpn_protocols(list(alpn))
        return self._trust

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(self.address, 3128)

    async def open_port(self, port: int) -> None:
        """Open the port of an origin, which nobody knows before, by a rule about another host."""
        if not self.gateway.policy.opens(port):
            await self.gateway.amend(Verdict.ALLOW, f"opened.test:{port}")

    async def tunnel(
        self, host: str, port: int, *, tls: bool = False, sni: str | None = None, alpn: str = ""
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Return a connection to a server, by CONNECT, after opening its port."""
        await self.open_port(port)
        reader, writer = await self.connect()
        writer.write(b"CONNECT %b:%d HTTP/1.1\r\nHost: x\r\n\r\n" % (host.encode(), port))
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 "), head
        if tls:
            context = self.trust(*([alpn] if alpn else []))
            await writer.start_tls(context, server_hostname=sni or host)
        return reader, writer

    async def ask(self, host: str, port: int, request: bytes, *, tls: bool = False) -> bytes:
        """Return everything that is received after these bytes until the connection ends."""
        reader, writer = await self.tunnel(host, port, tls=tls)
        writer.write(request)
        try:
            async with asyncio.timeout(TIMEOUT_S):
                return await reader.read()
        except ConnectionResetError:
            return b""
        finally:
            writer.close()

    def let_time_pass(self, seconds: float) -> None:
        """Let the connections' timeouts see that so much time has passed."""
        self.gateway.connections.check(time.monotonic() + seconds)

    def rows(self, kind: str | None = None) -> list[Row]:
        """Return the recorded rows, after the gateway has been closed."""
        with TrafficReader(self._folder.database) as reader:
            rows = list(reader.rows(Filter(), 0.0))
        return [row for row in rows if kind in {None, row.kind}]


@asynccontextmanager
async def opened(
    folder: Path, *, budget: Budget = UNLIMITED, **network: Any
) -> AsyncIterator[Gateway]:
    """Run a gateway during a test."""
    address = own_address()
    loop = asyncio.get_running_loop()

    async def listen(_family: str, kind: str, _address: str, port: int) -> int:
        if kind == "udp":  # there is no port 53 for tests: the sandbox's are in tests/e2e
            raise OSError(errno.EAFNOSUPPORT, "not here")
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((address, port))
        sock.listen()
        return sock.detach()

    async with asyncio.TaskGroup() as tasks:
        running: set[asyncio.Task[None]] = set()

        def start(work: Coroutine[None, None, None]) -> None:
            task = tasks.create_task(work)
            running.add(task)
            task.add_done_callback(running.discard)

        run = RunFolder(folder)
        settings = {"hosts": {"origin.test": "127.0.0.1"}, "private": ("127.0.0.0/8",)} | network
        gateway = RunGateway(
            Network(**settings),
            run,
            CertificateAuthority.load_or_create(folder),
            loop,
            start,
            "RUN",
            budget,
        )
        try:
            await gateway.open(listen)
            yield Gateway(gateway, address, run)
        finally:
            gateway.close()
            for task in tuple(running):
                task.cancel()


@contextmanager
def secure(folder: Path, name: str = "origin.test") -> Iterator[tuple[Origin, str]]:
    """Run an origin with TLS, and return it with the certificate of its authority."""
    folder.mkdir()
    authority = CertificateAuthority.load_or_create(folder)
    with Origin(authority.context(name, ("http/1.1",))) as started:
        yield started, authority.certificate_pem.decode()


def get(path: str, origin: Origin, *lines: str, method: str = "GET") -> bytes:
    head = [f"{method} {path} HTTP/1.1", f"Host: origin.test:{origin.port}", *lines]
    return "\r\n".join([*head, "Connection: close", "", ""]).encode()


def files(run: Path) -> bytes:
    """Return all bytes of the traffic database."""
    return b"".join(path.read_bytes() for path in run.glob("run.db*"))


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])
