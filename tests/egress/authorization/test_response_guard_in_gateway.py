"""Grants at work: a gateway with real TLS on both sides, and a server that checks what it gets."""

from __future__ import annotations

import asyncio
import base64
import gzip
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import brotli
import pytest
from tests.egress.gateways import TIMEOUT_S, Gateway, files, get, opened, secure, status_of
from tests.egress.http2_peers import Peer
from tests.origin import Origin

from moat.egress.authorization.authorizer import CredentialUnavailableError
from moat.egress.authorization.held import HeldCredential
from moat.egress.http.request_body import WHOLE
from moat.egress.tls.ca import CertificateAuthority
from moat.spec import Grant, Injection

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

SECRET = "ghp_TheRealTokenOfTheUser0123456789"
NEW_SECRET = "ghp_ARenewedTokenOfTheUser987654321"
PLACEHOLDER = "ghp_placeholderplaceholderplacehold"


class Vault:
    """The supervisor's part, with credentials that a test sets."""

    def __init__(self, *, renewable: bool = False, at_once: bool = True) -> None:
        self.tokens: dict[str, str] = {"github": SECRET}
        self.renewable = renewable
        self.at_once = at_once
        self.fetched = 0
        self._held: dict[str, HeldCredential] = {}

    def exists(self, grant: Grant) -> bool:
        return grant.name in self.tokens

    def held(self, grant: Grant) -> HeldCredential | None:
        if not self.at_once or grant.name not in self.tokens:
            return None
        return self._held.setdefault(
            grant.name,
            HeldCredential({"token": self.tokens[grant.name]}, renewable=self.renewable),
        )

    async def fetch(self, grant: Grant, rejected: HeldCredential | None) -> HeldCredential:
        self.fetched += 1
        await asyncio.sleep(0)
        if grant.name not in self.tokens:
            raise CredentialUnavailableError("there is no credential github")
        if rejected is not None:
            self.tokens[grant.name] = NEW_SECRET
            self._held.clear()
        return HeldCredential({"token": self.tokens[grant.name]}, renewable=self.renewable)


def github(port: int, **more: object) -> Grant:
    injection = Injection(hosts=("origin.test",), ports=(port,), **more)  # type: ignore[arg-type]
    return Grant(provider="github", injections=(injection,), placeholders={"token": PLACEHOLDER})


class Echoes:
    def __init__(self) -> None:
        self.seen: list[tuple[str, str, int]] = []

    def __call__(self, name: str, host: str, port: int) -> None:
        self.seen.append((name, host, port))


@asynccontextmanager
async def granted(
    run: Path, ca: str, vault: Vault, *grants: Grant, **network: object
) -> AsyncIterator[tuple[Gateway, Echoes]]:
    async with opened(run, upstream_ca=ca, **network) as gateway:
        echoes = Echoes()
        gateway.gateway.grant(grants, vault).on_echo = echoes
        yield gateway, echoes


async def ask(gateway: Gateway, origin: Origin, path: str, *lines: str, **more: str) -> bytes:
    return await gateway.ask(
        "origin.test", origin.port, get(path, origin, *lines, **more), tls=True
    )


def answer(body: bytes, *fields: str) -> bytes:
    head = ["HTTP/1.1 200 OK", f"Content-Length: {len(body)}", *fields]
    return "\r\n".join([*head, "", ""]).encode() + body


@pytest.mark.parametrize("at_once", [True, False])
async def test_the_server_gets_the_secret_and_the_record_the_grants_name(
    run: Path, tmp_path: Path, *, at_once: bool
) -> None:
    """The client's own value goes nowhere, and the secret is not recorded."""
    vault = Vault(at_once=at_once)
    with secure(tmp_path / "ca") as (origin, ca):
        async with granted(run, ca, vault, github(origin.port), capture="bodies") as (gateway, _):
            sent = await ask(gateway, origin, "/a", f"Authorization: Bearer {PLACEHOLDER}")

    assert status_of(sent) == 200
    assert origin.heads[0].count(SECRET.encode()) == 1
    assert PLACEHOLDER.encode() not in origin.heads[0]
    [row] = gateway.rows("request")
    assert row.credential == "github"
    assert SECRET.encode() not in files(run)


