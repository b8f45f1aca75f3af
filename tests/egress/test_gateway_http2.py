"""The gateway between peers that speak HTTP/2 frame by frame."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from h2.errors import ErrorCodes
from h2.settings import SettingCodes
from hyperframe.frame import ContinuationFrame, GoAwayFrame, HeadersFrame, RstStreamFrame
from tests.egress.gateways import TIMEOUT_S, opened
from tests.egress.http2_peers import Peer, connected, serving
from tests.origin import Origin

from moat.egress.policy.decision import Verdict
from moat.egress.tls.ca import CertificateAuthority

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def authority(tmp_path: Path) -> CertificateAuthority:
    folder = tmp_path / "other"
    folder.mkdir()
    return CertificateAuthority.load_or_create(folder)


@pytest.fixture
def origin(authority: CertificateAuthority) -> Iterator[Origin]:
    """Return an origin that speaks HTTP/1.1."""
    with Origin(authority.context("origin.test", ("http/1.1",))) as started:
        yield started


def _goaway(last: int) -> bytes:
    return GoAwayFrame(last_stream_id=last).serialize()


async def test_what_a_leaving_server_has_taken_is_still_answered(
    run: Path, authority: CertificateAuthority
) -> None:
    """Responses that come with a GOAWAY are relayed, and the next request uses a new connection."""

    async def leaves(peer: Peer) -> None:
        await peer.until(lambda: len(peer.requests) == 2)
        announced = _goaway(3)
        peer.answer(1)
        peer.answer(3)
        peer.writer.write(announced + peer.h2.data_to_send())

    async def serves(peer: Peer) -> None:
        await peer.until(lambda: len(peer.requests) == 1)
        peer.answer(1)
        peer.flush()

    ca = authority.certificate_pem.decode()
    async with serving(authority, leaves, serves) as port, opened(run, upstream_ca=ca) as gateway:
        client = await connected(gateway, port)
        for _ in range(2):
            client.ask("/", port)
        client.flush()
        await client.until(lambda: client.over >= {1, 3})
        client.ask("/", port)
        client.flush()
        await client.until(lambda: 5 in client.over)
        client.writer.close()

    assert client.bodies == {1: b"answer", 3: b"answer", 5: b"answer"}
    assert [row.status for row in gateway.rows("request")] == [200, 200, 200]


async def test_what_a_leaving_server_has_not_looked_at_is_asked_of_another(
    run: Path, authority: CertificateAuthority
) -> None:
    """Requests that a GOAWAY excludes are repeated on another connection (RFC 9113 6.8)."""

    async def leaves(peer: Peer) -> None:
        await peer.until(lambda: len(peer.requests) == 2)
        peer.answer(1)
        peer.writer.write(_goaway(1) + peer.h2.data_to_send())

    async def serves(peer: Peer) -> None:
        await peer.until(lambda: len(peer.requests) == 1)
        peer.answer(1)
        peer.flush()

    ca = authority.certificate_pem.decode()
    async with serving(authority, leaves, serves) as port, opened(run, upstream_ca=ca) as gateway:
        client = await connected(gateway, port)
        for _ in range(2):
            client.ask("/", port)
        client.flush()
        await client.until(lambda: client.over >= {1, 3})
        client.writer.close()

    assert client.statuses == {1: "200", 3: "200"}


async def test_a_leaving_client_still_gets_its_answer(
    run: Path, authority: CertificateAuthority, origin: Origin
) -> None:
    """A client that sends its request and a GOAWAY together gets its response."""
    ca = authority.certificate_pem.decode()
    async with opened(run, upstream_ca=ca) as gateway:
        client = await connected(gateway, origin.port)
        number = client.ask("/a", origin.port)
        client.flush(_goaway(0))
        await client.until(lambda: number in client.over)
        client.writer.close()

    assert client.bodies[number] == b"hello from /a"


@pytest.mark.parametrize(("said", "sent"), [(100, b"short"), (3, b"")])
async def test_a_body_shorter_than_it_says_ends_with_no_trailers(
    run: Path, authority: CertificateAuthority, origin: Origin, said: int, sent: bytes
) -> None:
    """A server would take the next request for the rest of the body, so its connection isn't reused."""
    ca = authority.certificate_pem.decode()
    async with opened(run, upstream_ca=ca) as gateway:
        client = await connected(gateway, origin.port)
        length = ("content-length", str(said))
        number = client.ask("/first", origin.port, length, ends=False)
        client.h2.send_data(number, sent)
        client.h2.send_headers(number, [("x-end", "1")], end_stream=True)
        client.flush()
        await client.until(lambda: number in client.over)
        number = client.ask("/second", origin.port)
        client.flush()
        await client.until(lambda: number in client.over)
        client.writer.close()

    assert client.statuses == {1: "400", 3: "200"}
    assert client.bodies[3] == b"hello from /second"
    assert [row.status for row in gateway.rows("request")] == [400, 200]


