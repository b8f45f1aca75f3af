"""An internet on loopback: servers under their real names, on their real ports.

The user's machine reaches it through a parent proxy, as many companies have one, so that no server of a
test needs port 443 or a right. What no server serves is refused, and remembered.
"""

from __future__ import annotations

import asyncio
import json
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

from cryptography.hazmat.primitives import serialization
from tests.e2e.stored_files import contents

from moat.egress.tls.ca import CertificateAuthority

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterable
    from pathlib import Path

    Answering = Callable[["Asked"], "Answer"]

_TURNS = 4
"""Turns of the loop after which a connection that was just accepted has its task, and that has ended."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as a server has read it."""

    method: str
    target: str
    headers: dict[str, str]
    """By their names in lower case."""
    body: bytes

    @property
    def host(self) -> str:
        return self.headers["host"]

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def text(self) -> str:
        """All of it, to look for something."""
        fields = "\n".join(f"{name}: {value}" for name, value in self.headers.items())
        return f"{self.method} {self.target}\n{fields}\n\n{self.body.decode('latin-1')}"


@dataclass(frozen=True, slots=True)
class Answer:
    """A response of a server."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, value: Any, status: int = 200, **headers: str) -> Self:
        """Return an answer in JSON."""
        fields = {"Content-Type": "application/json"} | {
            name.replace("_", "-"): text for name, text in headers.items()
        }
        return cls(json.dumps(value).encode(), status, fields)


class Internet:
    """Runs in threads of its own, from `with` to the end of it."""

    def __init__(self, folder: Path) -> None:
        """`folder` gets the authority that all servers have their certificates from."""
        folder.mkdir(exist_ok=True)
        self._authority = CertificateAuthority.load_or_create(folder)
        self.certificate = folder / "internet.pem"
        self.certificate.write_bytes(self._authority.certificate_pem)
        self.asked: list[Asked] = []
        """All requests, in their order."""
        self.unknown: list[str] = []
        """What was asked for and is nobody's."""
        self._ports: dict[str, int] = {}
        self._servers: list[tuple[_Server, threading.Thread]] = []
        self._conversations: set[asyncio.Task[None] | None] = set()
        """Tasks of the proxy: the loop itself keeps none whose client has left before its server."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        start = asyncio.start_server(self._proxy, "127.0.0.1", 0)
        self._proxy_server = asyncio.run_coroutine_threadsafe(start, self._loop).result()
        port = self._proxy_server.sockets[0].getsockname()[1]
        self.environment = {"HTTPS_PROXY": f"http://127.0.0.1:{port}"}
        """What the user's shell has."""
        return self

    def __exit__(self, *_: object) -> None:
        for server, thread in self._servers:
            server.shutdown()
            thread.join()
            server.server_close()
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def settings(self, **network: Any) -> str:
        """Return settings of a user, in whose runs nothing is open but what is granted."""
        given = {"policy": "strict", "upstream_ca": str(self.certificate)}
        return json.dumps({"network": given | network})

    def serve(self, host: str, answer: Answering) -> None:
        """Have a function answer whatever is asked of a host, on port 443."""
        server = _Server(("127.0.0.1", 0), _Handler)
        server.internet, server.answer = self, answer
        context = self.context(host)
        # The handshake belongs to the connection's own thread.
        server.socket = context.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        self._servers.append((server, thread))
        self.lead(host, server.server_port)

    def lead(self, host: str, port: int) -> None:
        """Have a host's port 443 be a port of loopback, where a server speaks TLS."""
        self._ports[f"{host}:443"] = port

    def context(self, *hosts: str, alpn: tuple[str, ...] = ("http/1.1",)) -> ssl.SSLContext:
        """Return what a server needs that has one of these names, or all of them."""
        contexts = {host: self._authority.context(host, alpn) for host in hosts}
        first = contexts[hosts[0]]

        def choose(connection: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
            connection.context = contexts.get(name or "", first)

        first.sni_callback = choose
        return first

    def key_and_certificate(self, host: str) -> tuple[bytes, bytes]:
        """Return what a server of its own needs, as PEM."""
        key, leaf = self._authority._leaf_key, self._authority._leaf(host)
        pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
        plain = serialization.NoEncryption()
        return key.private_bytes(pem, pkcs8, plain), leaf.public_bytes(pem)

    # --- the parent proxy ---

    async def _stop(self) -> None:
        self._proxy_server.close()
        for _ in range(_TURNS):
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.sleep(0)

    async def _proxy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._conversations.add(asyncio.current_task())
        try:
            with suppress(asyncio.IncompleteReadError, OSError):
                head = await reader.readuntil(b"\r\n\r\n")
                target = head.split(b" ")[1].decode()
                port = self._ports.get(target)
                if port is None:
                    self.unknown.append(target)
                    writer.write(b"HTTP/1.1 502 No such host\r\n\r\n")
                    await writer.drain()
                    return
                server, to_server = await asyncio.open_connection("127.0.0.1", port)
                writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
                try:
                    await asyncio.gather(_relay(reader, to_server), _relay(server, writer))
                finally:
                    to_server.transport.abort()
        except asyncio.CancelledError:
            return  # the test has ended
        finally:
            self._conversations.discard(asyncio.current_task())
            writer.close()


def never_shown(folders: Iterable[Path], secrets: Iterable[str]) -> None:
    """Check that no file in the folders has one of the secrets."""
    forms = [each.encode() for each in secrets]
    for folder in folders:
        for path, content in contents(folder):
            assert not any(each in content for each in forms), path


async def _relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
        writer.write_eof()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    internet: Internet
    answer: Answering

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of connections that the proxy has broken off."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def handle_one_request(self) -> None:
        self.raw_requestline = self.rfile.readline(65537)
        if not self.raw_requestline or not self.parse_request():
            self.close_connection = True
            return
        asked = Asked(
            self.command,
            self.path,
            {name.lower(): value for name, value in self.headers.items()},
            self._body(),
        )
        self.server.internet.asked.append(asked)
        answer = self.server.answer(asked)
        self.send_response(HTTPStatus(answer.status))
        for name, value in ({"Content-Length": str(len(answer.body))} | answer.headers).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def _body(self) -> bytes:
        if self.headers["Transfer-Encoding"] != "chunked":
            return self.rfile.read(int(self.headers["Content-Length"] or 0))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline() not in {b"\r\n", b""}:
            pass
        return body

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base's name
        """Say nothing."""
