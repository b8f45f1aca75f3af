"""The gateway between real clients and a real server: what passes, what does not, the record."""

from __future__ import annotations

import asyncio
import errno
import gzip
import json
import sqlite3
import ssl
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from tests.egress.databases import interpose
from tests.egress.dns_messages import question, read
from tests.egress.gateways import TIMEOUT_S, opened
from tests.origin import SSE_EVENTS, Origin

from moat.egress.authority import Authority
from moat.egress.entry import Entry
from moat.egress.policy import Verdict
from moat.spec.network import Timeouts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


EDNS = b"\x00\x00\x29\x10\x00\x00\x00\x00\x00\x00\x00"
"""An OPT record: whoever sends it takes one."""
SMUGGLED = (
    b"POST / HTTP/1.1\r\nHost: origin.test:%d\r\nContent-Length: 1\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\n"
)


@pytest.fixture
def origin() -> Iterator[Origin]:
    with Origin() as started:
        yield started


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    return folder


@contextmanager
def _secure(folder: Path, name: str = "origin.test") -> Iterator[tuple[Origin, str]]:
    """An origin with TLS, and the certificate of the authority that vouches for it."""
    folder.mkdir()
    authority = Authority.load_or_create(folder)
    with Origin(authority.context(name, ("http/1.1",))) as started:
        yield started, authority.certificate_pem.decode()


def _get(path: str, origin: Origin, *lines: str, method: str = "GET") -> bytes:
    head = [f"{method} {path} HTTP/1.1", f"Host: origin.test:{origin.port}", *lines]
    return "\r\n".join([*head, "Connection: close", "", ""]).encode()


def _files(run: Path) -> bytes:
    """All that the record has on disk."""
    return b"".join(path.read_bytes() for path in run.glob("run.db*"))


def _status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


async def test_a_request_passes_and_is_written_down(run: Path, origin: Origin) -> None:
    """Method, URL, status, rule, times and bytes."""
    async with opened(run) as gateway:
        answer = await gateway.ask("origin.test", origin.port, _get("/a?b=c", origin))

    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.endswith(b"hello from /a")
    [row] = gateway.rows("request")
    assert (row.method, row.host, row.path, row.status) == ("GET", "origin.test", "/a?b=c", 200)
    assert (row.verdict, row.rule) == ("allowed", "policy: permissive")
    assert row.received == len(b"hello from /a")
    assert 0 <= row.first_byte <= row.total
    assert row.connect >= 0
    assert row.address == "127.0.0.1"


async def test_tls_is_opened_and_made_anew(run: Path, tmp_path: Path) -> None:
    """The client trusts the run's authority, the proxy the server's."""
    with _secure(tmp_path / "ca") as (origin, ca):
        async with opened(run, upstream_ca=ca) as gateway:
            request = _get("/secret", origin)
            answer = await gateway.ask("origin.test", origin.port, request, tls=True)

    assert answer.endswith(b"hello from /secret")
    [row] = gateway.rows("request")
    assert (row.scheme, row.status) == ("https", 200)
    assert row.tls >= 0


@pytest.mark.parametrize(
    ("name", "trusted", "why"),
    [
        ("origin.test", False, "self-signed|local issuer"),
        ("other.test", True, "mismatch|doesn't match"),
    ],
)
# asyncio leaves the origin's transport to the collector where the other side ends the handshake.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_a_server_that_is_not_who_it_says_is_a_502(
    run: Path, tmp_path: Path, name: str, trusted: bool, why: str
) -> None:
    """Never a pass, and the line says what is wrong."""
    with _secure(tmp_path / "ca", name) as (origin, ca):
        async with opened(run, upstream_ca=ca if trusted else "") as gateway:
            answer = await gateway.ask("origin.test", origin.port, _get("/", origin), tls=True)
        assert origin.heads == []

    assert _status(answer) == 502
    assert any(each.encode() in answer.lower() for each in why.split("|")), answer
    [row] = gateway.rows("request")
    assert (row.verdict, row.status) == ("failed", 502)


@pytest.mark.parametrize(
    ("path", "status", "body"),
    [
        ("/chunked", 200, b"5\r\nhello\r\n6\r\n world\r\n0\r\nX-Sum: 11\r\n\r\n"),
        ("/close", 200, b"d\r\nuntil the end\r\n0\r\n\r\n"),
        ("/empty", 204, b""),
        ("/unchanged", 304, b""),
        ("/two-lengths", 502, None),
        ("/bytes/1000000", 200, bytes(1_000_000)),
    ],
)
async def test_each_kind_of_body_passes(
    run: Path, origin: Origin, path: str, status: int, body: bytes | None
) -> None:
    """Chunks and trailers, until the end, none, malformed, large."""
    async with opened(run) as gateway:
        answer = await gateway.ask("origin.test", origin.port, _get(path, origin))

    assert _status(answer) == status
    if body is not None:
        assert answer.partition(b"\r\n\r\n")[2] == body


