"""Dialling through the host's own proxy: a real one (tinyproxy), and some that misbehave.

tinyproxy has a file of hosts of its own: `origin.test` is a name that only it can resolve.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager, closing
from ipaddress import ip_address
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from tests.egress.dialling import Names, SomePolicy, greeting, refused, self_signed, server
from tests.egress.dialling import tinyproxy as running

from moat.egress.upstream import dialer
from moat.egress.upstream.dialer import Dialer
from moat.spec.network import Network, Timeouts

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    Speaks = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

CONSENT = b"HTTP/1.1 200 Connection established\r\n\r\n"


def through(url: str, policy: SomePolicy | None = None, **settings: object) -> Dialer:
    fixed = policy or SomePolicy()
    timeouts = Timeouts(connect=float(str(settings.pop("timeout", 10.0))))
    network = Network(upstream_proxy=url, timeouts=timeouts, **settings)
    return Dialer(network, lambda: fixed)


@pytest.fixture
async def tinyproxy(tmp_path: Path) -> AsyncIterator[str]:
    """Address and port of a proxy that wants `me:secret`."""
    async with running(tmp_path) as place:
        yield place


@asynccontextmanager
async def proxy(speaks: Speaks, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A proxy that reads the CONNECT and then does what the test wants; yields its port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with closing(writer):
            await speaks(reader, writer)

    listening = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield listening.sockets[0].getsockname()[1]
    finally:
        listening.close()


def answering(answer: bytes, heads: list[bytes] | None = None) -> Speaks:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if heads is not None:
            heads.append(head)
        writer.write(answer)
        await writer.drain()

    return speak


class TestTinyproxy:
    async def test_a_name_that_only_the_proxy_knows(self, tinyproxy: str, names: Names) -> None:
        """The name's address can't be checked here, but the host's own lookup was tried."""
        async with server() as port:
            dialled = await through(f"http://me:secret@{tinyproxy}").dial("origin.test", port)
            assert dialled.address == tinyproxy.partition(":")[0]
            assert dialled.dns >= 0
            assert await greeting(dialled) == "127.0.0.1"
        assert names.asked == ["origin.test"]

    @pytest.mark.parametrize("login", ["", "me:wrong@"])
    async def test_without_its_password_the_user_is_told_what_to_do(
        self, login: str, tinyproxy: str, names: Names
    ) -> None:
        """The error quotes the proxy's status line, and never the password."""
        error = await refused(through(f"http://{login}{tinyproxy}"), "origin.test")
        assert error.kind == "proxy"
        assert "wrong" not in str(error)
        assert f"origin.test:443: the proxy http://{tinyproxy} answered 40" in str(error)

    async def test_a_server_that_the_proxy_does_not_reach(
        self, tinyproxy: str, names: Names
    ) -> None:
        """The error quotes the proxy's status line."""
        subject = through(f"http://me:secret@{tinyproxy}")
        error = await refused(subject, "origin.test", 1)
        assert error.kind == "proxy"
        assert str(error).endswith("answered 500 Unable to connect")
        assert error.connect >= 0


