"""The gateway between real clients and a real server: what passes, and what is recorded."""

from __future__ import annotations

import asyncio
import errno
import gzip
import json
import sqlite3
import threading
import time
from typing import TYPE_CHECKING

import pytest
from tests.egress.databases import interpose
from tests.egress.dns_messages import question
from tests.egress.gateways import TIMEOUT_S, files, get, opened, secure, status_of
from tests.origin import SSE_EVENTS, Origin

from moat.egress.policy.decision import Verdict
from moat.egress.traffic.entry import TrafficEntry
from moat.spec.network import Timeouts

if TYPE_CHECKING:
    from pathlib import Path


async def test_a_request_passes_and_is_written_down(run: Path, origin: Origin) -> None:
    """A request is recorded with method, URL, status, rule, times and bytes."""
    async with opened(run) as gateway:
        answer = await gateway.ask("origin.test", origin.port, get("/a?b=c", origin))

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
    """The client trusts the run's authority, and the proxy the server's."""
    with secure(tmp_path / "ca") as (origin, ca):
        async with opened(run, upstream_ca=ca) as gateway:
            request = get("/secret", origin)
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
    """A server with a wrong certificate gets nothing, and the client is told what is wrong."""
    with secure(tmp_path / "ca", name) as (origin, ca):
        async with opened(run, upstream_ca=ca if trusted else "") as gateway:
            answer = await gateway.ask("origin.test", origin.port, get("/", origin), tls=True)
        assert origin.heads == []

    assert status_of(answer) == 502
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
    """Chunks and trailers, bodies without a length, none, malformed and large ones are relayed."""
    async with opened(run) as gateway:
        answer = await gateway.ask("origin.test", origin.port, get(path, origin))

    assert status_of(answer) == status
    if body is not None:
        assert answer.partition(b"\r\n\r\n")[2] == body


async def test_head_has_the_length_and_no_body(run: Path, origin: Origin) -> None:
    """A response to HEAD has a length and no body, and the connection goes on (RFC 9110 9.3.2)."""
    async with opened(run) as gateway:
        reader, writer = await gateway.tunnel("origin.test", origin.port)
        writer.write(
            get("/unchanged", origin, method="HEAD").replace(b"Connection: close\r\n", b"")
        )
        head = await reader.readuntil(b"\r\n\r\n")
        writer.write(get("/after", origin))
        rest = await reader.read()
        writer.close()

    assert b"Content-Length: 5" in head
    assert rest.endswith(b"hello from /after")


async def test_hints_come_before_the_answer(run: Path, origin: Origin) -> None:
    """103 Early Hints (RFC 8297) are relayed, but not to a client of HTTP/1.0."""
    async with opened(run) as gateway:
        answer = await gateway.ask("origin.test", origin.port, get("/hints", origin))
        old = get("/hints", origin).replace(b"HTTP/1.1", b"HTTP/1.0")
        plain = await gateway.ask("origin.test", origin.port, old)

    assert answer.startswith(
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\nHTTP/1.1 200"
    )
    assert plain.startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_is_sent_as_it_came(run: Path, origin: Origin, chunked: bool) -> None:
    """A body keeps its framing, and waits for the server's `100 Continue`."""
    async with opened(run) as gateway:
        reader, writer = await gateway.tunnel("origin.test", origin.port)
        framing = "Transfer-Encoding: chunked" if chunked else "Content-Length: 11"
        writer.write(get("/echo", origin, framing, "Expect: 100-continue", method="POST"))
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
    """Of eight megabytes, never more than some hundred kilobytes are buffered."""
    size = 8 << 20
    async with opened(run) as gateway:
        reader, writer = await gateway.tunnel("origin.test", origin.port)
        writer.write(get("/size", origin, f"Content-Length: {size}", method="PUT"))
        for _ in range(size >> 16):
            writer.write(bytes(1 << 16))
            await writer.drain()
        answer = await reader.read()
        writer.close()

    assert answer.endswith(str(size).encode())


async def test_an_early_answer_reaches_a_client_that_still_sends(run: Path, origin: Origin) -> None:
    """The client gets a 413 that comes before the end of its body, and the rest is discarded."""
    async with opened(run) as gateway:
        reader, writer = await gateway.tunnel("origin.test", origin.port)
        request = get("/early", origin, "Content-Length: 300000", method="POST")
        writer.write(request.replace(b"Connection: close\r\n", b"") + bytes(1000))
        head = await reader.readuntil(b"\r\n\r\n")
        assert await reader.readexactly(3) == b"no\n"
        writer.write(bytes(299_000))
        writer.write(get("/next", origin))
        rest = await reader.read()
        writer.close()

    assert status_of(head) == 413
    assert rest.endswith(b"hello from /next")