async def test_head_has_the_length_and_no_body(run: Path, origin: Origin) -> None:
    """RFC 9110 9.3.2; the connection goes on after it."""
    async with opened(run) as gateway:
        reader, writer = await gateway.tunnel("origin.test", origin.port)
        writer.write(
            _get("/unchanged", origin, method="HEAD").replace(b"Connection: close\r\n", b"")
        )
        head = await reader.readuntil(b"\r\n\r\n")
        writer.write(_get("/after", origin))
        rest = await reader.read()
        writer.close()

    assert b"Content-Length: 5" in head
    assert rest.endswith(b"hello from /after")


async def test_hints_come_before_the_answer(run: Path, origin: Origin) -> None:
    """103 (RFC 8297) goes through; a client of HTTP/1.0 would not understand it."""
    async with opened(run) as gateway:
        answer = await gateway.ask("origin.test", origin.port, _get("/hints", origin))
        old = _get("/hints", origin).replace(b"HTTP/1.1", b"HTTP/1.0")
        plain = await gateway.ask("origin.test", origin.port, old)

    assert answer.startswith(
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\nHTTP/1.1 200"
    )
    assert plain.startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_is_sent_as_it_came(run: Path, origin: Origin, chunked: bool) -> None:
    """With a length, or in chunks; after `100 Continue`, which is the server's to say."""
    async with opened(run) as gateway:
        reader, writer = await gateway.tunnel("origin.test", origin.port)
        framing = "Transfer-Encoding: chunked" if chunked else "Content-Length: 11"
        writer.write(_get("/echo", origin, framing, "Expect: 100-continue", method="POST"))
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n" if chunked else b"hello world")
        answer = await reader.read()
        writer.close()

    seen = json.loads(answer.partition(b"\r\n\r\n")[2])
    assert seen["body"] == "hello world"
    assert ("Transfer-Encoding: chunked" in seen["head"]) is chunked
    [row] = gateway.rows("request")
    assert row.sent == len("hello world")


async def test_a_large_body_goes_up_in_bounded_memory(run: Path, origin: Origin) -> None:
    """Eight megabytes, of which never more than some hundred kilobytes wait."""
    size = 8 << 20
    async with opened(run) as gateway:
        reader, writer = await gateway.tunnel("origin.test", origin.port)
        writer.write(_get("/size", origin, f"Content-Length: {size}", method="PUT"))
        for _ in range(size >> 16):
            writer.write(bytes(1 << 16))
            await writer.drain()
        answer = await reader.read()
        writer.close()

    assert answer.endswith(str(size).encode())


async def test_an_early_answer_reaches_a_client_that_still_sends(run: Path, origin: Origin) -> None:
    """413 before the body is there: the client gets it, and may go on sending into nothing."""
    async with opened(run) as gateway:
        reader, writer = await gateway.tunnel("origin.test", origin.port)
        request = _get("/early", origin, "Content-Length: 300000", method="POST")
        writer.write(request.replace(b"Connection: close\r\n", b"") + bytes(1000))
        head = await reader.readuntil(b"\r\n\r\n")
        assert await reader.readexactly(3) == b"no\n"
        writer.write(bytes(299_000))
        writer.write(_get("/next", origin))
        rest = await reader.read()
        writer.close()

    assert _status(head) == 413
    assert rest.endswith(b"hello from /next")


async def test_events_come_one_by_one(run: Path, origin: Origin) -> None:
    """A stream of events is relayed as it comes, to its end."""
    async with opened(run) as gateway:
        answer = await gateway.ask("origin.test", origin.port, _get("/sse", origin))

    assert answer.count(b"data: ") == SSE_EVENTS


async def test_another_protocol_follows_an_upgrade(run: Path, origin: Origin) -> None:
    """As a WebSocket's: bytes both ways, counted."""
    async with opened(run) as gateway:
        reader, writer = await gateway.tunnel("origin.test", origin.port)
        request = _get("/upgrade", origin, "Upgrade: echo")
        writer.write(request.replace(b"Connection: close", b"Connection: Upgrade"))
        head = await reader.readuntil(b"\r\n\r\n")
        writer.write(b"ping")
        pong = await reader.readexactly(4)
        writer.close()
        await writer.wait_closed()

    assert _status(head) == 101
    assert pong == b"ping"
    [row] = gateway.rows("request")
    assert (row.status, row.protocol, row.sent, row.received) == (101, "websocket", 4, 4)