@pytest.mark.parametrize("methods", [("GET", "DELETE"), ("DELETE", "GET")])
async def test_each_method_that_a_server_might_take_must_be_allowed(
    run: Path, authority: CertificateAuthority, origin: Origin, methods: tuple[str, str]
) -> None:
    """Servers differ in which of two overriding fields they heed, so both methods must be allowed."""
    ca = authority.certificate_pem.decode()
    rules = (f"deny DELETE origin.test:{origin.port}", f"allow origin.test:{origin.port}")
    async with opened(run, upstream_ca=ca, rules=rules) as gateway:
        client = await connected(gateway, origin.port)
        fields = [("x-http-method-override", method) for method in methods]
        number = client.ask("/a", origin.port, *fields)
        client.flush()
        await client.until(lambda: number in client.over)
        client.writer.close()

    assert client.statuses == {number: "403"}


async def test_requests_that_share_a_connection_are_bounded(
    run: Path, authority: CertificateAuthority
) -> None:
    """A request beyond the limit gets a 503."""
    refused = asyncio.Event()

    async def serves(peer: Peer) -> None:
        await peer.until(lambda: len(peer.requests) == 2)
        await refused.wait()
        for number in peer.requests:
            peer.answer(number)
        peer.flush()

    ca = authority.certificate_pem.decode()
    async with serving(authority, serves) as port, opened(run, upstream_ca=ca) as gateway:
        gateway.gateway._pool._limit = 3
        client = await connected(gateway, port)
        for _ in range(3):
            client.ask("/", port)
        client.flush()
        await client.until(lambda: bool(client.over))
        refused.set()
        await client.until(lambda: client.over == {1, 3, 5})
        client.writer.close()

    assert sorted(client.statuses.values()) == ["200", "200", "503"]


async def test_a_server_hints_only_so_often(run: Path, authority: CertificateAuthority) -> None:
    """Informational heads are limited, because flow control doesn't apply to heads."""

    async def hints(peer: Peer) -> None:
        await peer.until(lambda: len(peer.requests) == 1)
        for _ in range(40):
            peer.h2.send_headers(1, [(":status", "103"), ("link", "</a>")])
        peer.answer(1)
        peer.flush()

    ca = authority.certificate_pem.decode()
    async with serving(authority, hints) as port, opened(run, upstream_ca=ca) as gateway:
        client = await connected(gateway, port)
        client.ask("/", port)
        client.flush()
        await client.until(lambda: 1 in client.over)
        client.writer.close()

    assert client.statuses == {1: "502"}


async def test_a_call_that_fails_at_once_ends_with_its_head(
    run: Path, authority: CertificateAuthority
) -> None:
    """A gRPC "trailers-only" response ends with its head, not one frame later."""

    async def fails(peer: Peer) -> None:
        await peer.until(lambda: len(peer.over) == 1)
        failed = [(":status", "200"), ("content-type", "application/grpc"), ("grpc-status", "9")]
        peer.h2.send_headers(1, failed, end_stream=True)
        peer.flush()
        await peer.until(lambda: len(peer.requests) == 2)
        peer.answer(3)
        peer.flush()

    ca = authority.certificate_pem.decode()
    async with serving(authority, fails) as port, opened(run, upstream_ca=ca) as gateway:
        client = await connected(gateway, port)
        call = client.ask("/pkg.Service/Call", port, ("te", "trailers"), ends=False)
        client.h2.send_data(call, b"\0\0\0\0\0", end_stream=True)
        client.flush()
        await client.until(lambda: call in client.over)
        client.ask("/", port)
        client.flush()
        await client.until(lambda: 3 in client.over)
        client.writer.close()

    assert client.statuses == {1: "200", 3: "200"}
    assert client.ended_by_head == {1}
    assert client.bodies == {3: b"answer"}
    assert [row.verdict for row in gateway.rows("request")] == ["allowed", "allowed"]


