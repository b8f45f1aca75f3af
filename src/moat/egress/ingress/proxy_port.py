"""The proxy port: an HTTP proxy and a SOCKS 5 proxy on one port, for programs that insist on one.

CONNECT and SOCKS name a server and are answered here; what follows on the connection is then
served as if it had been captured on its way to that server. Any other request names its server in
absolute-form, each its own, so the connection goes to HTTP/1.1 as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moat.egress.http.h1 import parser, writer
from moat.egress.http.h1.server import HTTP1Server
from moat.egress.http.messages import NO_BODY, BadMessageError
from moat.egress.http.origin_check import OriginCheck, parse_authority
from moat.egress.ingress import socks
from moat.egress.ingress.new_connection import close_with
from moat.egress.names import canonical_host
from moat.egress.peek import peek, take
from moat.egress.policy.decision import Decision, Verdict, denial_header
from moat.egress.policy.routing_decision import Asker, Refuse
from moat.spec.network import PROXY_PORT

if TYPE_CHECKING:
    import asyncio
    import socket

    from moat.egress.ingress.interfaces import Services
    from moat.egress.ingress.socks import Target

_SOCKS: Final = (0x04, 0x05)
"""First bytes of SOCKS 4, which is refused in words, and of SOCKS 5."""
_ESTABLISHED: Final = b"HTTP/1.1 200 Connection established\r\n\r\n"


class ProxyPort:
    def __init__(self, services: Services, loop: asyncio.AbstractEventLoop) -> None:
        self._services = services
        self._loop = loop

    async def negotiate(self, sock: socket.socket) -> Target | None:
        """Return the server that a client asks for; its connection waits for the client's first byte.

        `None`: the connection is served or closed already. Raises `ValueError` for an invalid name in
        SOCKS, and what `peek` raises.
        """
        skipped, first = await peek(self._loop, sock, _first)
        take(sock, skipped)
        if first in _SOCKS:
            return await self._socks(sock)
        if first == ord("C"):
            return await self._connect(sock)
        await self._serve_http(sock)
        return None

    async def _serve_http(self, sock: socket.socket) -> None:
        http = self._services.http
        origin = OriginCheck(None, refusal=self._refusal)
        await self._loop.connect_accepted_socket(lambda: HTTP1Server(http, origin), sock)

    def _refusal(self, host: str, port: int) -> Decision | None:
        route = self._services.route(Asker.REQUEST, host, port)
        return route.decision if isinstance(route, Refuse) else None

    async def _connect(self, sock: socket.socket) -> Target | None:
        """Answer a CONNECT (RFC 9110 9.3.6)."""
        try:
            head = await peek(self._loop, sock, _whole_head)
            request = parser.parse_request_head(head)
            if request.method != "CONNECT":
                await self._serve_http(sock)
                return None
            if request.framing != NO_BODY:
                raise BadMessageError("CONNECT has no body")
            host, port = parse_authority(request.target, 0)
        except BadMessageError as exc:
            answer = _answer(exc.status, f"moat: malformed request: {exc}")
            self._reject(sock, f"malformed CONNECT: {exc}", exc.status, answer)
            return None
        take(sock, len(head))
        host = self._services.host_of(host)
        route = self._services.route(Asker.CONNECT, host, port)
        if isinstance(route, Refuse):
            decision = route.decision
            self._services.reporter.denied("https", host, port, decision, 403)
            close_with(sock, _answer(403, decision.reason, denial_header(decision)))
            return None
        sock.send(_ESTABLISHED)
        return socks.Target(host, port)

    async def _socks(self, sock: socket.socket) -> Target | None:
        server = socks.Server()

        def progress(data: bytes) -> socks.Step | None:
            step = server.feed(data)
            return step if step.consumed else None

        while True:
            try:
                step = await peek(self._loop, sock, progress)
            except ValueError as exc:
                self._reject(sock, f"malformed SOCKS request: {exc}")
                return None
            take(sock, step.consumed)
            if step.reply:
                sock.send(step.reply)
            if step.target is not None:
                return self._answer_socks(sock, step.target)
            if step.failed:
                self._reject(sock, step.failed)
                return None

    def _answer_socks(self, sock: socket.socket, asked: Target) -> Target | None:
        host, port = self._services.host_of(canonical_host(asked.host)), asked.port
        route = self._services.route(Asker.SOCKS, host, port)
        if isinstance(route, Refuse):
            self._services.reporter.denied("tcp", host, port, route.decision)
            sock.send(socks.reply(socks.NOT_ALLOWED))
            sock.close()
            return None
        sock.send(socks.reply(socks.SUCCEEDED))
        return socks.Target(host, port)

    def _reject(self, sock: socket.socket, why: str, status: int = 0, answer: bytes = b"") -> None:
        """Close a connection on which nothing could be understood."""
        decision = Decision(Verdict.DENY, "", why)
        self._services.reporter.denied("tcp", "", PROXY_PORT, decision, status)
        close_with(sock, answer)


def _answer(status: int, line: str, denied: bytes = b"") -> bytes:
    fields = [(b"Content-Type", b"text/plain; charset=utf-8")]
    if denied:
        fields.append((b"X-Moat-Denied", denied))
    return writer.last_answer(status, line, fields)


def _first(data: bytes) -> tuple[int, int] | None:
    """Return how many bytes to skip, and the first one after them."""
    skipped = 2 if data.startswith(b"\r\n") else 0  # RFC 9112 2.2: left over by careless clients
    if data == b"\r" or len(data) == skipped:
        return None
    return skipped, data[skipped]


def _whole_head(data: bytes) -> bytes | None:
    end = parser.head_end(data)
    return None if end < 0 else data[:end]