@pytest.mark.parametrize("early", [b"", b"hello"])
@pytest.mark.parametrize("finished", [True, False])
async def test_an_upgraded_connection_loses_nothing(
    run: Path, origin: Origin, early: bytes, finished: bool
) -> None:
    """Of what is said right behind the request, nor what the server says to who has finished."""
    async with opened(run) as gateway, asyncio.timeout(TIMEOUT_S):
        reader, writer = await gateway.tunnel("origin.test", origin.port)
        request = _get("/upgrade", origin, "Upgrade: echo")
        writer.write(request.replace(b"Connection: close", b"Connection: Upgrade") + early)
        if finished:
            writer.write_eof()
        head = await reader.readuntil(b"\r\n\r\n")
        if not finished:
            writer.write(b"ping")
            early += b"ping"
            assert await reader.readexactly(len(early)) == early
            writer.write_eof()
            early = b""
        rest = await reader.read()
        writer.close()

    assert _status(head) == 101
    assert rest == early + b"goodbye"


async def test_requests_sent_ahead_are_answered_in_order(run: Path, origin: Origin) -> None:
    """Pipelining (RFC 9112 9.3.2), over one connection to the server."""
    async with opened(run) as gateway:
        ahead = b"".join(
            _get(f"/{number}", origin).replace(b"Connection: close\r\n", b"")
            for number in range(20)
        )
        answer = await gateway.ask("origin.test", origin.port, ahead + _get("/last", origin))

    assert [part.split(b"HTTP/1.1")[0] for part in answer.split(b"hello from /")[1:]] == [
        *(str(number).encode() for number in range(20)),
        b"last",
    ]
    assert origin.connections == 1


async def test_half_a_connection_is_enough_for_an_answer(run: Path, origin: Origin) -> None:
    """A client that has said all it wants closes its side, as netcat does."""
    async with opened(run) as gateway:
        reader, writer = await gateway.tunnel("origin.test", origin.port)
        writer.write(_get("/half", origin).replace(b"Connection: close\r\n", b""))
        writer.write_eof()
        answer = await reader.read()
        writer.close()

    assert answer.endswith(b"hello from /half")


async def test_a_connection_serves_again_and_a_stale_one_is_replaced(
    run: Path, tmp_path: Path
) -> None:
    """The server may close what waits at any time; a GET is then asked once more."""
    async with opened(run, rules=()) as gateway:
        with Origin() as origin:
            port = origin.port
            for number in range(3):
                await gateway.ask("origin.test", port, _get(f"/{number}", origin))
            assert origin.connections == 1
        answer = await gateway.ask("origin.test", port, _get("/", origin))

    assert _status(answer) == 502
    assert [row.status for row in gateway.rows("request")] == [200, 200, 200, 502]


async def test_an_answer_that_is_cut_off_looks_so(run: Path, origin: Origin) -> None:
    """Fewer bytes than announced, and the record says why."""
    async with opened(run) as gateway:
        answer = await gateway.ask("origin.test", origin.port, _get("/cut", origin))

    assert answer.endswith(b"only this")
    [row] = gateway.rows("request")
    assert row.verdict == "failed"
    assert "closed the connection early" in row.error


async def test_an_answer_without_a_length_is_cut_off_by_a_reset(run: Path, origin: Origin) -> None:
    """To a client of HTTP/1.0 a body lasts until the end, so an end would say that it is whole."""
    async with opened(run) as gateway:
        reader, writer = await gateway.tunnel("origin.test", origin.port)
        writer.write(_get("/cut-chunks", origin).replace(b"HTTP/1.1", b"HTTP/1.0"))
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()

    [row] = gateway.rows("request")
    assert (row.verdict, row.received) == ("failed", len("only this"))


async def test_a_denial_says_what_to_change(run: Path, origin: Origin) -> None:
    """403, one line of text, and the rule for programs; the server hears nothing."""
    rules = ("deny POST origin.test/admin/**", "allow origin.test")
    async with opened(run, policy="strict", rules=rules) as gateway:
        request = _get("/x/../admin/users", origin, "Content-Length: 2", method="POST")
        denied = await gateway.ask("origin.test", origin.port, request + b"{}")
        allowed = await gateway.ask("origin.test", origin.port, _get("/admin/users", origin))

    assert _status(denied) == 403
    assert b"\r\nX-Moat-Denied: rule=deny POST origin.test/admin/**\r\n" in denied
    assert denied.partition(b"\r\n\r\n")[2].count(b"\n") == 1
    assert b"moat allow RUN origin.test" in denied
    assert _status(allowed) == 200
    assert len(origin.heads) == 1
    assert [row.verdict for row in gateway.rows("request")] == ["denied", "allowed"]


async def test_a_blank_line_may_come_before_a_connect(run: Path, origin: Origin) -> None:
    """Careless clients leave one over (RFC 9112 2.2)."""
    async with opened(run) as gateway:
        reader, writer = await gateway.connect()
        writer.write(b"\r\nCONNECT origin.test:%d HTTP/1.1\r\nHost: x\r\n\r\n" % origin.port)
        head = await reader.readuntil(b"\r\n\r\n")
        writer.write(_get("/a", origin))
        answer = await reader.read()
        writer.close()

    assert _status(head) == 200
    assert answer.endswith(b"hello from /a")


