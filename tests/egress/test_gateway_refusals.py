"""Requests and connections that the gateway refuses, and what clients are told."""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING

import pytest
from tests.egress.dns_messages import question, read
from tests.egress.gateways import TIMEOUT_S, files, get, opened, secure, status_of

from moat.egress.ingress.socks import NOT_ALLOWED, reply
from moat.egress.policy.decision import Verdict

if TYPE_CHECKING:
    from pathlib import Path

    from tests.origin import Origin

    from moat.spec.network import PolicyMode

EDNS = b"\x00\x00\x29\x10\x00\x00\x00\x00\x00\x00\x00"
"""An OPT record: whoever sends it takes one."""
SMUGGLED = (
    b"POST / HTTP/1.1\r\nHost: origin.test:%d\r\nContent-Length: 1\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\n"
)


async def test_a_denial_says_what_to_change(run: Path, origin: Origin) -> None:
    """A denial is a 403 with one line of text and the rule in a field, and the server gets nothing."""
    rules = ("deny POST origin.test/admin/**", "allow origin.test")
    async with opened(run, policy="strict", rules=rules) as gateway:
        request = get("/x/../admin/users", origin, "Content-Length: 2", method="POST")
        denied = await gateway.ask("origin.test", origin.port, request + b"{}")
        allowed = await gateway.ask("origin.test", origin.port, get("/admin/users", origin))

    assert status_of(denied) == 403
    assert b"\r\nX-Moat-Denied: rule=deny POST origin.test/admin/**\r\n" in denied
    assert denied.partition(b"\r\n\r\n")[2].count(b"\n") == 1
    assert b"moat allow RUN origin.test" in denied
    assert status_of(allowed) == 200
    assert len(origin.heads) == 1
    assert [row.verdict for row in gateway.rows("request")] == ["denied", "allowed"]


async def test_a_blank_line_may_come_before_a_connect(run: Path, origin: Origin) -> None:
    """Careless clients send an extra blank line (RFC 9112 2.2)."""
    async with opened(run) as gateway:
        await gateway.open_port(origin.port)
        reader, writer = await gateway.connect()
        writer.write(b"\r\nCONNECT origin.test:%d HTTP/1.1\r\nHost: x\r\n\r\n" % origin.port)
        head = await reader.readuntil(b"\r\n\r\n")
        writer.write(get("/a", origin))
        answer = await reader.read()
        writer.close()

    assert status_of(head) == 200
    assert answer.endswith(b"hello from /a")


@pytest.mark.parametrize("policy", ["permissive", "strict", "ask"])
@pytest.mark.parametrize(
    "url", ["http://origin.test:%d/a", "https://origin.test:%d/a", "http://[2001:db8::1]:%d/a"]
)
async def test_a_request_for_a_port_that_nothing_opens_is_refused(
    run: Path, origin: Origin, policy: PolicyMode, url: str
) -> None:
    """A URL opens no port, as CONNECT doesn't: a 403 at once, a record, and nothing is sent."""
    target = url % origin.port
    host = target.partition("//")[2].partition("/")[0]
    allow = ("origin.test", "2001:db8::1")
    async with opened(run, policy=policy, allow=allow) as gateway:
        reader, writer = await gateway.connect()
        writer.write(f"GET {target} HTTP/1.0\r\nHost: {host}\r\n\r\n".encode())
        answer = await reader.read()
        writer.close()

    assert status_of(answer) == 403
    assert b"\r\nX-Moat-Denied: rule=one way out\r\n" in answer
    assert b"nothing opens port %d" % origin.port in answer
    assert origin.heads == []
    [row] = gateway.rows("request")
    assert (row.verdict, row.status, row.rule) == ("denied", 403, "one way out")


async def test_a_connect_that_is_not_the_first_is_told_so(run: Path, origin: Origin) -> None:
    """A later CONNECT gets an error that tells the client to open another connection."""
    request = get(f"http://origin.test:{origin.port}/a", origin).replace(b"close", b"keep-alive")
    async with opened(run) as gateway:
        await gateway.open_port(origin.port)
        reader, writer = await gateway.connect()
        writer.write(request + b"CONNECT origin.test:%d HTTP/1.1\r\nHost: x\r\n\r\n" % origin.port)
        answer = await reader.read()
        writer.close()

    assert b"HTTP/1.1 400 " in answer
    assert b"CONNECT must be the first request on its connection" in answer