async def test_events_come_one_by_one(run: Path, origin: Origin) -> None:
    """A stream of events is relayed to its end."""
    async with opened(run) as gateway:
        answer = await gateway.ask("origin.test", origin.port, get("/sse", origin))

    assert answer.count(b"data: ") == SSE_EVENTS


async def test_another_protocol_follows_an_upgrade(run: Path, origin: Origin) -> None:
    """After an upgrade, bytes pass in both directions and are counted."""
    async with opened(run) as gateway:
        reader, writer = await gateway.tunnel("origin.test", origin.port)
        request = get("/upgrade", origin, "Upgrade: echo")
        writer.write(request.replace(b"Connection: close", b"Connection: Upgrade"))
        head = await reader.readuntil(b"\r\n\r\n")
        writer.write(b"ping")
        pong = await reader.readexactly(4)
        writer.write_eof()
        goodbye = await reader.read()
        writer.close()

    assert status_of(head) == 101
    assert (pong, goodbye) == (b"ping", b"goodbye")
    [row] = gateway.rows("request")
    assert (row.status, row.protocol, row.sent, row.received) == (101, "websocket", 4, 11)


@pytest.mark.parametrize("early", [b"", b"hello"])
@pytest.mark.parametrize("finished", [True, False])
async def test_an_upgraded_connection_loses_nothing(
    run: Path, origin: Origin, early: bytes, finished: bool
) -> None:
    """Neither early data of the client nor the server's last words to a half-closed client are lost."""
    async with opened(run) as gateway, asyncio.timeout(TIMEOUT_S):
        reader, writer = await gateway.tunnel("origin.test", origin.port)
        request = get("/upgrade", origin, "Upgrade: echo")
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

    assert status_of(head) == 101
    assert rest == early + b"goodbye"


async def test_requests_sent_ahead_are_answered_in_order(run: Path, origin: Origin) -> None:
    """Pipelined requests are answered in order, over one connection to the server (RFC 9112 9.3.2)."""
    async with opened(run) as gateway:
        ahead = b"".join(
            get(f"/{number}", origin).replace(b"Connection: close\r\n", b"") for number in range(20)
        )
        answer = await gateway.ask("origin.test", origin.port, ahead + get("/last", origin))

    assert [part.split(b"HTTP/1.1")[0] for part in answer.split(b"hello from /")[1:]] == [
        *(str(number).encode() for number in range(20)),
        b"last",
    ]
    assert origin.connections == 1


async def test_half_a_connection_is_enough_for_an_answer(run: Path, origin: Origin) -> None:
    """A client that closes only its side, as netcat does, still gets its response."""
    async with opened(run) as gateway:
        reader, writer = await gateway.tunnel("origin.test", origin.port)
        writer.write(get("/half", origin).replace(b"Connection: close\r\n", b""))
        writer.write_eof()
        answer = await reader.read()
        writer.close()

    assert answer.endswith(b"hello from /half")


async def test_a_connection_serves_again_and_a_stale_one_is_replaced(
    run: Path, tmp_path: Path
) -> None:
    """Idle connections are reused; if one turns out to be closed, a GET is repeated."""
    async with opened(run, rules=()) as gateway:
        with Origin() as origin:
            port = origin.port
            for number in range(3):
                await gateway.ask("origin.test", port, get(f"/{number}", origin))
            assert origin.connections == 1
        answer = await gateway.ask("origin.test", port, get("/", origin))

    assert status_of(answer) == 502
    assert [row.status for row in gateway.rows("request")] == [200, 200, 200, 502]


async def test_an_answer_that_is_cut_off_looks_so(run: Path, origin: Origin) -> None:
    """A truncated response stays shorter than announced, and the record says why."""
    async with opened(run) as gateway:
        answer = await gateway.ask("origin.test", origin.port, get("/cut", origin))

    assert answer.endswith(b"only this")
    [row] = gateway.rows("request")
    assert row.verdict == "failed"
    assert "closed the connection early" in row.error


async def test_an_answer_without_a_length_is_cut_off_by_a_reset(run: Path, origin: Origin) -> None:
    """To a client of HTTP/1.0 a normal end of the connection would mean a complete body."""
    async with opened(run) as gateway:
        reader, writer = await gateway.tunnel("origin.test", origin.port)
        writer.write(get("/cut-chunks", origin).replace(b"HTTP/1.1", b"HTTP/1.0"))
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()

    [row] = gateway.rows("request")
    assert (row.verdict, row.received) == ("failed", len("only this"))