async def test_a_connect_that_is_not_the_first_is_told_so(run: Path, origin: Origin) -> None:
    """Its client may open another connection."""
    request = _get(f"http://origin.test:{origin.port}/a", origin).replace(b"close", b"keep-alive")
    async with opened(run) as gateway:
        reader, writer = await gateway.connect()
        writer.write(request + b"CONNECT origin.test:%d HTTP/1.1\r\nHost: x\r\n\r\n" % origin.port)
        answer = await reader.read()
        writer.close()

    assert b"HTTP/1.1 400 " in answer
    assert b"CONNECT comes first on its connection" in answer


async def test_a_malformed_connect_is_recorded_with_its_answer(run: Path) -> None:
    """The status that the client saw."""
    async with opened(run) as gateway:
        reader, writer = await gateway.connect()
        writer.write(b"CONNECT evil.test HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = await reader.read()
        writer.close()

    assert _status(answer) == 400
    assert [row.status for row in gateway.rows("refusal")] == [400]


@pytest.mark.parametrize(
    ("sni", "private", "alert"),
    [
        ("evil.test", True, "unrecognized name"),
        (None, True, "unrecognized name"),
        ("origin.test", False, "access denied"),
    ],
)
async def test_tls_that_is_not_passed_through_ends_with_an_alert(
    run: Path, origin: Origin, sni: str | None, private: bool, alert: str
) -> None:
    """Nobody can answer in it, but the client can say why it failed."""
    network = {"passthrough": ("origin.test",), "private": ("127.0.0.0/8",) if private else ()}
    async with opened(run, **network) as gateway:
        context = gateway.trust()
        context.check_hostname = False
        _, writer = await gateway.tunnel("origin.test", origin.port)
        with pytest.raises(ssl.SSLError, match=alert.replace(" ", ".")):
            await writer.start_tls(context, server_hostname=sni)
        writer.close()

    assert len([row for row in gateway.rows() if row.verdict == "denied"]) == 1


@pytest.mark.parametrize("policy", ["permissive", "ask"])
@pytest.mark.parametrize("tls", [False, True])
async def test_a_denied_name_exists_and_is_told_which_rule_denies_it(
    run: Path, policy: str, tls: bool
) -> None:
    """Inside the tunnel, too, where the program shows what it is told; its server is not sought."""
    rules = ("deny s3.test",)
    async with opened(run, policy=policy, rules=rules) as gateway:
        reply = gateway.gateway.answer_dns(question("s3.test"), "udp")
        request = b"GET /x HTTP/1.1\r\nHost: s3.test%b\r\nConnection: close\r\n\r\n"
        port = 443 if tls else 80
        answer = await gateway.ask("s3.test", port, request % b"", tls=tls)

    assert reply is not None
    assert read(reply).answers[0].data == bytes((198, 18, 0, 1))
    assert _status(answer) == 403
    assert b"X-Moat-Denied: rule=deny s3.test\r\n" in answer
    assert f"moat: GET s3.test:{port} denied by rule: deny s3.test.".encode() in answer
    dns, denied = gateway.rows()
    assert (dns.verdict, dns.error) == ("allowed", "")
    assert (denied.kind, denied.verdict, denied.rule) == ("request", "denied", "deny s3.test")
    assert denied.address == ""


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("s3.test", "deny s3.test"),
        ("other.test", "policy: strict"),
        ("not_a-.test", "names of servers"),
    ],
)
async def test_under_strict_the_record_names_what_hides_a_name(
    run: Path, name: str, rule: str
) -> None:
    """The rule that denies it, else the policy; a resolver with EDNS is told the same."""
    async with opened(run, policy="strict", rules=("deny s3.test",)) as gateway:
        reply = gateway.gateway.answer_dns(question(name, more=EDNS), "udp")

    assert reply is not None
    assert read(reply).flags & 0xF == 3
    assert b"moat: " in read(reply).additional[0].data
    [row] = gateway.rows()
    assert (row.kind, row.verdict, row.error) == ("dns", "denied", "NXDOMAIN")
    assert row.rule == rule


