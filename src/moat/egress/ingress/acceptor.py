"""A connection from the sandbox: where it was going, what it speaks, and who serves it."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from moat.egress.dns.server import TCPResponder
from moat.egress.http.h1 import parser, writer
from moat.egress.http.interfaces import Destination
from moat.egress.http.messages import NO_BODY, BadMessageError
from moat.egress.http.origin_check import LEFT, Arrival, parse_authority
from moat.egress.ingress import socks
from moat.egress.ingress.tunnel import Tunnel
from moat.egress.names import canonical_host
from moat.egress.peek import LIMIT, ClosedEarlyError, peek, take
from moat.egress.policy.engine import denial_header
from moat.egress.policy.routing_decision import Asker, OpenTunnel, Refuse
from moat.egress.streams import ByALPN, break_off, reason
from moat.egress.tls import client_hello
from moat.egress.tls.alert import Alert
from moat.egress.upstream.dialer import DialError
from moat.spec.network import DNS_PORT, PROXY_PORT

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from moat.egress.gateway import RunGateway

_HANDSHAKE: Final = 0x16
"""Type of the TLS record in which a ClientHello comes."""
_SOCKS5: Final = 0x05
_SOCKS4: Final = 0x04
_TUNNELS: Final = {"tcp": Asker.TCP_TUNNEL, "tls": Asker.TLS_TUNNEL}


@dataclass(slots=True)
class _Attempt:
    """What is known of a connection that nobody serves yet."""

    scheme: str
    host: str
    port: int
    also: str = ""
    """What else it has said."""


class Acceptor:
    def __init__(self, gateway: RunGateway, loop: asyncio.AbstractEventLoop) -> None:
        self._gateway = gateway
        self._loop = loop
        self._timeouts = gateway.network.timeouts

    async def serve(self, sock: socket.socket) -> None:
        """Until somebody owns the connection, or it is closed."""
        address, port = sock.getsockname()[:2]
        attempt = _Attempt("tcp", address, port)
        try:
            attempt.host = self._gateway.name_of(address)
            if port == DNS_PORT:
                left = partial(self._left, attempt, LEFT)
                await self._hand_over(sock, lambda: TCPResponder(self._gateway, left))
            elif port == PROXY_PORT:
                await self._serve_proxy(sock, attempt)
            else:
                await self._serve(sock, attempt)
        except ClosedEarlyError:
            self._left(attempt, LEFT)
            sock.close()
        except TimeoutError:
            self._left(attempt, "it sent nothing that could be understood in time")
            break_off(sock)
        except ConnectionError as exc:
            self._left(attempt, f"broken: {reason(exc)}")
            break_off(sock)
        except ValueError as exc:  # a name that is none, in SOCKS
            self._refuse(sock, attempt.host, attempt.port, str(exc))
        except OSError as exc:  # a TLS handshake that failed, most of all
            self._refuse(sock, attempt.host, attempt.port, f"{exc.strerror or exc}")

    # --- captured ---

    async def _serve(self, sock: socket.socket, attempt: _Attempt) -> None:
        gateway = self._gateway
        host, port = attempt.host, attempt.port
        route = gateway.route(Asker.CAPTURED, host, port)
        if isinstance(route, OpenTunnel):
            await self._tunnel(sock, route, host, port)
            return
        if isinstance(route, Refuse):
            gateway.record_refusal("tcp", host, port, route.decision.why, route.decision.rule)
            break_off(sock)
            return
        async with asyncio.timeout(self._timeouts.header):
            first = await peek(self._loop, sock, lambda data: data[0])
        if first == _HANDSHAKE:
            await self._serve_tls(sock, attempt)
        else:
            arrival = Arrival(gateway, Destination("http", host, port))
            async with asyncio.timeout(self._timeouts.header):
                protocol = await peek(self._loop, sock, _version)
            await self._hand_over(sock, lambda: gateway.server(arrival, protocol))

    async def _serve_tls(self, sock: socket.socket, attempt: _Attempt) -> None:
        gateway = self._gateway
        host, port = attempt.host, attempt.port
        attempt.scheme = "https"
        try:
            async with asyncio.timeout(self._timeouts.tls):
                hello = await peek(self._loop, sock, client_hello.parse)
            named = host if hello.sni is None else canonical_host(hello.sni)
        except ValueError as exc:
            word = Alert.DECODE_ERROR.record()
            self._refuse(sock, host, port, f"malformed ClientHello: {exc}", word=word)
            return
        route = gateway.route(Asker.TLS, host, port)
        if isinstance(route, OpenTunnel):
            if hello.sni is None or named != host or hello.encrypted:
                why = "its name is encrypted" if hello.encrypted else f"it names {hello.sni}"
                alert = Alert.ACCESS_DENIED if hello.encrypted else Alert.UNRECOGNIZED_NAME
                why = f"TLS to be passed through to {host}: {why}"
                self._refuse(sock, host, port, why, word=alert.record())
                return
            await self._tunnel(sock, route, host, port)
            return
        disagreement = ""
        if named != host:
            disagreement = f"the TLS handshake names {named}, the connection is for {host}"
            attempt.also = disagreement
        context = gateway.leaves.get(named) or await gateway.leaves.context(named)
        arrival = Arrival(gateway, Destination("https", host, port), disagreement)
        await self._loop.connect_accepted_socket(
            lambda: ByALPN(lambda protocol: gateway.server(arrival, protocol)),
            sock,
            ssl=context,
            ssl_handshake_timeout=self._timeouts.tls,
        )

    async def _hand_over(
        self, sock: socket.socket, factory: Callable[[], asyncio.BaseProtocol]
    ) -> None:
        await self._loop.connect_accepted_socket(factory, sock)

    # --- the proxy's own port ---

    async def _serve_proxy(self, sock: socket.socket, attempt: _Attempt) -> None:
        async with asyncio.timeout(self._timeouts.header):
            skipped, first = await peek(self._loop, sock, _first)
            take(sock, skipped)
            if first in {_SOCKS4, _SOCKS5}:
                target = await self._socks(sock)
            elif first == ord("C"):
                target = await self._connect(sock)
            else:
                target = None
                arrival = Arrival(self._gateway, None)
                await self._hand_over(sock, lambda: self._gateway.server(arrival, None))
        if target is not None:
            attempt.host, attempt.port = target
            await self._serve(sock, attempt)

    async def _connect(self, sock: socket.socket) -> tuple[str, int] | None:
        """RFC 9110 9.3.6."""
        try:
            head = await peek(self._loop, sock, _whole_head)
            request = parser.parse_request_head(head)
            if request.method != "CONNECT":
                arrival = Arrival(self._gateway, None)
                await self._hand_over(sock, lambda: self._gateway.server(arrival, None))
                return None
            if request.framing != NO_BODY:
                raise BadMessageError("CONNECT has no body")
            host, port = parse_authority(request.target, 0)
        except BadMessageError as exc:
            word = _answer(exc.status, f"moat: malformed request: {exc}")
            why = f"malformed CONNECT: {exc}"
            self._refuse(sock, "", PROXY_PORT, why, status=exc.status, word=word)
            return None
        take(sock, len(head))
        host = self._gateway.name_of(host)
        route = self._gateway.route(Asker.CONNECT, host, port)
        if isinstance(route, Refuse):
            decision = route.decision
            self._gateway.record_refusal("https", host, port, decision.why, decision.rule, 403)
            _end(sock, _answer(403, decision.reason, denial_header(decision)))
            return None
        sock.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
        return host, port

    async def _socks(self, sock: socket.socket) -> tuple[str, int] | None:
        server = socks.Server()

        def progress(data: bytes) -> socks.Step | None:
            step = server.feed(data)
            return step if step.consumed else None

        while True:
            try:
                step = await peek(self._loop, sock, progress)
            except ValueError as exc:
                self._refuse(sock, "", PROXY_PORT, f"malformed SOCKS request: {exc}")
                return None
            take(sock, step.consumed)
            if step.reply:
                sock.send(step.reply)
            if step.target is not None:
                host = self._gateway.name_of(canonical_host(step.target.host))
                port = step.target.port
                route = self._gateway.route(Asker.SOCKS, host, port)
                if not isinstance(route, Refuse):
                    sock.send(socks.reply(socks.SUCCEEDED))
                    return host, port
                decision = route.decision
                self._gateway.record_refusal("tcp", host, port, decision.why, decision.rule)
                sock.send(socks.reply(socks.NOT_ALLOWED))
                sock.close()
                return None
            if step.failed:
                self._refuse(sock, "", PROXY_PORT, step.failed)
                return None

    # --- ---

    async def _tunnel(self, sock: socket.socket, route: OpenTunnel, host: str, port: int) -> None:
        gateway = self._gateway
        entry = gateway.begin_tunnel(route.scheme, host, port, route.rule)
        begun = self._loop.time()

        def ended(tunnel: Tunnel, why: str) -> None:
            entry.sent, entry.received = tunnel.inner.taken, tunnel.outer.taken
            entry.total = self._loop.time() - begun
            if why:
                entry.verdict = "denied" if entry.verdict == "denied" else "failed"
                entry.error = why
            gateway.tunnel_ended(tunnel, entry)

        def denial() -> str:
            now = gateway.route(_TUNNELS[route.scheme], host, port)
            if not isinstance(now, Refuse):
                return ""
            entry.verdict, entry.rule = "denied", now.decision.rule
            return now.decision.why

        problem = gateway.problem()
        try:
            if problem:
                raise DialError("refused", problem)
            dialled = await gateway.dialer.dial(host, port)
        except DialError as exc:
            entry.verdict = "denied" if exc.kind == "private" else "failed"
            entry.error = str(exc)
            entry.total = self._loop.time() - begun
            gateway.put(entry)
            denied = exc.kind == "private"
            alert = Alert.ACCESS_DENIED if denied else Alert.INTERNAL_ERROR
            _end(sock, alert.record() if route.scheme == "tls" else b"")
            return
        entry.address, entry.dns, entry.connect = dialled.address, dialled.dns, dialled.connect
        tunnel = Tunnel(self._loop, ended, denial)
        gateway.opened(tunnel)
        await tunnel.join(sock, dialled.sock)
        tunnel.reconsider()  # the policy may have changed meanwhile

    def _refuse(
        self,
        sock: socket.socket,
        host: str,
        port: int,
        why: str,
        *,
        status: int = 0,
        word: bytes = b"",
    ) -> None:
        self._gateway.record_refusal("tcp", host, port, why, status=status)
        _end(sock, word)

    def _left(self, attempt: _Attempt, why: str) -> None:
        self._gateway.record_left(attempt.scheme, attempt.host, attempt.port, why, attempt.also)


def _end(sock: socket.socket, word: bytes) -> None:
    """With a last word for whoever understands one, else with a reset."""
    if not word:
        break_off(sock)
        return
    with suppress(OSError):  # it may have left
        take(sock, LIMIT)  # or closing would be a reset, which takes the word away
    with suppress(OSError):
        sock.send(word)
    sock.close()


def _answer(status: int, line: str, denied: bytes = b"") -> bytes:
    fields = [(b"Content-Type", b"text/plain; charset=utf-8")]
    if denied:
        fields.append((b"X-Moat-Denied", denied))
    return writer.last_answer(status, line, fields)


def _first(data: bytes) -> tuple[int, int] | None:
    """What is to be skipped, and the first byte after it."""
    skipped = 2 if data.startswith(b"\r\n") else 0  # RFC 9112 2.2: left over by careless clients
    if data == b"\r" or len(data) == skipped:
        return None
    return skipped, data[skipped]


_PREFACE: Final = b"PRI * HTTP/2.0\r\n"


def _version(data: bytes) -> str | None:
    """HTTP/2 for a client that knows beforehand (RFC 9113 3.3), else HTTP/1.1."""
    start = data[: len(_PREFACE)]
    if not _PREFACE.startswith(start):
        return "http/1.1"
    return "h2" if start == _PREFACE else None


def _whole_head(data: bytes) -> bytes | None:
    end = parser.head_end(data)
    return None if end < 0 else data[:end]