async def test_an_absolute_url_goes_where_it_says(run: Path, origin: Origin) -> None:
    """A request in absolute-form goes where its URL says, if its Host agrees."""
    async with opened(run) as gateway:
        await gateway.open_port(origin.port)
        reader, writer = await gateway.connect()
        where = f"origin.test:{origin.port}"
        writer.write(f"GET http://{where}/abs HTTP/1.1\r\nHost: {where}\r\n\r\n".encode())
        head = await reader.readuntil(b"/abs")
        writer.write(f"GET http://{where}/ HTTP/1.1\r\nHost: evil.test\r\n\r\n".encode())
        other = await reader.readuntil(b"\r\n\r\n")
        writer.close()

    assert status_of(head) == 200
    assert status_of(other) == 400
    assert origin.heads[0].startswith(b"GET /abs HTTP/1.1\r\nHost: origin.test:")


async def test_a_slow_head_is_given_up(run: Path, origin: Origin) -> None:
    """A slow head gets a 408 and the end of the connection."""
    async with opened(run, timeouts=Timeouts(header=0.2)) as gateway:
        answer = await gateway.ask("origin.test", origin.port, b"GET / HTTP/1.1\r\nHost: ")

    assert status_of(answer) == 408


async def test_an_event_stream_lives_for_as_long_as_it_says_something(run: Path) -> None:
    """Hours of events, each just in time, are one exchange and one row of the record."""
    streams: asyncio.Queue[asyncio.StreamWriter] = asyncio.Queue()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        await streams.put(writer)

    now = time.monotonic()
    async with await asyncio.start_server(accept, "127.0.0.1") as server, opened(run) as gateway:
        gateway.gateway.services.clock = lambda: now
        port = server.sockets[0].getsockname()[1]
        reader, writer = await gateway.tunnel("origin.test", port)
        writer.write(b"GET /events HTTP/1.1\r\nHost: origin.test:%d\r\n\r\n" % port)
        await reader.readuntil(b"\r\n\r\n")
        events = await streams.get()
        for _ in range(500):
            now += Timeouts().idle - 1
            gateway.gateway.connections.check(now)
            events.write(b"data: x\n\n")
            await reader.readuntil(b"data: x\n\n")
        events.close()
        await reader.readuntil(b"0\r\n\r\n")
        writer.close()

    [row] = gateway.rows("request")
    assert (row.verdict, row.error, row.received) == ("allowed", "", 500 * len(b"data: x\n\n"))


async def test_silence_is_given_up(run: Path, origin: Origin) -> None:
    """A request gets a 504 when no byte passes for too long."""
    async with opened(run, timeouts=Timeouts(idle=0.2)) as gateway:
        answer = await gateway.ask("origin.test", origin.port, get("/wait", origin))
        origin.proceed.set()

    assert status_of(answer) == 504


async def test_a_client_that_leaves_is_noticed(run: Path, tmp_path: Path) -> None:
    """The request to the server ends when its client leaves."""
    loop = asyncio.get_running_loop()
    with secure(tmp_path / "ca") as (origin, ca):
        async with opened(run, upstream_ca=ca) as gateway:
            _, writer = await gateway.tunnel("origin.test", origin.port, tls=True)
            writer.write(get("/wait", origin))
            await loop.run_in_executor(None, origin.waiting.wait, TIMEOUT_S)
            writer.close()
            left = await loop.run_in_executor(None, origin.left.wait, TIMEOUT_S)

    assert left
    [row] = gateway.rows("request")
    assert row.verdict == "failed"


async def test_who_asks_first_waits_for_an_answer(run: Path, origin: Origin) -> None:
    """Under `ask`, the user's answer lets a waiting request go on, and holds for later ones."""
    async with opened(run, policy="ask", rules=(f"allow opened.test:{origin.port}",)) as gateway:
        decisions = gateway.gateway.live_policy
        waits = asyncio.Event()
        decisions.on_pending = waits.set
        asked = asyncio.create_task(gateway.ask("origin.test", origin.port, get("/held", origin)))
        await waits.wait()
        assert [each.host for each in decisions.pending] == ["origin.test"]
        assert origin.heads == []
        assert decisions.amend(Verdict.ALLOW, "origin.test") == 1
        answer = await asked
        again = await gateway.ask("origin.test", origin.port, get("/again", origin))

    assert answer.endswith(b"hello from /held")
    assert again.endswith(b"hello from /again")
    assert json.loads((run / "policy.json").read_text()) == ["allow origin.test"]