async def test_raw_tcp_that_a_rule_denies_is_refused_at_once(run: Path, origin: Origin) -> None:
    """Nobody waits for the first word of a server that is not asked; CONNECT is told why."""
    endpoint = f"origin.test:{origin.port}"
    async with opened(run, tcp=(endpoint,), rules=("deny origin.test",)) as gateway:
        reader, writer = await gateway.connect()
        writer.write(f"CONNECT {endpoint} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        answer = await reader.read()
        writer.close()

    assert _status(answer) == 403
    assert b"rule=deny origin.test\r\n" in answer
    assert origin.connections == 0
    assert [row.rule for row in gateway.rows()] == ["deny origin.test"]


async def test_connect_to_a_host_without_a_rule_is_denied_at_once(run: Path) -> None:
    """Before anything is said inside."""
    async with opened(run, policy="strict") as gateway:
        for target in (b"evil.test:443", b"2130706433:80", b"EVIL.test.:443", b"[::1]:22"):
            reader, writer = await gateway.connect()
            writer.write(b"CONNECT %b HTTP/1.1\r\nHost: x\r\n\r\n" % target)
            answer = await reader.read()
            writer.close()
            assert _status(answer) == 403
            assert b"X-Moat-Denied: rule=policy: strict" in answer

    assert [row.verdict for row in gateway.rows("refusal")] == ["denied"] * 4


@pytest.mark.parametrize(
    "target",
    ["127.0.0.1", "0x7f.1", "169.254.169.254", "10.0.0.1", "[::ffff:10.0.0.1]", "[fd00::1]"],
)
async def test_private_addresses_are_refused(run: Path, target: str) -> None:
    """Also where everything else is allowed."""
    async with opened(run, private=()) as gateway:
        reader, writer = await gateway.connect()
        writer.write(f"CONNECT {target}:80 HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        answer = await reader.read()
        writer.close()

    assert _status(answer) == 403
    assert b"network.private" in answer


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: evil.test\r\n\r\n", 421),
        (b"GET / HTTP/1.1\r\nHost: origin.test\r\n\r\n", 421),  # another port
        (b"GET http://evil.test/ HTTP/1.1\r\nHost: origin.test:%d\r\n\r\n", 421),
        (b"GET / HTTP/1.1\r\nHost: origin.test:%d\r\nHost: evil.test\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"CONNECT evil.test:443 HTTP/1.1\r\nHost: evil.test\r\n\r\n", 405),
        (b"GET /a b HTTP/1.1\r\nHost: origin.test:%d\r\n\r\n", 400),
        (b"GET /#a HTTP/1.1\r\nHost: origin.test:%d\r\n\r\n", 400),
        (SMUGGLED, 400),
        (b"POST / HTTP/1.1\r\nHost: origin.test:%d\r\nTransfer-Encoding: xchunked\r\n\r\n", 501),
        (b"GET / HTTP/1.1\nHost: origin.test:%d\n\n", 400),
        (b"G" * 70_000, 431),
    ],
)  # fmt: skip
async def test_what_does_not_agree_or_is_malformed_goes_nowhere(
    run: Path, origin: Origin, request_: bytes, status: int
) -> None:
    """A status that says so, nothing sent, and a line in the record."""
    async with opened(run) as gateway:
        request = request_.replace(b"%d", str(origin.port).encode())
        reader, writer = await gateway.tunnel("origin.test", origin.port)
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        writer.close()

    assert _status(head) == status
    assert origin.heads == []
    assert [row.verdict for row in gateway.rows()] == ["denied"]


async def test_a_malformed_request_is_found_by_its_first_line(run: Path, origin: Origin) -> None:
    """Through a tunnel and on the proxy's own port; what it hides, the record does not show."""
    async with opened(run) as gateway:
        await gateway.ask(
            "origin.test", origin.port, b"GET /caf\xc3\xa9?token=s3cr3t HTTP/1.1\r\n\r\n"
        )
        reader, writer = await gateway.connect()
        writer.write(b"GET http://origin.test/\xff HTTP/1.1\r\n\r\n")
        await reader.read()
        writer.close()

    first, second = gateway.rows("refusal")
    assert (first.method, first.path) == ("GET", r"/caf\xc3\xa9?token=***")
    assert (second.method, second.url) == ("GET", r"http://origin.test/\xff")
    assert b"s3cr3t" not in _files(run)


async def test_a_malformed_body_ends_the_request(run: Path, origin: Origin) -> None:
    """What follows a bad chunk is never taken for a request."""
    async with opened(run) as gateway:
        head = _get("/echo", origin, "Transfer-Encoding: chunked", method="POST")
        smuggled = b"5\nhello\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: origin.test\r\n\r\n"
        answer = await gateway.ask("origin.test", origin.port, head + smuggled)

    assert _status(answer) == 400
    assert not any(b"smuggled" in each for each in origin.heads)


async def test_the_handshake_must_name_the_same_server(run: Path, tmp_path: Path) -> None:
    """CONNECT to one name and SNI of another: answered, and not by either."""
    with _secure(tmp_path / "ca") as (origin, ca):
        async with opened(run, upstream_ca=ca) as gateway:
            reader, writer = await gateway.tunnel(
                "origin.test", origin.port, tls=True, sni="evil.test"
            )
            writer.write(_get("/", origin))
            answer = await reader.read()
            writer.close()
        assert origin.heads == []

    assert _status(answer) == 421
    assert b"evil.test" in answer


async def test_an_absolute_url_goes_where_it_says(run: Path, origin: Origin) -> None:
    """What proxies are used for where there is no TLS; Host must agree."""
    async with opened(run) as gateway:
        reader, writer = await gateway.connect()
        where = f"origin.test:{origin.port}"
        writer.write(f"GET http://{where}/abs HTTP/1.1\r\nHost: {where}\r\n\r\n".encode())
        head = await reader.readuntil(b"/abs")
        writer.write(f"GET http://{where}/ HTTP/1.1\r\nHost: evil.test\r\n\r\n".encode())
        other = await reader.readuntil(b"\r\n\r\n")
        writer.close()

    assert _status(head) == 200
    assert _status(other) == 400
    assert origin.heads[0].startswith(b"GET /abs HTTP/1.1\r\nHost: origin.test:")


async def test_a_slow_head_is_given_up(run: Path, origin: Origin) -> None:
    """408, and the connection ends."""
    async with opened(run, timeouts=Timeouts(header=0.2)) as gateway:
        answer = await gateway.ask("origin.test", origin.port, b"GET / HTTP/1.1\r\nHost: ")

    assert _status(answer) == 408


async def test_silence_is_given_up(run: Path, origin: Origin) -> None:
    """504 when no byte passes for too long."""
    async with opened(run, timeouts=Timeouts(idle=0.2)) as gateway:
        answer = await gateway.ask("origin.test", origin.port, _get("/wait", origin))
        origin.proceed.set()

    assert _status(answer) == 504


async def test_a_client_that_leaves_is_noticed(run: Path, tmp_path: Path) -> None:
    """The request to the server ends with it."""
    loop = asyncio.get_running_loop()
    with _secure(tmp_path / "ca") as (origin, ca):
        async with opened(run, upstream_ca=ca) as gateway:
            _, writer = await gateway.tunnel("origin.test", origin.port, tls=True)
            writer.write(_get("/wait", origin))
            await loop.run_in_executor(None, origin.waiting.wait, TIMEOUT_S)
            writer.close()
            left = await loop.run_in_executor(None, origin.left.wait, TIMEOUT_S)

    assert left
    [row] = gateway.rows("request")
    assert row.verdict == "failed"


async def test_who_asks_first_waits_for_an_answer(run: Path, origin: Origin) -> None:
    """Under `ask`: an answer lets the request go on, and holds for all later ones."""
    async with opened(run, policy="ask") as gateway:
        decisions = gateway.gateway.decisions
        waits = asyncio.Event()
        decisions.on_pending = waits.set
        asked = asyncio.create_task(gateway.ask("origin.test", origin.port, _get("/held", origin)))
        await waits.wait()
        assert [each.host for each in decisions.pending] == ["origin.test"]
        assert origin.heads == []
        assert decisions.amend(Verdict.ALLOW, "origin.test") == 1
        answer = await asked
        again = await gateway.ask("origin.test", origin.port, _get("/again", origin))

    assert answer.endswith(b"hello from /held")
    assert again.endswith(b"hello from /again")
    assert json.loads((run / "policy.json").read_text()) == ["allow origin.test"]


@pytest.mark.parametrize(("size", "tls"), [(0, False), (40_000, False), (40_000, True)])
async def test_nobody_is_asked_for_a_client_that_gave_up(
    run: Path, origin: Origin, size: int, tls: bool
) -> None:
    """It is noticed at once, also behind a body that is not read yet."""
    async with opened(run, policy="ask") as gateway:
        decisions = gateway.gateway.decisions
        changed = asyncio.Queue[int]()
        decisions.on_pending = lambda: changed.put_nowait(len(decisions.pending))
        _, writer = await gateway.tunnel("origin.test", origin.port, tls=tls)
        head = _get("/held", origin, f"Content-Length: {size + 1}", method="POST")
        writer.write(head + b"x" * size)
        async with asyncio.timeout(TIMEOUT_S):
            assert await changed.get() == 1
            writer.transport.abort()
            assert await changed.get() == 0
        assert decisions.amend(Verdict.ALLOW, "origin.test") == 0

    [row] = gateway.rows("request")
    assert row.verdict == "failed"
    assert origin.heads == []


async def test_who_sends_no_more_is_not_asked_for(run: Path, origin: Origin) -> None:
    """Half a connection looks like none, so it is answered: with what was wrong."""
    async with opened(run, policy="ask") as gateway:
        reader, writer = await gateway.tunnel("origin.test", origin.port)
        writer.write(_get("/held", origin))
        writer.write_eof()
        async with asyncio.timeout(TIMEOUT_S):
            answer = await reader.read()
        writer.close()

    assert _status(answer) == 400
    assert b"stopped sending" in answer


async def test_what_was_asked_about_may_become_a_websocket(run: Path, origin: Origin) -> None:
    """The client is read again once it may go on."""
    async with opened(run, policy="ask") as gateway:
        decisions = gateway.gateway.decisions
        waits = asyncio.Event()
        decisions.on_pending = waits.set
        reader, writer = await gateway.tunnel("origin.test", origin.port)
        upgrade = ("Connection: Upgrade", "Upgrade: echo")
        request = _get("/upgrade", origin, *upgrade)
        writer.write(request)
        await waits.wait()
        decisions.amend(Verdict.ALLOW, "origin.test")
        async with asyncio.timeout(TIMEOUT_S):
            head = await reader.readuntil(b"\r\n\r\n")
            writer.write(b"ping")
            echo = await reader.readexactly(4)
        writer.close()

    assert _status(head) == 101
    assert echo == b"ping"


async def test_no_answer_is_a_no(run: Path, origin: Origin) -> None:
    """After `ask_timeout`."""
    async with opened(run, policy="ask", ask_timeout=0.1) as gateway:
        answer = await gateway.ask("origin.test", origin.port, _get("/held", origin))

    assert _status(answer) == 403
    assert b"nobody answered" in answer
    assert origin.heads == []


async def test_rules_that_were_given_hold_for_the_next_supervisor(
    run: Path, origin: Origin
) -> None:
    """As do names and their addresses."""
    async with opened(run, policy="strict") as gateway:
        gateway.gateway.decisions.amend(Verdict.ALLOW, "origin.test")
    async with opened(run, policy="strict") as gateway:
        answer = await gateway.ask("origin.test", origin.port, _get("/", origin))

    assert _status(answer) == 200


async def test_headers_and_bodies_are_kept_without_secrets(run: Path, origin: Origin) -> None:
    """With `capture: bodies`."""
    async with opened(run, capture="bodies") as gateway:
        lines = ("Authorization: Bearer s3cret", "X-Plain: yes", "Content-Length: 7")
        request = _get("/a?token=s3cret&a=b", origin, *lines, method="PUT")
        await gateway.ask("origin.test", origin.port, request + b'{"a":1}')

    content = _files(run)
    assert b"s3cret" not in content
    assert b"X-Plain" in content
    assert b"s3cret" in origin.heads[0]


_CODINGS = b"br, gzip, deflate, zstd"


@pytest.mark.parametrize(
    ("capture", "asked"),
    [("bodies", b"gzip, deflate"), *((each, _CODINGS) for each in ("headers", "none"))],
)
async def test_bodies_that_are_kept_are_asked_for_in_a_coding_that_is_known(
    run: Path, origin: Origin, capture: str, asked: bytes
) -> None:
    """What came as Brotli was not kept, without a word; all other requests stay as they are."""
    async with opened(run, capture=capture) as gateway:
        line = f"Accept-Encoding: {_CODINGS.decode()}"
        await gateway.ask("origin.test", origin.port, _get("/a", origin, line))

    assert b"\r\nAccept-Encoding: " + asked + b"\r\n" in origin.heads[0]


async def test_a_models_tokens_are_counted(run: Path) -> None:
    """Of a stream of events, compressed, in the shape of Anthropic's API."""
    events = (
        b'event: message_start\ndata: {"type":"message_start","message":{"model":"claude-test",'
        b'"usage":{"input_tokens":25,"output_tokens":1}}}\n\n'
        b'event: message_delta\ndata: {"type":"message_delta","usage":{"output_tokens":15}}\n\n'
    )
    body = gzip.compress(events)
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Encoding: gzip\r\n"
    answers = {"/v1/messages": head + b"Content-Length: %d\r\n\r\n" % len(body) + body}
    with Origin(answers=answers) as origin:
        async with opened(run) as gateway:
            request = _get("/v1/messages", origin, "Content-Length: 2", method="POST")
            answer = await gateway.ask("origin.test", origin.port, request + b"{}")

    assert answer.endswith(body)
    [row] = gateway.rows("request")
    assert row.as_json()["usage"]["model"] == "claude-test"
    assert row.as_json()["usage"]["output_tokens"] == 15


async def test_a_models_answer_that_cannot_be_read_is_counted_as_one(run: Path) -> None:
    """Of the model that was asked: what it took is not known, but that it was asked is."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: br\r\n"
    answers = {"/v1/messages": head + b"Content-Length: 2\r\n\r\n\x0b\x02"}
    with Origin(answers=answers) as origin:
        async with opened(run) as gateway:
            request = _get("/v1/messages", origin, "Content-Length: 19", method="POST")
            await gateway.ask("origin.test", origin.port, request + b'{"model": "claude"}')

    [row] = gateway.rows("request")
    assert row.as_json()["usage"] == {"provider": "anthropic", "model": "claude"}


async def test_a_denial_is_recorded_without_who_says_so(run: Path, origin: Origin) -> None:
    """In the answer it stands, for there nobody could know; whichever way it is given."""
    rules = (f"deny origin.test:{origin.port}/no", "allow origin.test", "deny evil.test")
    async with opened(run, policy="strict", rules=rules) as gateway:
        answer = await gateway.ask("origin.test", origin.port, _get("/no", origin))
        reader, writer = await gateway.connect()
        writer.write(b"CONNECT evil.test:443 HTTP/1.1\r\nHost: x\r\n\r\n")
        refused = await reader.read()
        writer.close()

    for each in (answer, refused):
        assert b"\r\n\r\nmoat: " in each
    denied = [row for row in gateway.rows() if row.verdict == "denied"]
    assert [row.error[:4] for row in denied] == ["GET ", "CONN"]


async def test_what_can_not_be_recorded_does_not_pass(run: Path, origin: Origin) -> None:
    """It fails closed, and says so."""
    known = threading.Event()

    async with opened(run) as gateway:
        record = gateway.gateway.record

        def fail() -> None:
            if not record.healthy:  # it tries again
                known.set()
            raise sqlite3.OperationalError("the disk is full")

        interpose(record, fail)
        record.put(Entry("dns", 0.0))
        await asyncio.to_thread(known.wait)
        answer = await gateway.ask("origin.test", origin.port, _get("/", origin))

    assert _status(answer) == 503
    assert b"the disk is full" in answer
    assert origin.heads == []


async def test_raw_tcp_passes_unread(run: Path, origin: Origin) -> None:
    """Where `network.tcp` opens it: both ways, half-closed by either side, counted."""
    async with opened(run, policy="strict", tcp=(f"origin.test:{origin.port}",)) as gateway:
        reader, writer = await gateway.tunnel("origin.test", origin.port)
        writer.write(b"GET /raw HTTP/1.1\r\nHost: anything\r\n\r\n")
        writer.write_eof()
        answer = await reader.read()
        writer.close()

    assert answer.endswith(b"hello from /raw")
    [row] = gateway.rows("tunnel")
    assert (row.scheme, row.rule, row.verdict) == (
        "tcp",
        f"tcp origin.test:{origin.port}",
        "allowed",
    )
    assert row.address == "127.0.0.1"
    assert row.received == len(answer)


async def test_connections_to_servers_are_bounded(run: Path, origin: Origin) -> None:
    """What waits makes room; when nothing waits, the client is told."""
    async with opened(run) as gateway:
        gateway.gateway._upstreams._limit = 1
        await gateway.ask("origin.test", origin.port, _get("/kept", origin))
        with Origin() as other:
            assert _status(await gateway.ask("origin.test", other.port, _get("/", other))) == 200
            held = asyncio.create_task(gateway.ask("origin.test", other.port, _get("/wait", other)))
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(None, other.waiting.wait, TIMEOUT_S)
            refused = await gateway.ask("origin.test", origin.port, _get("/", origin))
            other.proceed.set()
            assert _status(await held) == 200
        again = await gateway.ask("origin.test", origin.port, _get("/", origin))

    assert _status(refused) == 503
    assert _status(again) == 200


@pytest.mark.parametrize(
    ("accepted", "sent"),
    [
        ("gzip, br, zstd", "gzip"),
        ("br", "identity"),
        ("deflate;q=0.5, gzip", "gzip, deflate"),
        ("", ""),
    ],
)
async def test_a_model_answers_in_a_coding_that_the_client_knows_and_we_can_read(
    run: Path, origin: Origin, accepted: str, sent: str
) -> None:
    """Never in one that the client has not offered; other requests keep theirs."""
    lines = [f"Accept-Encoding: {accepted}"] if accepted else []
    async with opened(run) as gateway:
        for path in ("/v1/messages", "/elsewhere"):
            request = _get(path, origin, *lines, "Content-Length: 0", method="POST")
            await gateway.ask("origin.test", origin.port, request)

    model, other = origin.heads
    assert (f"Accept-Encoding: {sent}\r\n".encode() in model) is bool(sent)
    assert (b"ccept-" in model) is bool(sent)
    assert (f"Accept-Encoding: {accepted}\r\n".encode() in other) is bool(accepted)


async def test_the_record_says_why_a_question_got_no_address(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is refused is denied; what can't be done is failed, whatever the policy is."""
    async with opened(run) as gateway:
        gateway.gateway.answer_dns(question("version.bind", 16, klass=3), "udp")

        def full(_name: str) -> str:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(gateway.gateway._names, "address", full)
        gateway.gateway.answer_dns(question("new.test"), "udp")

    chaos, full_disk = gateway.rows("dns")
    assert (chaos.verdict, chaos.error[:7]) == ("denied", "REFUSED")
    assert (full_disk.verdict, full_disk.rule) == ("failed", "")
    assert "can't be kept" in full_disk.error