class TestCheck:
    async def test_a_name_that_is_private_here_is_refused(self, names: Names) -> None:
        """The proxy could reach the address, too, and is not asked."""
        heads: list[bytes] = []
        names.answers["intranet.test"] = [("10.0.0.5",)]
        async with proxy(answering(CONSENT, heads)) as port:
            error = await refused(through(f"http://127.0.0.1:{port}"), "intranet.test")
        assert error.kind == "private"
        assert not heads

    @pytest.mark.parametrize("host", ["10.0.0.5", "169.254.169.254", "db.test", "127.0.0.1"])
    async def test_private_addresses_are_refused(self, host: str, names: Names) -> None:
        """A loopback address, literal or from `hosts`, means this machine, not the proxy's."""
        heads: list[bytes] = []
        policy = SomePolicy((), db="10.0.0.6")
        async with proxy(answering(CONSENT, heads)) as port:
            error = await refused(through(f"http://127.0.0.1:{port}", policy), host)
        assert error.kind == "private"
        assert not heads
        assert not names.asked

    @pytest.mark.parametrize(
        ("host", "target"),
        [
            ("api.test", b"api.test:80"),
            ("8.8.8.8", b"8.8.8.8:80"),
            ("2001:4860:4860::8888", b"[2001:4860:4860::8888]:80"),
            ("::ffff:8.8.8.8", b"8.8.8.8:80"),
            ("db.test", b"8.8.4.4:80"),
        ],
    )
    async def test_the_proxy_is_asked_for_what_was_checked(
        self, host: str, target: bytes, names: Names
    ) -> None:
        """The proxy gets the name if it must resolve it; other protocols use CONNECT on any port."""
        heads: list[bytes] = []
        names.answers["api.test"] = [("8.8.8.8",)]
        async with proxy(answering(CONSENT, heads)) as port:
            url = f"http://127.0.0.1:{port}"
            dialled = await through(url, SomePolicy(db="8.8.4.4")).dial(host, 80)
            dialled.sock.close()
        assert heads == [b"CONNECT %b HTTP/1.1\r\nHost: %b\r\n\r\n" % (target, target)]

    async def test_exceptions_are_dialled_directly(self, names: Names) -> None:
        """The address is checked as without a proxy."""
        names.answers["near.test"] = [("127.0.0.1",)]
        async with server() as port:
            subject = through("http://127.0.0.1:1", no_upstream_proxy="near.test")
            assert await greeting(await subject.dial("near.test", port)) == "127.0.0.1"

    async def test_a_mute_name_server_holds_nothing_up(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Behind a proxy, the host's name servers may be unreachable."""
        go_on = asyncio.Event()
        loop = asyncio.get_running_loop()

        def wait(*_: object, **__: object) -> list[object]:
            asyncio.run_coroutine_threadsafe(go_on.wait(), loop).result(120)
            return []

        monkeypatch.setattr(socket, "getaddrinfo", wait)
        monkeypatch.setattr(dialer, "BESIDE_PROXY_S", 0.02)
        async with proxy(answering(CONSENT)) as port:
            dialled = await through(f"http://127.0.0.1:{port}").dial("api.test", 443)
            dialled.sock.close()
        go_on.set()


class TestProxy:
    async def test_it_may_be_a_name_with_a_private_address(self, names: Names) -> None:
        """The user's own setting names the proxy; the policy is about the servers behind it."""
        names.answers["proxy.test"] = [("127.0.0.1",)]
        names.answers["api.test"] = [("8.8.8.8",)]
        async with proxy(answering(CONSENT)) as port:
            subject = through(f"http://proxy.test:{port}", SomePolicy(()))
            dialled = await subject.dial("api.test", 443)
            dialled.sock.close()

    async def test_what_comes_with_its_answer_is_the_tunnels(self, names: Names) -> None:
        """The server's first bytes are complete, in one packet with the answer or not."""

        async def slowly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            for byte in CONSENT[:-1]:
                writer.write(bytes((byte,)))
                await writer.drain()
            writer.write(CONSENT[-1:] + b"hello\r\n\r\n\n")
            await writer.drain()

        for speak in (answering(CONSENT + b"hello\r\n\r\n\n"), slowly):
            async with proxy(speak) as port:
                dialled = await through(f"http://127.0.0.1:{port}").dial("api.test", 22)
                reader, writer = await asyncio.open_connection(sock=dialled.sock)
                assert await reader.read() == b"hello\r\n\r\n\n"
                writer.close()
                await writer.wait_closed()

    @pytest.mark.parametrize(
        ("answer", "text"),
        [
            (b"", "closed the connection"),
            (b"HTTP/1.1 200 ", "closed the connection"),
            (b"HTTP/1.1 403 Forbidden\x1b[2J by policy\r\n\r\n", "answered what is not HTTP"),
            (b"HTTP/1.1 403 Forbidden by policy\r\n\r\n", "answered 403 Forbidden by policy"),
            (b"SSH-2.0-OpenSSH\r\n\r\n", "answered what is not HTTP"),
            (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000, "answered what is not HTTP"),
        ],
    )
    async def test_what_is_no_consent_is_told(self, answer: bytes, text: str, names: Names) -> None:
        """The error is printable, and no tunnel is begun."""
        async with proxy(answering(answer)) as port:
            error = await refused(through(f"http://127.0.0.1:{port}"), "api.test")
        assert error.kind == "proxy"
        assert text in str(error)

    async def test_silence_ends_in_time(self, names: Names) -> None:
        """The limit for connecting holds for all steps together."""

        async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
            await reader.read()

        async with proxy(silent) as port:
            error = await refused(through(f"http://127.0.0.1:{port}", timeout=0.1), "8.8.8.8")
        assert error.kind == "timeout"

    async def test_one_that_is_not_there_is_told(self, names: Names) -> None:
        """The error has the proxy's address without the password."""
        error = await refused(through("http://me:secret@127.0.0.1:1"), "api.test")
        assert error.kind == "proxy"
        assert str(error) == (
            "api.test:443: the proxy http://127.0.0.1:1 can't be reached: connection refused"
        )
        error = await refused(through("http://proxy.test:1"), "api.test")
        assert "proxy.test:1 can't be reached: name or service not known" in str(error)


def relay_to(place: str) -> Speaks:
    """A TLS front for a proxy that has no TLS itself."""

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection(*place.split(":"))
        await asyncio.gather(copy(reader, inner_writer), copy(inner_reader, writer))

    return speak


class TestTLS:
    """A proxy with an https:// URL: TLS to the proxy, with the tunnel inside."""

    @pytest.fixture
    def server_side(self, tmp_path: Path) -> tuple[ssl.SSLContext, str]:
        return self_signed(tmp_path, x509.IPAddress(ip_address("127.0.0.1")))

    async def test_a_tunnel_inside_tls(
        self, tinyproxy: str, names: Names, server_side: tuple[ssl.SSLContext, str]
    ) -> None:
        """The same exchange with the same proxy, and a socket like any other for the caller."""
        context, trusted = server_side
        async with server() as port, proxy(relay_to(tinyproxy), context) as front:
            subject = through(f"https://me:secret@127.0.0.1:{front}", upstream_ca=trusted)
            dialled = await subject.dial("origin.test", port)
            assert dialled.address == "127.0.0.1"
            assert await greeting(dialled) == "127.0.0.1"

    async def test_a_proxy_with_a_strange_certificate_is_told_nothing(
        self, names: Names, server_side: tuple[ssl.SSLContext, str]
    ) -> None:
        """The password in particular is not sent."""
        heads: list[bytes] = []
        context, _ = server_side
        async with proxy(answering(CONSENT, heads), context) as port:
            error = await refused(through(f"https://me:secret@127.0.0.1:{port}"), "api.test")
        assert error.kind == "proxy"
        assert "can't be reached over TLS" in str(error)
        assert not heads

    async def test_a_proxy_without_tls_is_told(self, names: Names) -> None:
        """https:// was written for http://, and the proxy takes the handshake for a bad request."""

        async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(1)
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            await writer.drain()

        async with proxy(plain) as port:
            error = await refused(through(f"https://127.0.0.1:{port}"), "api.test")
        assert error.kind == "proxy"
        assert "can't be reached over TLS" in str(error)