async def test_the_users_time_is_not_the_clients(run: Path, origin: Origin) -> None:
    """A request that waits for the user has no timeout of its own."""
    async with opened(run, policy="ask") as gateway:
        asked = asyncio.Event()
        gateway.gateway.live_policy.on_pending = asked.set
        answer = asyncio.create_task(gateway.ask("origin.test", origin.port, get("/a", origin)))
        await asked.wait()
        gateway.let_time_pass(10_000)
        await gateway.gateway.amend(Verdict.ALLOW, "origin.test")
        assert status_of(await answer) == 200


@pytest.mark.parametrize(("size", "tls"), [(0, False), (40_000, False), (40_000, True)])
async def test_nobody_is_asked_for_a_client_that_gave_up(
    run: Path, origin: Origin, size: int, tls: bool
) -> None:
    """A client that leaves is noticed at once, even behind a body that isn't read yet."""
    async with opened(run, policy="ask") as gateway:
        decisions = gateway.gateway.live_policy
        changed = asyncio.Queue[int]()
        decisions.on_pending = lambda: changed.put_nowait(len(decisions.pending))
        _, writer = await gateway.tunnel("origin.test", origin.port, tls=tls)
        head = get("/held", origin, f"Content-Length: {size + 1}", method="POST")
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
    """A half-closed client looks like one that left, so its request is answered with an error."""
    async with opened(run, policy="ask") as gateway:
        reader, writer = await gateway.tunnel("origin.test", origin.port)
        writer.write(get("/held", origin))
        writer.write_eof()
        async with asyncio.timeout(TIMEOUT_S):
            answer = await reader.read()
        writer.close()

    assert status_of(answer) == 400
    assert b"stopped sending" in answer


async def test_what_was_asked_about_may_become_a_websocket(run: Path, origin: Origin) -> None:
    """A client that waited for the user is read again after an upgrade."""
    async with opened(run, policy="ask") as gateway:
        decisions = gateway.gateway.live_policy
        waits = asyncio.Event()
        decisions.on_pending = waits.set
        reader, writer = await gateway.tunnel("origin.test", origin.port)
        upgrade = ("Connection: Upgrade", "Upgrade: echo")
        request = get("/upgrade", origin, *upgrade)
        writer.write(request)
        await waits.wait()
        decisions.amend(Verdict.ALLOW, "origin.test")
        async with asyncio.timeout(TIMEOUT_S):
            head = await reader.readuntil(b"\r\n\r\n")
            writer.write(b"ping")
            echo = await reader.readexactly(4)
        writer.close()

    assert status_of(head) == 101
    assert echo == b"ping"


async def test_no_answer_is_a_no(run: Path, origin: Origin) -> None:
    """A question without an answer is a denial after `ask_timeout`."""
    async with opened(run, policy="ask", ask_timeout=0.1) as gateway:
        answer = await gateway.ask("origin.test", origin.port, get("/held", origin))

    assert status_of(answer) == 403
    assert b"nobody answered" in answer
    assert origin.heads == []


async def test_rules_that_were_given_hold_for_the_next_supervisor(
    run: Path, origin: Origin
) -> None:
    """Rules that the user added hold for the next supervisor, and so do addresses of names."""
    async with opened(run, policy="strict") as gateway:
        gateway.gateway.live_policy.amend(Verdict.ALLOW, "origin.test")
    async with opened(run, policy="strict") as gateway:
        answer = await gateway.ask("origin.test", origin.port, get("/", origin))

    assert status_of(answer) == 200


async def test_headers_and_bodies_are_kept_without_secrets(run: Path, origin: Origin) -> None:
    """With `capture: bodies`, headers and bodies are recorded without secrets."""
    async with opened(run, capture="bodies") as gateway:
        lines = ("Authorization: Bearer s3cret", "X-Plain: yes", "Content-Length: 7")
        request = get("/a?token=s3cret&a=b", origin, *lines, method="PUT")
        await gateway.ask("origin.test", origin.port, request + b'{"a":1}')

    content = files(run)
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
    """Bodies to be recorded are requested in codings that can be decoded."""
    async with opened(run, capture=capture) as gateway:
        line = f"Accept-Encoding: {_CODINGS.decode()}"
        await gateway.ask("origin.test", origin.port, get("/a", origin, line))

    assert b"\r\nAccept-Encoding: " + asked + b"\r\n" in origin.heads[0]


async def test_a_models_tokens_are_counted(run: Path) -> None:
    """Tokens are counted in a compressed stream of events, in the shape of Anthropic's API."""
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
            request = get("/v1/messages", origin, "Content-Length: 2", method="POST")
            answer = await gateway.ask("origin.test", origin.port, request + b"{}")

    assert answer.endswith(body)
    [row] = gateway.rows("request")
    assert row.as_json()["usage"]["model"] == "claude-test"
    assert row.as_json()["usage"]["output_tokens"] == 15


