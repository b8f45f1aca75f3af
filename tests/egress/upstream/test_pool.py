"""The pool of connections to servers: which exchange gets which, and how long they wait."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.egress.wires import Wire

from moat.egress.http.interfaces import Destination
from moat.egress.http.messages import RequestHead
from moat.egress.upstream.connector import HTTP1_ONLY, HTTP2_FIRST, ConnectError, ConnectTimes
from moat.egress.upstream.pool import IDLE_LIMIT, IDLE_TIME, ConnectionPool

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from moat.egress.http.h1.client import HTTP1Client

ONE, OTHER = Destination("https", "one.test", 443), Destination("https", "other.test", 443)


class Downstream:
    def __init__(self, protocol: str) -> None:
        self.protocol = protocol


class Exchange:
    """An exchange that waits for a connection."""

    def __init__(self, destination: Destination = ONE, protocol: str = "HTTP/1.1") -> None:
        self.destination = destination
        self.downstream = Downstream(protocol)
        self.request = RequestHead("GET", "/", [])
        self.client: Any = None
        self.times: ConnectTimes | None = None
        self.outcome = ""

    def connected(self, upstream: Any, timing: ConnectTimes | None) -> None:
        self.client, self.times = upstream, timing

    def failed(self, status: int, why: str) -> None:
        self.outcome = f"{status} {why}"

    def deny(self, decision: Any) -> None:
        self.outcome = f"denied: {decision.rule}"


class Connector:
    """Connects to servers that are no further than a wire."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, ...]] = []
        self.error: ConnectError | None = None

    async def connect(
        self, _destination: Destination, alpn: tuple[str, ...], make: Any, *, forward: bool
    ) -> ConnectTimes:
        del forward
        self.asked.append(alpn)
        if self.error is not None:
            raise self.error
        client = make("http/1.1", Dialled())
        client.connection_made(Wire())
        return ConnectTimes(0.1, 0.2)


class Dialled:
    address = "192.0.2.1"
    proxy = None


class Clock:
    """The part of a loop that the pool needs."""

    def __init__(self) -> None:
        self.now = 1000.0

    def time(self) -> float:
        return self.now


class Setting:
    def __init__(self, limit: int = 10) -> None:
        self.connector = Connector()
        self.clock = Clock()
        self.started: list[Coroutine[None, None, None]] = []
        self.pool = ConnectionPool(self.connector, self.clock, self._start, limit)  # type: ignore[arg-type]

    def _start(self, work: Callable[..., Coroutine[None, None, None]], *args: Any) -> None:
        self.started.append(work(*args))

    async def connect(self, exchange: Exchange, *, fresh: bool = False) -> Exchange:
        self.pool.connect(exchange, fresh=fresh)  # type: ignore[arg-type]
        for work in self.started:
            await work
        self.started.clear()
        return exchange

    async def connected(self, destination: Destination = ONE) -> HTTP1Client:
        """Return a new connection that serves an exchange."""
        return (await self.connect(Exchange(destination), fresh=True)).client


@pytest.fixture
async def setting() -> Setting:
    return Setting()


async def test_a_connection_serves_the_next_exchange_of_its_server(setting: Setting) -> None:
    """And none of another server; one that is closed serves nobody."""
    client = await setting.connected()
    client.release()
    other = await setting.connect(Exchange(OTHER))
    assert other.client is not client
    again = await setting.connect(Exchange())
    assert (again.client, again.times) == (client, None)
    client.release()
    client.close()
    assert (await setting.connect(Exchange())).client is not client


async def test_a_connection_that_has_waited_too_long_is_closed(setting: Setting) -> None:
    """By a sweep, which also says whether there is anything left to look after."""
    old, new = await setting.connected(), await setting.connected()
    assert not setting.pool.sweep()
    old.release()
    setting.clock.now += IDLE_TIME
    new.release()
    assert setting.pool.sweep()
    setting.clock.now += 1
    assert setting.pool.sweep()
    assert (old.usable, new.usable) == (False, True)
    old.connection_lost(None)
    setting.pool.close()
    assert not new.usable
    new.connection_lost(None)
    assert not setting.pool.sweep()


async def test_only_so_many_connections_wait() -> None:
    """One more is closed when it is free."""
    setting = Setting(limit=IDLE_LIMIT + 1)
    clients = [await setting.connected() for _ in range(IDLE_LIMIT + 1)]
    for each in clients:
        each.release()
    assert [each.usable for each in clients] == [True] * IDLE_LIMIT + [False]


async def test_one_that_waits_makes_room_for_another_server() -> None:
    """Where none waits, the exchange fails, and nothing is opened."""
    setting = Setting(limit=1)
    client = await setting.connected()
    refused = await setting.connect(Exchange(OTHER))
    assert refused.outcome == "503 1 requests to servers are open: try again later"
    client.release()
    assert (await setting.connect(Exchange(OTHER))).client is not None
    assert not client.usable
    assert len(setting.connector.asked) == 2


async def test_a_server_without_http2_is_asked_once(setting: Setting) -> None:
    """As long as a connection to it is kept; then it may have learned it."""
    first = await setting.connect(Exchange(protocol="HTTP/2"))
    first.client.release()
    second = await setting.connect(Exchange(protocol="HTTP/2"), fresh=True)
    second.client.release()
    assert setting.connector.asked == [HTTP2_FIRST, HTTP1_ONLY]
    for client in (first.client, second.client):
        client.close()
        client.connection_lost(None)
    setting.pool.sweep()
    await setting.connect(Exchange(protocol="HTTP/2"))
    assert setting.connector.asked[-1] == HTTP2_FIRST


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (ConnectError("one.test refused"), "502 one.test refused"),
        (ConnectError("one.test: too slow", 504), "504 one.test: too slow"),
        (ConnectError("10.0.0.1 is private", private=True), "denied: network.private"),
    ],
)
async def test_a_server_that_cant_be_reached_ends_the_exchange(
    error: ConnectError, outcome: str
) -> None:
    """With the reason; and the place of the connection is free again."""
    setting = Setting(limit=1)
    setting.connector.error = error
    assert (await setting.connect(Exchange())).outcome == outcome
    setting.connector.error = None
    assert (await setting.connect(Exchange())).client is not None