async def test_trailers_may_follow_a_length_of_nothing(
    run: Path, authority: CertificateAuthority
) -> None:
    """Trailers, with gRPC's status, may follow a Content-Length of 0."""

    async def serves(peer: Peer) -> None:
        await peer.until(lambda: len(peer.requests) == 1)
        peer.h2.send_headers(1, [(":status", "200"), ("content-length", "0")])
        peer.h2.send_headers(1, [("grpc-status", "5")], end_stream=True)
        peer.flush()

    ca = authority.certificate_pem.decode()
    async with serving(authority, serves) as port, opened(run, upstream_ca=ca) as gateway:
        client = await connected(gateway, port)
        client.ask("/", port)
        client.flush()
        await client.until(lambda: 1 in client.over)
        client.writer.close()

    assert client.trailers == {1: {"grpc-status": "5"}}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/empty", "204"),
        ("GET", "/unchanged", "304"),
        ("GET", "/bytes/0", "200"),
        ("HEAD", "/unchanged", "304"),
        ("HEAD", "/denied", "403"),
    ],
)
async def test_a_response_without_a_body_ends_with_its_head(
    run: Path, authority: CertificateAuthority, origin: Origin, method: str, path: str, status: str
) -> None:
    """A response without a body ends with its head, the server's and the proxy's own."""
    ca = authority.certificate_pem.decode()
    rules = (f"deny origin.test:{origin.port}/denied",)
    async with opened(run, upstream_ca=ca, rules=rules) as gateway:
        client = await connected(gateway, origin.port)
        number = client.ask(path, origin.port, method=method)
        client.flush()
        await client.until(lambda: number in client.over)
        client.writer.close()

    assert client.statuses == {number: status}
    assert client.ended_by_head == {number}


async def test_a_head_that_promises_a_body_and_ends_is_an_error(
    run: Path, authority: CertificateAuthority
) -> None:
    """A head with a length and without a body is an error, whatever its status."""

    async def lies(peer: Peer) -> None:
        await peer.until(lambda: len(peer.requests) == 1)
        peer.h2.send_headers(1, [(":status", "200"), ("content-length", "5")], end_stream=True)
        peer.flush()

    ca = authority.certificate_pem.decode()
    async with serving(authority, lies) as port, opened(run, upstream_ca=ca) as gateway:
        client = await connected(gateway, port)
        client.ask("/", port)
        client.flush()
        await client.until(lambda: 1 in client.over)
        client.writer.close()

    assert client.ended_by_head == set()
    assert [row.verdict for row in gateway.rows("request")] == ["failed"]


async def test_a_malformed_request_is_found_by_its_path(
    run: Path, authority: CertificateAuthority, origin: Origin
) -> None:
    """A request that h2 accepts, but HTTP/1.1 couldn't express, is recorded with its path."""
    ca = authority.certificate_pem.decode()
    async with opened(run, upstream_ca=ca) as gateway:
        client = await connected(gateway, origin.port)
        number = client.ask("/a b?token=s3cr3t", origin.port)
        client.flush()
        await client.until(lambda: number in client.over)
        client.writer.close()

    [row] = gateway.rows("refusal")
    assert client.statuses == {number: "400"}
    assert (row.method, row.path) == ("GET", "/a b?token=***")


TOO_LONG = b"\xff\xff\xf0" + bytes((0xEE, 0)) + bytes(4)
"""The header of a frame that no peer has to take, and that h2 would keep all of."""
ENDLESS = b"".join(
    [HeadersFrame(1, bytes(16384)).serialize()]
    + [ContinuationFrame(1, bytes(16384)).serialize()] * 4
)

ABUSES = [(TOO_LONG, ErrorCodes.FRAME_SIZE_ERROR), (ENDLESS, ErrorCodes.ENHANCE_YOUR_CALM)]


@pytest.mark.parametrize(("abuse", "code"), ABUSES)
async def test_what_a_client_would_have_us_keep_ends_the_connection(
    run: Path, abuse: bytes, code: ErrorCodes
) -> None:
    """A client whose frames would have to be buffered without limit is cut off, told and recorded."""
    async with opened(run) as gateway:
        client = await connected(gateway, 443)
        client.flush(abuse)
        await client.until(lambda: client.farewell is not None)
        client.writer.close()

    assert client.farewell == code
    [row] = gateway.rows("refusal")
    assert "malformed HTTP/2: a " in row.error


