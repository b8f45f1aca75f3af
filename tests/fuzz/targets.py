"""What is fuzzed: a parser, beginnings for the fuzzer, and what must hold whatever it is given.

An oracle raises where something doesn't hold. It knows the answer by other means than the parser:
another implementation of the protocol, or a reader of what the parser has made.
"""

from __future__ import annotations

import re
import socket
import ssl
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

import h11
import httptools
from tests.egress.dns_messages import question, read

from moat.egress.dns import message as dns
from moat.egress.http.h1 import parser as http1
from moat.egress.http.h1 import writer
from moat.egress.http.messages import CHUNKED, BadMessageError
from moat.egress.tls import client_hello

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class Target(NamedTuple):
    check: Callable[[bytes], None]
    beginnings: tuple[bytes, ...]
    longest: int
    """Bytes. Longer inputs find nothing that shorter ones don't, only slower."""


# --- DNS ---

ADDRESS = "198.18.0.1"
_ADDRESSES = ((bytes((127, 0, 0, 1)), bytes(15) + b"\x01"), (socket.inet_aton(ADDRESS),))
"""Of localhost, which nobody is asked about, and of others."""
_OPT = b"\x00\x00\x29\x10\x00\x00\x00\x80\x00\x00\x00"


def check_dns(message: bytes) -> None:
    """What is sent reads back: to the same number and question, with the right record or none."""
    asked: list[str] = []

    def address_of(name: str) -> str | None:
        asked.append(name)
        return ADDRESS if len(name) % 2 else None

    answer = dns.answer(message, address_of, lambda name: f"moat: {name} denied: ü" * 9)
    if answer.reply is None:
        assert len(message) < 12 or message[2] & 0x80, "a question without an answer"
        return
    assert not message[2] & 0x80, "an answer to an answer"
    assert len(answer.reply) < 512, "an answer that UDP has no room for"
    reply = read(answer.reply)
    assert reply.number == int.from_bytes(message[:2], "big")
    assert reply.flags & 0x8000, "an answer that is a question"
    assert message[12:].startswith(reply.question)
    assert len(reply.question) <= 255 + 4, "a name that no resolver takes"
    assert not answer.name or answer.name.isprintable()
    assert answer.name.isascii()
    assert answer.name == answer.name.lower()
    assert asked in ([], [answer.name])
    assert all(record.data in _ADDRESSES[bool(asked)] for record in reply.answers)
    if reply.flags & 0xF:
        assert not reply.answers


# --- TLS ---


class _OpenSSL:
    """Another reader of a ClientHello."""

    def __init__(self) -> None:
        self._names: list[str | None] = []
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.sni_callback = self._named

    def _named(self, _socket: object, name: str | None, _context: object) -> int:
        self._names.append(name)
        return ssl.ALERT_DESCRIPTION_INTERNAL_ERROR  # that is all we wanted to know

    def names(self, data: bytes) -> list[str | None]:
        """One, which may be that there is none, where it has accepted the ClientHello."""
        self._names.clear()
        incoming = ssl.MemoryBIO()
        incoming.write(data)
        with suppress(ssl.SSLError):
            self._context.wrap_bio(incoming, ssl.MemoryBIO(), server_side=True).do_handshake()
        return list(self._names)


_openssl = _OpenSSL()


def _hellos() -> tuple[bytes, ...]:
    made: list[bytes] = []
    for name, protocols in (("example.com", ["h2", "http/1.1"]), ("a.example", []), (None, ["h2"])):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.set_alpn_protocols(protocols)
        outgoing = ssl.MemoryBIO()
        try:
            context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=name).do_handshake()
        except ssl.SSLWantReadError:
            made.append(outgoing.read())
    whole = made[0]
    half = len(whole) // 2
    pieces = (whole[5:half], whole[half:])
    cut = b"".join(b"\x16\x03\x01" + len(each).to_bytes(2, "big") + each for each in pieces)
    return (*made, cut)