@pytest.mark.parametrize("method", ["TRACE", "OPTIONS"])
async def test_a_method_that_sends_the_request_back_gets_no_secret(
    run: Path, tmp_path: Path, method: str
) -> None:
    """TRACE answers with what arrived, and OPTIONS is often answered without a look at it."""
    with secure(tmp_path / "ca") as (origin, ca):
        async with granted(run, ca, Vault(), github(origin.port)) as (gateway, _):
            await ask(gateway, origin, "/a", method=method)
    assert SECRET.encode() not in b"".join(origin.heads)


async def test_a_server_without_tls_gets_no_secret(run: Path) -> None:
    """Nobody has proved there to be the host of that name."""
    with Origin() as origin:
        async with granted(run, "", Vault(), github(origin.port)) as (gateway, _):
            request = get("/a", origin, f"Authorization: Bearer {PLACEHOLDER}")
            sent = await gateway.ask("origin.test", origin.port, request)
    assert status_of(sent) == 200
    assert SECRET.encode() not in b"".join(origin.heads)


async def test_a_revoked_credential_is_refused_at_the_next_request(
    run: Path, tmp_path: Path
) -> None:
    """The client reads what is missing, and nothing is sent."""
    vault = Vault()
    with secure(tmp_path / "ca") as (origin, ca):
        async with granted(run, ca, vault, github(origin.port)) as (gateway, _):
            assert status_of(await ask(gateway, origin, "/a")) == 200
            del vault.tokens["github"]
            sent = await ask(gateway, origin, "/b")
    assert status_of(sent) == 403
    assert sent.endswith(
        b"moat: the credential github can't be used: there is no credential github\n"
    )
    assert len(origin.heads) == 1


async def test_what_is_open_ends_when_its_credential_is_revoked(run: Path, tmp_path: Path) -> None:
    """A WebSocket would go on for ever otherwise."""
    vault = Vault()
    with secure(tmp_path / "ca") as (origin, ca):
        async with granted(run, ca, vault, github(origin.port)) as (gateway, _):
            reader, writer = await gateway.tunnel("origin.test", origin.port, tls=True)
            head = get("/upgrade", origin)
            writer.write(
                head.replace(b"Connection: close", b"Connection: upgrade\r\nUpgrade: echo")
            )
            async with asyncio.timeout(TIMEOUT_S):
                assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
                gateway.gateway.connections.reconsider()
                writer.write(b"still here")
                assert await reader.readexactly(10) == b"still here"
                del vault.tokens["github"]
                gateway.gateway.connections.reconsider()
                with suppress(ConnectionError):
                    assert await reader.read() == b""
            writer.close()
    [row] = gateway.rows("request")
    assert (row.verdict, row.error) == ("denied", "the credential github was revoked")


@pytest.mark.parametrize(
    "body",
    [SECRET.encode(), base64.b64encode(f"x:{SECRET}".encode()), SECRET.encode().hex().encode()],
    ids=["plain", "base64", "hex"],
)
async def test_a_secret_that_comes_back_is_masked_and_reported(
    run: Path, tmp_path: Path, body: bytes
) -> None:
    """In the head and in the body; the rest of the response stays as it was."""
    authority = CertificateAuthority.load_or_create(tmp_path)
    told = answer(b"<" + body + b">", f"X-Sent: {SECRET}", f"Location: /next?token={SECRET}")
    context = authority.context("origin.test", ("http/1.1",))
    with Origin(context, {"/echoing": told}) as origin:
        ca = authority.certificate_pem.decode()
        async with granted(run, ca, Vault(), github(origin.port), capture="bodies") as (
            gateway,
            echoes,
        ):
            sent = await ask(gateway, origin, "/echoing")
    assert body not in sent
    assert SECRET.encode() not in sent
    received = sent.partition(b"\r\n\r\n")[2]
    assert len(received) == len(body) + 2
    assert b"*" * 32 in received
    assert echoes.seen == [("github", "origin.test", origin.port)]
    [row] = gateway.rows("request")
    assert row.error == "the server sent the credential github back, which was masked"
    assert SECRET.encode() not in files(run)


@pytest.mark.parametrize(
    ("coding", "encode"), [("gzip", gzip.compress), ("br", brotli.compress)], ids=["gzip", "br"]
)
async def test_a_coded_response_with_a_secret_is_broken_off(
    run: Path, tmp_path: Path, coding: str, encode: type
) -> None:
    """What has arrived by then can't be decoded to the secret."""
    authority = CertificateAuthority.load_or_create(tmp_path)
    body = encode(b"you sent " + SECRET.encode())
    context = authority.context("origin.test", ("http/1.1",))
    with Origin(context, {"/coded": answer(body, f"Content-Encoding: {coding}")}) as origin:
        ca = authority.certificate_pem.decode()
        async with granted(run, ca, Vault(), github(origin.port)) as (gateway, echoes):
            sent = await ask(gateway, origin, "/coded")
    assert sent.partition(b"\r\n\r\n")[2] == b""
    assert echoes.seen == [("github", "origin.test", origin.port)]
    [row] = gateway.rows("request")
    assert row.verdict == "failed"