@pytest.mark.parametrize(("abuse", "code"), ABUSES)
async def test_what_a_server_would_have_us_keep_fails_the_request(
    run: Path, authority: CertificateAuthority, abuse: bytes, code: ErrorCodes
) -> None:
    """A server whose frames would have to be buffered without limit fails the request."""

    async def abuses(peer: Peer) -> None:
        await peer.until(lambda: len(peer.requests) == 1)
        peer.flush(abuse)
        await peer.until(lambda: peer.farewell is not None)
        assert peer.farewell == code

    ca = authority.certificate_pem.decode()
    async with serving(authority, abuses) as port, opened(run, upstream_ca=ca) as gateway:
        client = await connected(gateway, port)
        client.ask("/", port)
        client.flush()
        await client.until(lambda: 1 in client.over)
        client.writer.close()

    assert client.statuses == {1: "502"}
    [row] = gateway.rows("request")
    assert "malformed HTTP/2: a " in row.error


async def test_a_request_that_is_given_up_at_once_harms_no_other(
    run: Path, authority: CertificateAuthority, origin: Origin
) -> None:
    """A request, its own answer and its reset may come in one read: the answer is dropped."""
    ca = authority.certificate_pem.decode()
    rules = (f"deny origin.test:{origin.port}/secret", f"allow origin.test:{origin.port}")
    async with opened(run, upstream_ca=ca, rules=rules) as gateway:
        client = await connected(gateway, origin.port)
        waits = client.ask("/wait", origin.port)
        client.flush()
        await asyncio.to_thread(origin.waiting.wait, TIMEOUT_S)
        given_up = client.ask("/secret", origin.port)
        client.flush(RstStreamFrame(given_up, 8).serialize())
        origin.proceed.set()
        await client.until(lambda: waits in client.over)
        client.writer.close()

    assert client.bodies == {waits: b"waited"}
    statuses = {row.path: row.status for row in gateway.rows()}
    assert statuses == {"/wait": 200, "/secret": 403}


async def test_what_concerns_the_proxy_alone_goes_no_further(
    run: Path, authority: CertificateAuthority, origin: Origin
) -> None:
    """Proxy credentials and connection settings are not forwarded, as in HTTP/1.1."""
    ca = authority.certificate_pem.decode()
    async with opened(run, upstream_ca=ca) as gateway:
        client = await connected(gateway, origin.port)
        ours = [("proxy-authorization", "Basic cm9vdA=="), ("http2-settings", "AAMAAABk")]
        number = client.ask("/a", origin.port, *ours, ("te", "trailers"), ("x-kept", "1"))
        client.flush()
        await client.until(lambda: number in client.over)
        client.writer.close()

    [head] = origin.heads
    assert head.lower().split(b"\r\n")[2:4] == [b"x-kept: 1", b"te: trailers"]
    assert b"cm9vdA" not in head
    assert b"settings" not in head


async def test_a_request_that_promises_a_body_has_one(
    run: Path, authority: CertificateAuthority, origin: Origin
) -> None:
    """A request with a length and without a body is malformed (RFC 9113 8.1.1)."""
    ca = authority.certificate_pem.decode()
    async with opened(run, upstream_ca=ca) as gateway:
        client = await connected(gateway, origin.port)
        client.ask("/a", origin.port, ("content-length", "5"))
        client.ask("/b", origin.port, ("content-length", "0"))
        client.flush()
        await client.until(lambda: client.over >= {1, 3})
        client.writer.close()

    assert client.statuses == {1: "400", 3: "200"}


@pytest.mark.parametrize(("method", "status"), [("GET", "502"), ("HEAD", "200")])
async def test_a_response_that_promises_a_body_has_one(
    run: Path, authority: CertificateAuthority, method: str, status: str
) -> None:
    """A response with a length and without a body is malformed, except to HEAD."""

    async def promises(peer: Peer) -> None:
        await peer.until(lambda: len(peer.requests) == 1)
        peer.h2.send_headers(1, [(":status", "200"), ("content-length", "5")], end_stream=True)
        peer.flush()

    ca = authority.certificate_pem.decode()
    async with serving(authority, promises) as port, opened(run, upstream_ca=ca) as gateway:
        client = await connected(gateway, port)
        client.ask("/", port, method=method)
        client.flush()
        await client.until(lambda: 1 in client.over)
        client.writer.close()

    assert client.statuses == {1: status}