def check_client_hello(data: bytes) -> None:
    """The name is the one that OpenSSL finds; cut anywhere, it is incomplete and nothing else."""
    try:
        found = client_hello.parse(data)
    except ValueError:
        return
    if found is None:
        return
    cut = len(data) // 2
    assert client_hello.parse(data[:cut]) in (None, found)
    assert client_hello.parse(data + b"x") == found
    assert found.sni is None or found.sni.isascii()
    for name in _openssl.names(data):
        assert name == found.sni, f"OpenSSL reads {name!r}, we read {found.sni!r}"


# --- HTTP/1.1 ---

_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
"""llhttp takes none but those that it knows."""


_SPACE_AT_END = re.compile(rb"[ \t]+\r\n")


class _Heard:
    """What llhttp says of a head."""

    def __init__(self) -> None:
        self.url = b""
        self.fields: list[tuple[bytes, bytes]] = []

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields.append((name.lower(), value.strip(b" \t")))


def check_http1(data: bytes) -> None:
    """Others accept what we accept, and read the same out of it and out of what we write."""
    try:
        end = http1.head_end(data)
        if end < 0:
            return
        head = data[:end]
        request = http1.parse_request_head(head)
    except BadMessageError as problem:
        _check_problem(problem)
        return
    _compare_with_llhttp(head, request)
    _compare_with_h11(request, head, request.host)
    _compare_with_h11(request, writer.request_bytes(request, request.target, b"a"), b"a")


def _check_problem(problem: BadMessageError) -> None:
    """It goes into an answer."""
    assert str(problem).isprintable()
    assert 400 <= problem.status < 600


def _compare_with_llhttp(head: bytes, request: http1.RequestHead) -> None:
    if request.method not in _METHODS or request.target[0] != "/" or request.upgrade is not None:
        return
    heard = _Heard()
    with suppress(httptools.HttpParserUpgrade):
        # It takes no tab after a length, which RFC 9110 5.5 lets there be.
        httptools.HttpRequestParser(heard).feed_data(_SPACE_AT_END.sub(b"\r\n", head))
    assert heard.url.decode("ascii") == request.target
    _compare(request, dict(heard.fields), request.host)


def _compare_with_h11(request: http1.RequestHead, head: bytes, host: bytes | None) -> None:
    reader = h11.Connection(h11.SERVER)
    reader.receive_data(head)
    event = reader.next_event()
    assert isinstance(event, h11.Request)
    assert event.method.decode("ascii") == request.method
    assert event.target.decode("ascii") == request.target
    _compare(request, dict(event.headers), host)


def _compare(request: http1.RequestHead, theirs: Mapping[bytes, bytes], host: bytes | None) -> None:
    assert theirs.get(b"host") == host
    assert (b"transfer-encoding" in theirs) == (request.framing == CHUNKED)
    if request.framing >= 0:
        assert int(theirs.get(b"content-length", 0)) == request.framing
    assert {name.lower() for name, _ in request.fields} <= theirs.keys()


TARGETS = {
    "dns": Target(
        check_dns,
        (
            question("example.com"),
            question("LocalHost", 28, more=_OPT),
            question("a.b.c.example", 255, klass=3),
            question(b"\x3f" + b"a" * 63 + b"\x01.\0"),
            question(b"\xc0\x0c"),
            question((b"\x3f" + b"a" * 63) * 3 + b"\x3d" + b"a" * 61 + b"\0"),
        ),
        600,
    ),
    "client_hello": Target(check_client_hello, _hellos(), 2000),
    "http1": Target(
        check_http1,
        (
            b"GET / HTTP/1.1\r\nHost: example.com\r\nAccept: */*\r\n\r\n",
            b"POST /a?b=c HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n",
            b"PUT http://a/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTE: trailers\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, x\r\nUpgrade: websocket\r\nX: 1\r\n\r\n",
            b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n",
            b"OPTIONS * HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        ),
        4000,
    ),
}