async def test_a_server_is_asked_for_codings_that_can_be_searched(
    run: Path, tmp_path: Path
) -> None:
    """Another coding that comes all the same isn't passed on."""
    authority = CertificateAuthority.load_or_create(tmp_path)
    context = authority.context("origin.test", ("http/1.1",))
    told = answer(b"whatever", "Content-Encoding: zstd")
    with Origin(context, {"/coded": told}) as origin:
        ca = authority.certificate_pem.decode()
        async with granted(run, ca, Vault(), github(origin.port)) as (gateway, _):
            await ask(gateway, origin, "/a", "Accept-Encoding: zstd, gzip;q=0.5, br")
            sent = await ask(gateway, origin, "/coded")
    assert b"Accept-Encoding: gzip;q=0.5, br\r\n" in origin.heads[0]
    assert status_of(sent) == 502
    assert b"'zstd'" in sent


async def test_an_echoing_protocol_behind_an_upgrade_is_masked(run: Path, tmp_path: Path) -> None:
    """A WebSocket's server may echo what its handshake had."""
    with secure(tmp_path / "ca") as (origin, ca):
        async with granted(run, ca, Vault(), github(origin.port)) as (gateway, echoes):
            reader, writer = await gateway.tunnel("origin.test", origin.port, tls=True)
            head = get("/upgrade", origin).replace(
                b"Connection: close", b"Connection: upgrade\r\nUpgrade: echo"
            )
            writer.write(head)
            async with asyncio.timeout(TIMEOUT_S):
                assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
                # The test plays the server that knows it: the origin echoes what it is told.
                for piece in (b"hi", SECRET[:9].encode(), SECRET[9:].encode(), b"bye"):
                    writer.write(piece)
                echoed = await reader.readexactly(len(SECRET) + 5)
            writer.close()
    assert SECRET.encode() not in echoed
    assert echoed.endswith(b"bye")
    assert echoes.seen


@pytest.mark.parametrize("body", [b"", b"the body, sent twice"], ids=["none", "body"])
async def test_a_refused_credential_is_renewed_and_the_request_repeated(
    run: Path, tmp_path: Path, body: bytes
) -> None:
    """The client sees the second answer alone; a second refusal it sees as it is."""
    vault = Vault(renewable=True)
    heads: list[bytes] = []
    bodies: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        heads.append(head)
        bodies.append(await reader.readexactly(len(body)))
        good = NEW_SECRET.encode() in head and b"/never" not in head
        status = b"200 OK" if good else b"401 Unauthorized"
        writer.write(b"HTTP/1.1 %b\r\nContent-Length: 2\r\n\r\nok" % status)
        await writer.drain()
        writer.close()

    authority = CertificateAuthority.load_or_create(tmp_path)
    context = authority.context("origin.test", ("http/1.1",))
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    async with granted(run, authority.certificate_pem.decode(), vault, github(port)) as (gw, _):
        for path, status in (("/a", 200), ("/never", 401)):
            request = (
                f"POST {path} HTTP/1.1\r\nHost: origin.test:{port}\r\nConnection: close\r\n"
                f"Content-Length: {len(body)}\r\n\r\n"
            ).encode()
            sent = await gw.ask("origin.test", port, request + body, tls=True)
            assert status_of(sent) == status
    server.close()
    assert len(heads) == 4
    assert bodies == [body] * 4
    assert [row.status for row in gw.rows("request")] == [200, 401]


@pytest.mark.parametrize("renewable", [True, False])
async def test_every_stream_of_http2_gets_the_secret(
    run: Path, tmp_path: Path, *, renewable: bool
) -> None:
    """The client's connection may be of either version."""
    with secure(tmp_path / "ca") as (origin, ca):
        vault = Vault(renewable=renewable)
        async with granted(run, ca, vault, github(origin.port)) as (gateway, _):
            reader, writer = await gateway.tunnel("origin.test", origin.port, tls=True, alpn="h2")
            peer = Peer(reader, writer, client=True)
            placed = ("authorization", f"Bearer {PLACEHOLDER}")
            numbers = [peer.ask(path, origin.port, placed) for path in ("/a", "/b")]
            peer.flush()
            async with asyncio.timeout(TIMEOUT_S):
                await peer.until(lambda: peer.over >= set(numbers))
            writer.close()
    assert [peer.statuses[number] for number in numbers] == ["200", "200"]
    assert all(SECRET.encode() in head for head in origin.heads)


