"""The router before real servers, by real connections."""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import TYPE_CHECKING

import pytest
from tests.origin import SSE_EVENTS, Origin

from moat.egress.http.messages import MAX_HEAD
from moat.errors import StoreError
from moat.platform import socket_owner
from moat.router import authority
from moat.runs.states import State
from moat.runs.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractAsyncContextManager

    from tests.router.conftest import Router, Runs

    Routing = Callable[[], AbstractAsyncContextManager[Router]]


@pytest.fixture
def origin() -> Iterator[Origin]:
    with Origin() as made:
        yield made


async def test_each_request_of_a_connection_goes_to_its_own_host(
    runs: Runs, routing: Routing, origin: Origin
) -> None:
    """A browser may use one connection for several names; the next request belongs to no run yet."""
    with Origin(answers={"/": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nother"}) as other:
        runs.add("fix", web=origin.port)
        runs.add("my_run", web=other.port)
        async with routing() as router:
            visit = await router.visit()
            _, _, body = await visit.ask(router.host("web.fix.localhost"))
            assert body == b"hello from /"
            _, _, body = await visit.ask(router.host("web.my-run.localhost"))
            assert body == b"other"
            _, _, body = await visit.ask(router.host("fix.localhost"), "/again")
            assert body == b"hello from /again"
    assert origin.connections == 2  # the last was by another name, and names share no connection
    assert other.connections == 1


async def test_the_server_is_told_by_which_url_it_was_asked(
    runs: Runs, routing: Routing, origin: Origin
) -> None:
    """Its Host is the user's, and nobody else may say who is at the other end."""
    runs.add("fix", web=origin.port)
    async with routing() as router:
        host = router.host("web.fix.localhost")
        visit = await router.visit()
        names = ("X-Forwarded-For", "x_forwarded_for", "X-Forwarded-Port", "Forwarded", "X-Real-IP")
        forged = [f"{name}: 8.8.8.8" for name in names]
        await visit.ask(host, "/", *forged, "Cookie: a=1", "Origin: http://x.test")
    head = origin.heads[0].decode()
    assert f"\r\nHost: {host}\r\n" in head
    assert f"\r\nX-Forwarded-Host: {host}\r\n" in head
    assert "\r\nX-Forwarded-Proto: http\r\n" in head
    assert "\r\nX-Forwarded-For: 127.0.0.1\r\n" in head
    assert "\r\nCookie: a=1\r\nOrigin: http://x.test\r\n" in head
    assert "8.8.8.8" not in head


async def test_names_that_lead_nowhere_are_answered(
    runs: Runs, routing: Routing, origin: Origin
) -> None:
    """The page says why, and the connection goes on."""
    runs.add("fix", web=origin.port)
    gone = runs.add("gone", web=origin.port)
    begins = runs.add("begins")
    runs.update(gone, state=State.STOPPED, ports=())
    runs.update(begins, state=State.STARTING)
    async with routing() as router:
        visit = await router.visit()
        for host, path, status, said in (
            ("web.none.localhost", "/", 404, b"there is no run none"),
            ("db.fix.localhost", "/", 404, b"run fix publishes no port db"),
            ("a.web.fix.localhost", "/", 404, b"is no port of a run"),
            ("web.gone.localhost", "/", 503, b"run gone is stopped: its ports are closed"),
            ("web.begins.localhost", "/", 503, b"run begins is starting"),
            ("localhost", "/", 200, b"http://web.fix.localhost:%d" % router.port),
            ("localhost", "/other", 404, b"there is no such page"),
        ):
            found, fields, body = await visit.ask(router.host(host), path)
            assert (found, said in body) == (status, True), body
            assert fields["content-type"] == "text/html; charset=utf-8"
            assert "content-security-policy" in fields
        found, fields, body = await visit.ask(router.host("localhost"), method="HEAD")
        assert (found, body) == (200, b"")
        assert int(fields["content-length"]) > 100
    assert origin.connections == 0


async def test_a_store_that_can_not_be_read_is_an_answer(
    runs: Runs, routing: Routing, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The index and every name say why, until it can be."""
    runs.add("fix", web=origin.port)
    async with routing() as router:

        def fail(_: Store, *, ended: bool) -> None:
            raise StoreError(f"the index of runs can't be used: {ended}")

        visit = await router.visit()
        with monkeypatch.context() as patched:
            patched.setattr(Store, "all", fail)
            runs.update(runs.store.find("fix").id, viewers=1)
            status, _, body = await visit.ask(router.host("localhost"))
            assert (status, b"the index of runs can" in body) == (503, True)
        assert (await visit.ask(router.host("web.fix.localhost")))[0] == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "[::1]", "localhost.evil.example"])
async def test_another_host_is_misdirected(
    runs: Runs, routing: Routing, origin: Origin, host: str
) -> None:
    """A stranger's name may lead to this machine (DNS rebinding), and its page would read the answer."""
    runs.add("fix", web=origin.port)
    async with routing() as router:
        visit = await router.visit()
        status, _, body = await visit.ask(router.host(host))
        assert status == 421
        assert b"fix" not in body
    assert origin.connections == 0


@pytest.mark.parametrize(
    "request_",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: fix.localhost\r\nHost: a.localhost\r\n\r\n",
        b"GET http://evil.example/ HTTP/1.1\r\nHost: fix.localhost\r\n\r\n",
        b"CONNECT fix.localhost:80 HTTP/1.1\r\nHost: fix.localhost:80\r\n\r\n",
        (
            b"POST / HTTP/1.1\r\nHost: fix.localhost\r\nContent-Length: 1\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        ),
        b"GET / HTTP/1.1\r\nHost: fix.localhost\r\n a: b\r\n\r\n",
        b"GET / HTTP/1.1\nHost: fix.localhost\n\n",
        b"GET / HTTP/1.1\r\nHost: fix.localhost\r\nX: " + b"x" * MAX_HEAD + b"\r\n\r\n",
    ],
)
async def test_a_request_that_could_be_understood_differently_goes_nowhere(
    runs: Runs, routing: Routing, origin: Origin, request_: bytes
) -> None:
    """It ends its connection, with nothing of it sent."""
    runs.add("fix", web=origin.port)
    async with routing() as router:
        visit = await router.visit()
        visit.writer.write(request_)
        answer = await visit.rest()
        assert answer.startswith(b"HTTP/1.1 4")
    assert origin.connections == 0


async def test_a_server_that_does_not_listen_yet(runs: Runs, routing: Routing) -> None:
    """The published port is open, and what came is reset, as the supervisor does it."""
    with socket.create_server(("127.0.0.1", 0)) as port:
        runs.add("fix", web=port.getsockname()[1])
        async with routing() as router:
            visit = await router.visit()
            visit.send(router.host("web.fix.localhost"))
            accepted, _ = await asyncio.to_thread(port.accept)
            accepted.close()
            status, _, body = await visit.answer()
            assert status == 502
            assert b"nothing answers at port 3000 of run fix" in body


@pytest.mark.parametrize("path", ["/two-lengths", "/cut"])
async def test_what_a_server_says_is_not_believed(
    runs: Runs, routing: Routing, origin: Origin, path: str
) -> None:
    """A response whose end is unclear is broken off, and never begins the next one."""
    runs.add("fix", web=origin.port)
    async with routing() as router:
        visit = await router.visit()
        visit.send(router.host("fix.localhost"), path)
        visit.send(router.host("fix.localhost"), "/next")
        answer = await visit.rest() if path == "/cut" else b""
        if path == "/two-lengths":
            status, _, body = await visit.answer()
            assert (status, b"malformed response" in body) == (502, True)
        else:
            assert answer.endswith(b"only this")


async def test_a_servers_endless_head_is_bounded(runs: Runs, routing: Routing) -> None:
    """However it goes on, the visitor has an answer and the router its memory."""
    flood = b"HTTP/1.1 200 OK\r\nX: " + b"x" * (2 * MAX_HEAD)
    with Origin(answers={"/": flood}) as origin:
        runs.add("fix", web=origin.port)
        async with routing() as router:
            visit = await router.visit()
            status, _, body = await visit.ask(router.host("fix.localhost"))
            assert (status, b"the head has more than" in body) == (502, True)


async def test_bodies_and_switches(runs: Runs, routing: Routing, origin: Origin) -> None:
    """Events as they come, chunks, a large upload, 100-continue, another protocol."""
    runs.add("fix", web=origin.port)
    async with routing() as router:
        host = router.host("web.fix.localhost")
        visit = await router.visit()
        body = bytes(3_000_000)
        _, _, said = await visit.ask(host, "/size", method="POST", body=body)
        assert said == b"3000000"
        visit.send(host, "/size", "Content-Length: 2", "Expect: 100-continue", method="POST")
        assert (await visit.head())[0] == 100
        visit.writer.write(b"ok")
        assert await visit.answer() == (200, {"content-length": "1"}, b"2")
        visit.send(host, "/sse", "Connection: close")
        assert (await visit.head())[1]["transfer-encoding"] == "chunked"
        events = (await visit.rest()).split(b"data: ")
        assert len(events) == SSE_EVENTS + 1
        visit = await router.visit()
        visit.send(host, "/upgrade", "Connection: upgrade", "Upgrade: echo")
        assert (await visit.head())[0] == 101
        visit.writer.write(b"ping")
        assert await visit.read(4) == b"ping"
        visit.writer.write_eof()
        assert await visit.rest() == b"goodbye"


async def test_a_server_that_reads_nothing_stops_an_upload(
    runs: Runs, routing: Routing, origin: Origin
) -> None:
    """Its bytes wait at the visitor's, not in the router."""
    runs.add("fix", web=origin.port)
    async with routing() as router:
        visit = await router.visit()
        visit.send(
            router.host("fix.localhost"), "/deaf", f"Content-Length: {1 << 40}", method="POST"
        )
        sent = 0
        while sent < 64 << 20:
            visit.writer.write(bytes(1 << 20))
            try:
                await asyncio.wait_for(visit.writer.drain(), 0.5)
            except TimeoutError:
                break  # nothing was taken for so long
            sent += 1 << 20
        assert sent < 64 << 20


async def test_tls_at_the_same_port(runs: Runs, routing: Routing, origin: Origin) -> None:
    """With a certificate for the name, of an authority that can certify nothing else."""
    runs.add("fix", web=origin.port)
    trusting = ssl.create_default_context(cadata=authority.load(runs.home).certificate_pem.decode())
    async with routing() as router:
        host = router.host("web.fix.localhost")
        visit = await router.visit(ssl=trusting, server_hostname="web.fix.localhost")
        assert (await visit.ask(host))[2] == b"hello from /"
        assert "X-Forwarded-Proto: https" in origin.heads[0].decode()
        for name in ("evil.example", "127.0.0.1"):
            with pytest.raises(ssl.SSLError):
                await router.visit(ssl=trusting, server_hostname=name)
        plain = await router.visit()
        assert (await plain.ask(host))[0] == 200


async def test_another_user_is_refused(
    runs: Runs, routing: Routing, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before a byte is read, and without an answer."""
    runs.add("fix", web=origin.port)
    monkeypatch.setattr(socket_owner, "owner", lambda _: 12345)
    async with routing() as router:
        visit = await router.visit()
        visit.send(router.host("fix.localhost"))
        with pytest.raises(ConnectionResetError):
            await visit.rest()


async def test_an_ended_runs_name_may_be_the_next_runs(runs: Runs, routing: Routing) -> None:
    """Requests follow the store, also on a connection that is there."""
    async with routing() as router:
        visit = await router.visit()
        host = router.host("web.fix.localhost")
        with Origin() as origin:
            first = runs.add("fix", web=origin.port)
            assert (await visit.ask(host))[2] == b"hello from /"
        runs.update(first, state=State.STOPPED, ports=())
        assert (await visit.ask(host))[0] == 503
        runs.store.rename_ended(first, "fix-1")
        assert (await visit.ask(host))[0] == 404
        with Origin(answers={"/": b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnext"}) as origin:
            runs.add("fix", web=origin.port)
            assert (await visit.ask(host))[2] == b"next"