async def test_a_models_answer_that_cannot_be_read_is_counted_as_one(run: Path) -> None:
    """A response that can't be decoded still counts as a request of the requested model."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: br\r\n"
    answers = {"/v1/messages": head + b"Content-Length: 2\r\n\r\n\x0b\x02"}
    with Origin(answers=answers) as origin:
        async with opened(run) as gateway:
            request = get("/v1/messages", origin, "Content-Length: 19", method="POST")
            await gateway.ask("origin.test", origin.port, request + b'{"model": "claude"}')

    [row] = gateway.rows("request")
    usage = row.as_json()["usage"]
    assert usage == {"provider": "anthropic", "model": "claude", "estimated_tokens": 19 // 4}


async def test_a_denial_is_recorded_without_who_says_so(run: Path, origin: Origin) -> None:
    """A response says that Moat denies, which the record needn't."""
    rules = (f"deny origin.test:{origin.port}/no", "allow origin.test", "deny evil.test")
    async with opened(run, policy="strict", rules=rules) as gateway:
        answer = await gateway.ask("origin.test", origin.port, get("/no", origin))
        reader, writer = await gateway.connect()
        writer.write(b"CONNECT evil.test:443 HTTP/1.1\r\nHost: x\r\n\r\n")
        refused = await reader.read()
        writer.close()

    for each in (answer, refused):
        assert b"\r\n\r\nmoat: " in each
    denied = [row for row in gateway.rows() if row.verdict == "denied"]
    assert [row.error[:4] for row in denied] == ["GET ", "CONN"]


async def test_what_can_not_be_recorded_does_not_pass(run: Path, origin: Origin) -> None:
    """Nothing passes while nothing can be recorded, and the response says why."""
    known = threading.Event()

    async with opened(run) as gateway:
        record = gateway.gateway.traffic

        def fail() -> None:
            if not record.healthy:  # it tries again
                known.set()
            raise sqlite3.OperationalError("the disk is full")

        interpose(record, fail)
        record.put(TrafficEntry("dns", 0.0))
        await asyncio.to_thread(known.wait)
        answer = await gateway.ask("origin.test", origin.port, get("/", origin))

    assert status_of(answer) == 503
    assert b"the disk is full" in answer
    assert origin.heads == []


async def test_raw_tcp_passes_unread(run: Path, origin: Origin) -> None:
    """Raw TCP that `network.tcp` opens passes both ways, half-closed by either side, and is counted."""
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
    """An idle connection makes room for another; if there is none, the client gets a 503."""
    async with opened(run) as gateway:
        gateway.gateway._pool._limit = 1
        await gateway.ask("origin.test", origin.port, get("/kept", origin))
        with Origin() as other:
            assert status_of(await gateway.ask("origin.test", other.port, get("/", other))) == 200
            held = asyncio.create_task(gateway.ask("origin.test", other.port, get("/wait", other)))
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(None, other.waiting.wait, TIMEOUT_S)
            refused = await gateway.ask("origin.test", origin.port, get("/", origin))
            other.proceed.set()
            assert status_of(await held) == 200
        again = await gateway.ask("origin.test", origin.port, get("/", origin))

    assert status_of(refused) == 503
    assert status_of(again) == 200


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
    """A model is asked for a coding that the client offers and the proxy can decode."""
    lines = [f"Accept-Encoding: {accepted}"] if accepted else []
    async with opened(run) as gateway:
        for path in ("/v1/messages", "/elsewhere"):
            request = get(path, origin, *lines, "Content-Length: 0", method="POST")
            await gateway.ask("origin.test", origin.port, request)

    model, other = origin.heads
    assert (f"Accept-Encoding: {sent}\r\n".encode() in model) is bool(sent)
    assert (b"ccept-" in model) is bool(sent)
    assert (f"Accept-Encoding: {accepted}\r\n".encode() in other) is bool(accepted)


async def test_the_record_says_why_a_question_got_no_address(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refused question is recorded as denied, and one that can't be answered as failed."""
    async with opened(run) as gateway:
        gateway.gateway.name_server.answer(question("version.bind", 16, klass=3), "udp")

        def full(_name: str) -> str:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(gateway.gateway._addresses, "address", full)
        gateway.gateway.name_server.answer(question("new.test"), "udp")

    chaos, full_disk = gateway.rows("dns")
    assert (chaos.verdict, chaos.error[:7]) == ("denied", "REFUSED")
    assert (full_disk.verdict, full_disk.rule) == ("failed", "")
    assert "can't be kept" in full_disk.error