async def test_moat_alone_says_what_it_has_denied(
    run: Path, authority: CertificateAuthority
) -> None:
    """X-Moat-Denied from a server would look like the proxy's own."""

    async def lies(peer: Peer) -> None:
        await peer.until(lambda: len(peer.requests) == 1)
        peer.answer(1, ("x-moat-denied", "rule=none"), ("proxy-authenticate", "Basic"), ("a", "b"))
        peer.flush()

    ca = authority.certificate_pem.decode()
    async with serving(authority, lies) as port, opened(run, upstream_ca=ca) as gateway:
        client = await connected(gateway, port)
        client.ask("/", port)
        client.flush()
        await client.until(lambda: 1 in client.over)
        client.writer.close()

    assert client.heads == {1: {":status": "200", "a": "b"}}


async def test_a_stream_that_is_denied_meanwhile_is_reset_and_no_other(
    run: Path, authority: CertificateAuthority
) -> None:
    """When the policy changes during two responses, only the denied stream is reset, on either side."""
    taken: list[Peer] = []

    async def serves(peer: Peer) -> None:
        taken.append(peer)
        await peer.until(lambda: len(peer.requests) == 2)
        for number in peer.requests:
            peer.h2.send_headers(number, [(":status", "200")])
            peer.h2.send_data(number, b"first")
        peer.flush()
        await peer.until(lambda: bool(peer.reset))
        peer.h2.end_stream(3)
        peer.flush()

    ca = authority.certificate_pem.decode()
    async with serving(authority, serves) as port, opened(run, upstream_ca=ca) as gateway:
        client = await connected(gateway, port)
        denied = client.ask("/denied", port)
        other = client.ask("/other", port)
        client.flush()
        await client.until(lambda: client.bodies == {denied: b"first", other: b"first"})
        await gateway.gateway.amend(Verdict.DENY, "origin.test/denied")
        await client.until(lambda: client.over == {denied, other})
        client.writer.close()

    assert (taken[0].reset, client.reset) == ({1}, {denied})
    rows = {row.path: row for row in gateway.rows("request")}
    assert (rows["/denied"].verdict, rows["/other"].verdict) == ("denied", "allowed")


async def test_a_body_of_another_length_is_an_error_of_its_stream_alone(
    run: Path, authority: CertificateAuthority, origin: Origin
) -> None:
    """A body of the wrong length fails its stream, not the connection (RFC 9113 8.1.1)."""
    ca = authority.certificate_pem.decode()
    async with opened(run, upstream_ca=ca) as gateway:
        client = await connected(gateway, origin.port)
        waits = client.ask("/wait", origin.port)
        client.flush()
        await asyncio.to_thread(origin.waiting.wait, TIMEOUT_S)
        short = client.ask("/echo", origin.port, ("content-length", "10"), ends=False)
        other = client.ask("/a", origin.port)
        client.flush()
        await client.until(lambda: other in client.over)
        client.h2.send_data(short, b"12345", end_stream=True)
        client.flush()
        await client.until(lambda: short in client.over)
        origin.proceed.set()
        await client.until(lambda: waits in client.over)
        client.writer.close()

    assert client.statuses == {waits: "200", short: "400", other: "200"}


@pytest.mark.parametrize(
    ("said", "body", "trailers"),
    [
        ("10", b"12345", False),
        ("3", b"12345", False),
        ("0", b"12345", False),
        ("10", b"", True),
        ("10", b"12345", True),
    ],
)
async def test_a_body_of_another_length_in_one_piece_with_its_head_fails_alone(
    run: Path,
    authority: CertificateAuthority,
    origin: Origin,
    said: str,
    body: bytes,
    trailers: bool,
) -> None:
    """Head, body and end may come in one read, and still fail the stream and no other."""
    ca = authority.certificate_pem.decode()
    async with opened(run, upstream_ca=ca) as gateway:
        client = await connected(gateway, origin.port)
        waits = client.ask("/wait", origin.port)
        client.flush()
        await asyncio.to_thread(origin.waiting.wait, TIMEOUT_S)
        wrong = client.ask("/echo", origin.port, ("content-length", said), ends=False)
        if body:
            client.h2.send_data(wrong, body, end_stream=not trailers)
        if trailers:
            client.h2.send_headers(wrong, [("x-end", "1")], end_stream=True)
        other = client.ask("/a", origin.port)
        client.flush()
        await client.until(lambda: client.over >= {wrong, other})
        origin.proceed.set()
        await client.until(lambda: waits in client.over)
        client.writer.close()

    assert client.statuses == {waits: "200", wrong: "400", other: "200"}
    rows = {row.path: row for row in gateway.rows("request")}
    assert rows["/echo"].error == "the body is not as long as its Content-Length"