@pytest.mark.parametrize("protocol", ["HTTP/1.1", "HTTP/2"])
@pytest.mark.parametrize(
    ("kind", "body", "expected"),
    [
        (
            "application/json",
            b'{"key": "%b", "n": 1}',
            rb'{"key": "a\"secret+ of/another length", "n": 1}',
        ),
        (
            "application/x-www-form-urlencoded",
            b"grant_type=x&secret=%b",
            b"grant_type=x&secret=a%22secret%2B%20of%2Fanother%20length",
        ),
    ],
    ids=["json", "form"],
)
async def test_a_secret_comes_into_a_body_of_another_length(
    run: Path, tmp_path: Path, protocol: str, kind: str, body: bytes, expected: bytes
) -> None:
    """It is escaped as the body's format wants it, and the head announces the new length."""
    vault = Vault()
    vault.tokens["github"] = 'a"secret+ of/another length'
    bodies: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        bodies.append(await reader.readexactly(length))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        await writer.drain()
        writer.close()

    authority = CertificateAuthority.load_or_create(tmp_path)
    context = authority.context("origin.test", ("http/1.1",))
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    grant = github(port, kind="body", replace=True)
    sent = body % PLACEHOLDER.encode()
    async with granted(run, authority.certificate_pem.decode(), vault, grant) as (gateway, _):
        if protocol == "HTTP/1.1":
            head = (
                f"POST /a HTTP/1.1\r\nHost: origin.test:{port}\r\nContent-Type: {kind}\r\n"
                "Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
            )
            chunks = b"".join(b"%x\r\n%b\r\n" % (1, sent[at : at + 1]) for at in range(len(sent)))
            request = head.encode() + chunks + b"0\r\n\r\n"
            assert status_of(await gateway.ask("origin.test", port, request, tls=True)) == 200
        else:
            reader, writer = await gateway.tunnel("origin.test", port, tls=True, alpn="h2")
            peer = Peer(reader, writer, client=True)
            number = peer.h2.get_next_available_stream_id()
            names = {":method": "POST", ":scheme": "https", ":authority": f"origin.test:{port}"}
            peer.h2.send_headers(number, [*names.items(), (":path", "/a"), ("content-type", kind)])
            peer.h2.send_data(number, sent, end_stream=True)
            peer.flush()
            async with asyncio.timeout(TIMEOUT_S):
                await peer.until(lambda: number in peer.over)
            writer.close()
    server.close()
    assert bodies == [expected]


async def test_a_body_gets_its_secret_after_a_request_without_one(
    run: Path, tmp_path: Path
) -> None:
    """What was decided for a request without a body isn't what its twin with a body needs."""
    bodies: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = head.partition(b"content-length: ")[2].partition(b"\r\n")[0]
        bodies.append(await reader.readexactly(int(length or 0)))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
        await writer.drain()
        writer.close()

    authority = CertificateAuthority.load_or_create(tmp_path)
    context = authority.context("origin.test", ("http/1.1",))
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    grant = github(port, kind="body", replace=True)
    head = f"POST /a HTTP/1.1\r\nHost: origin.test:{port}\r\nConnection: close\r\n"
    async with granted(run, authority.certificate_pem.decode(), Vault(), grant) as (gateway, _):
        for body in (b"", PLACEHOLDER.encode()):
            request = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
            assert status_of(await gateway.ask("origin.test", port, request, tls=True)) == 200
    server.close()
    assert bodies == [b"", SECRET.encode()]


async def test_a_body_that_is_needed_whole_has_a_limit(run: Path, tmp_path: Path) -> None:
    """A client can't fill the supervisor's memory."""
    with secure(tmp_path / "ca") as (origin, ca):
        grant = github(origin.port, kind="body", replace=True)
        async with granted(run, ca, Vault(), grant) as (gateway, _):
            size = WHOLE + 1
            head = get("/size", origin, f"Content-Length: {size}", method="POST")
            sent = await gateway.ask("origin.test", origin.port, head + bytes(size), tls=True)
    assert status_of(sent) == 413
    assert origin.heads == []