async def test_a_malformed_connect_is_recorded_with_its_answer(run: Path) -> None:
    """A malformed CONNECT is recorded with the status that the client got."""
    async with opened(run) as gateway:
        reader, writer = await gateway.connect()
        writer.write(b"CONNECT evil.test HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = await reader.read()
        writer.close()

    assert status_of(answer) == 400
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
    """TLS that can't be passed through ends with an alert, which the client can show."""
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
    """A denied name has an address, and requests to it are told the rule, even inside a tunnel."""
    rules = ("deny s3.test",)
    async with opened(run, policy=policy, rules=rules) as gateway:
        reply = gateway.gateway.name_server.answer(question("s3.test"), "udp")
        request = b"GET /x HTTP/1.1\r\nHost: s3.test%b\r\nConnection: close\r\n\r\n"
        port = 443 if tls else 80
        answer = await gateway.ask("s3.test", port, request % b"", tls=tls)

    assert reply is not None
    assert read(reply).answers[0].data == bytes((198, 18, 0, 1))
    assert status_of(answer) == 403
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
    """The record and a resolver with EDNS are told which rule hides a name."""
    async with opened(run, policy="strict", rules=("deny s3.test",)) as gateway:
        reply = gateway.gateway.name_server.answer(question(name, more=EDNS), "udp")

    assert reply is not None
    assert read(reply).flags & 0xF == 3
    assert b"moat: " in read(reply).additional[0].data
    [row] = gateway.rows()
    assert (row.kind, row.verdict, row.error) == ("dns", "denied", "NXDOMAIN")
    assert row.rule == rule


async def test_raw_tcp_that_a_rule_denies_is_refused_at_once(run: Path, origin: Origin) -> None:
    """Raw TCP that a rule denies is refused at once, and CONNECT is told why."""
    endpoint = f"origin.test:{origin.port}"
    async with opened(run, tcp=(endpoint,), rules=("deny origin.test",)) as gateway:
        reader, writer = await gateway.connect()
        writer.write(f"CONNECT {endpoint} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        answer = await reader.read()
        writer.close()

    assert status_of(answer) == 403
    assert b"rule=deny origin.test\r\n" in answer
    assert origin.connections == 0
    assert [row.rule for row in gateway.rows()] == ["deny origin.test"]


async def test_connect_to_a_host_without_a_rule_is_denied_at_once(run: Path) -> None:
    """CONNECT to a host without a rule is denied before anything is sent."""
    async with opened(run, policy="strict") as gateway:
        for target in (b"evil.test:443", b"2130706433:80", b"EVIL.test.:443", b"[::1]:22"):
            reader, writer = await gateway.connect()
            writer.write(b"CONNECT %b HTTP/1.1\r\nHost: x\r\n\r\n" % target)
            answer = await reader.read()
            writer.close()
            assert status_of(answer) == 403
            assert b"X-Moat-Denied: rule=policy: strict" in answer

    assert [row.verdict for row in gateway.rows("refusal")] == ["denied"] * 4


@pytest.mark.parametrize("policy", ["permissive", "strict", "ask"])
@pytest.mark.parametrize("way", ["CONNECT", "SOCKS"])
async def test_a_port_that_nothing_opens_is_refused_at_once(
    run: Path, policy: str, way: str
) -> None:
    """A port that nothing opens is refused at once and recorded, even of an allowed host."""
    async with opened(run, policy=policy, rules=("allow allowed.test",)) as gateway:
        reader, writer = await gateway.connect()
        if way == "CONNECT":
            writer.write(b"CONNECT allowed.test:22 HTTP/1.1\r\nHost: x\r\n\r\n")
        else:
            writer.write(b"\x05\x01\x00\x05\x01\x00\x03\x0callowed.test\x00\x16")
        async with asyncio.timeout(TIMEOUT_S):
            answer = await reader.read()
        writer.close()

    if way == "CONNECT":
        assert status_of(answer) == 403
        assert b"\r\nX-Moat-Denied: rule=one way out\r\n" in answer
        assert (
            b"moat allow RUN allowed.test:22, or allow allowed.test:22, in network.rules" in answer
        )
    else:
        assert answer == b"\x05\x00" + reply(NOT_ALLOWED)
    [row] = gateway.rows()
    assert (row.kind, row.verdict, row.rule) == ("refusal", "denied", "one way out")
    assert (row.host, row.port) == ("allowed.test", 22)


async def test_a_port_is_open_as_soon_as_a_rule_opens_it(run: Path, origin: Origin) -> None:
    """The advice of the denial opens the port of a live run."""
    async with opened(run, policy="strict", rules=("allow origin.test",)) as gateway:
        await gateway.gateway.amend(Verdict.ALLOW, f"origin.test:{origin.port}")
        answer = await gateway.ask("origin.test", origin.port, get("/a", origin))

    assert status_of(answer) == 200


@pytest.mark.parametrize(
    "target",
    ["127.0.0.1", "0x7f.1", "169.254.169.254", "10.0.0.1", "[::ffff:10.0.0.1]", "[fd00::1]"],
)
async def test_private_addresses_are_refused(run: Path, target: str) -> None:
    """Private addresses are refused even where everything else is allowed."""
    async with opened(run, private=()) as gateway:
        reader, writer = await gateway.connect()
        writer.write(f"CONNECT {target}:80 HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        answer = await reader.read()
        writer.close()

    assert status_of(answer) == 403
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
    """A mismatched or malformed request gets an error status, isn't sent, and is recorded."""
    async with opened(run) as gateway:
        request = request_.replace(b"%d", str(origin.port).encode())
        reader, writer = await gateway.tunnel("origin.test", origin.port)
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        writer.close()

    assert status_of(head) == status
    assert origin.heads == []
    assert [row.verdict for row in gateway.rows()] == ["denied"]


async def test_a_malformed_request_is_found_by_its_first_line(run: Path, origin: Origin) -> None:
    """A malformed request is recorded with its redacted line, whichever way it came."""
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
    assert b"s3cr3t" not in files(run)


async def test_a_malformed_body_ends_the_request(run: Path, origin: Origin) -> None:
    """Data behind a malformed chunk is never taken for a request."""
    async with opened(run) as gateway:
        head = get("/echo", origin, "Transfer-Encoding: chunked", method="POST")
        smuggled = b"5\nhello\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: origin.test\r\n\r\n"
        answer = await gateway.ask("origin.test", origin.port, head + smuggled)

    assert status_of(answer) == 400
    assert not any(b"smuggled" in each for each in origin.heads)


async def test_the_handshake_must_name_the_same_server(run: Path, tmp_path: Path) -> None:
    """A request behind CONNECT to one name and SNI of another gets a 421."""
    with secure(tmp_path / "ca") as (origin, ca):
        async with opened(run, upstream_ca=ca) as gateway:
            reader, writer = await gateway.tunnel(
                "origin.test", origin.port, tls=True, sni="evil.test"
            )
            writer.write(get("/", origin))
            answer = await reader.read()
            writer.close()
        assert origin.heads == []

    assert status_of(answer) == 421
    assert b"evil.test" in answer