@pytest.mark.parametrize(
    ("method", "status", "said", "body", "trailers"),
    [
        ("GET", "200", "10", b"12345", False),
        ("GET", "200", "3", b"12345", False),
        ("GET", "200", "0", b"12345", False),
        ("GET", "200", "10", b"", True),
        ("HEAD", "200", "10", b"12345", False),
        ("GET", "304", "10", b"12345", False),
        ("GET", "204", "0", b"12345", False),
    ],
)
async def test_a_response_of_another_length_in_one_piece_with_its_head_fails_alone(
    run: Path,
    authority: CertificateAuthority,
    method: str,
    status: str,
    said: str,
    body: bytes,
    trailers: bool,
) -> None:
    """A server's wrong body fails its stream; others on both connections go on."""

    async def lies(peer: Peer) -> None:
        await peer.until(lambda: len(peer.requests) == 2)
        peer.h2.send_headers(1, [(":status", status), ("content-length", said)])
        if body:
            peer.h2.send_data(1, body, end_stream=not trailers)
        if trailers:
            peer.h2.send_headers(1, [("x-end", "1")], end_stream=True)
        peer.h2.send_headers(3, [(":status", "200"), ("content-length", "2")])
        peer.h2.send_data(3, b"ok", end_stream=True)
        peer.flush()

    ca = authority.certificate_pem.decode()
    async with serving(authority, lies) as port, opened(run, upstream_ca=ca) as gateway:
        client = await connected(gateway, port)
        client.ask("/wrong", port, method=method)
        client.ask("/right", port)
        client.flush()
        await client.until(lambda: client.over >= {1, 3})
        client.writer.close()

    assert client.bodies[3] == b"ok"
    rows = {row.path: row for row in gateway.rows("request")}
    assert rows["/right"].verdict == "allowed"
    assert rows["/wrong"].verdict == "failed"
    assert client.bodies.get(1, b"") in {b"", b"12345"[: int(said)]}


async def test_the_users_time_is_not_the_clients(
    run: Path, authority: CertificateAuthority, origin: Origin
) -> None:
    """A request that waits for the user has no timeout of its own."""
    ca = authority.certificate_pem.decode()
    async with opened(run, policy="ask", upstream_ca=ca) as gateway:
        asked = asyncio.Event()
        gateway.gateway.live_policy.on_pending = asked.set
        client = await connected(gateway, origin.port)
        number = client.ask("/a", origin.port)
        client.flush()
        await asked.wait()
        gateway.let_time_pass(10_000)
        await gateway.gateway.amend(Verdict.ALLOW, "origin.test")
        await client.until(lambda: number in client.over)
        client.writer.close()

    assert client.statuses == {number: "200"}


async def test_an_answer_that_nobody_takes_ends_with_the_idle_time(
    run: Path, authority: CertificateAuthority, origin: Origin
) -> None:
    """A complete answer, too, whether a server or the proxy has given it: its stream is reset."""
    ca = authority.certificate_pem.decode()
    rules = (f"deny origin.test:{origin.port}/secret", f"allow origin.test:{origin.port}")
    async with opened(run, upstream_ca=ca, rules=rules) as gateway:
        client = await connected(gateway, origin.port)
        client.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 0})
        asked = {client.ask(path, origin.port) for path in ("/secret", "/a")}
        client.flush()
        await client.until(lambda: client.statuses.keys() >= asked)
        gateway.let_time_pass(10_000)
        await client.until(lambda: client.over >= asked)
        client.writer.close()

    assert client.reset == asked
    assert client.bodies == {}
