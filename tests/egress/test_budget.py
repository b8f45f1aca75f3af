"""The budget of a run at work in its proxy."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.egress.gateways import TIMEOUT_S, Gateway, get, opened, status_of
from tests.origin import Origin

from moat.egress.budget.spending import MODELS_AT_ONCE
from moat.egress.traffic.reader import TrafficReader
from moat.spec.budget import Budget

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

USAGE = json.dumps({"model": "gpt-5", "usage": {"prompt_tokens": 60, "completion_tokens": 40}})
MODEL = "/v1/chat/completions"
ANSWERS = {
    MODEL: b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
    % (len(USAGE), USAGE.encode())
}


@pytest.fixture
def origin() -> Iterator[Origin]:
    with Origin(answers=ANSWERS) as started:
        yield started


async def ask(gateway: Gateway, origin: Origin, path: str = "/x", method: str = "GET") -> bytes:
    length = () if method == "GET" else ("Content-Length: 0",)
    return await gateway.ask("origin.test", origin.port, get(path, origin, *length, method=method))


def stored(run: Path) -> dict[str, int]:
    with TrafficReader(run / "run.db") as reader:
        return reader.spent()


async def test_requests_beyond_the_limit_reach_no_server(run: Path, origin: Origin) -> None:
    """However many come at once; each is told why, and by which setting."""
    async with opened(run, budget=Budget(requests=3)) as gateway:
        await gateway.open_port(origin.port)
        answers = await asyncio.gather(*(ask(gateway, origin) for _ in range(20)))
    statuses = [status_of(answer) for answer in answers]
    assert (statuses.count(200), statuses.count(403)) == (3, 17)
    denied = next(answer for answer in answers if status_of(answer) == 403)
    assert (
        b"moat: denied: the run's limit of 3 requests is used up. To raise it: moat limit RUN"
        in denied
    )
    assert b"X-Moat-Denied: rule=limits.requests" in denied
    assert len(origin.heads) == 3


async def test_a_new_supervisor_counts_on(run: Path, origin: Origin) -> None:
    """The limits are as they were changed."""
    async with opened(run, budget=Budget(tokens=150)) as gateway:
        assert status_of(await ask(gateway, origin, MODEL, "POST")) == 200
        gateway.gateway.budget.amend({"tokens": 200})
    assert stored(run)["spent_tokens"] == 100
    async with opened(run, budget=Budget(tokens=150)) as gateway:
        assert status_of(await ask(gateway, origin, MODEL, "POST")) == 200
        assert status_of(await ask(gateway, origin, MODEL, "POST")) == 403
        assert status_of(await ask(gateway, origin)) == 403
        assert gateway.gateway.budget.as_json()["spent"] == {
            "requests": 2,
            "bytes_out": 0,
            "tokens": 200,
            "cost": 0.00095,
            "unpriced_tokens": 0,
        }
    assert stored(run)["spent_tokens"] == 200


async def test_an_upload_ends_at_its_limit(run: Path, origin: Origin) -> None:
    """The server gets no byte beyond it, even in chunks without an announced length."""
    async with opened(run, budget=Budget(bytes_out=100_000)) as gateway:
        reader, writer = await gateway.tunnel("origin.test", origin.port)
        request = get("/size", origin, "Transfer-Encoding: chunked", method="POST")
        writer.write(request + b"ea60\r\n" + bytes(60_000) + b"\r\n")
        writer.write(b"ea60\r\n" + bytes(60_000) + b"\r\n0\r\n\r\n")
        async with asyncio.timeout(TIMEOUT_S):
            answer = await reader.read()
        writer.close()
        spent = gateway.gateway.budget.as_json()["spent"]
    assert status_of(answer) == 403
    assert spent["bytes_out"] <= 100_000
    [row] = [row for row in gateway.rows("request") if row.verdict == "denied"]
    assert row.rule == "limits.bytes_out"


async def test_a_body_that_is_too_long_is_not_asked_for(run: Path, origin: Origin) -> None:
    """Its announced length is enough to know; the head counts, too."""
    async with opened(run, budget=Budget(bytes_out=1000)) as gateway:
        request = get("/size", origin, "Content-Length: 990", method="POST") + bytes(990)
        assert status_of(await gateway.ask("origin.test", origin.port, request)) == 403
        request = get("/size", origin, "Content-Length: 500", method="POST") + bytes(500)
        assert status_of(await gateway.ask("origin.test", origin.port, request)) == 200
        spent = gateway.gateway.budget.as_json()["spent"]["bytes_out"]
        assert 500 < spent < 1000
    assert len(origin.heads) == 1


async def test_tunnels_are_counted_and_broken_off(run: Path, origin: Origin) -> None:
    """A tunnel is a request, and all that it sends counts."""
    budget = Budget(requests=2, bytes_out=5000)
    async with opened(run, budget=budget, tcp=(f"origin.test:{origin.port}",)) as gateway:
        reader, writer = await gateway.tunnel("origin.test", origin.port)
        writer.write(get("/x", origin).replace(b"Connection: close\r\n", b""))
        await reader.readuntil(b"hello from /x")
        writer.write(get("/size", origin, "Content-Length: 9000", method="POST") + bytes(9000))
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            async with asyncio.timeout(TIMEOUT_S):
                await reader.readexactly(1)
        writer.close()
        gateway.gateway.budget.amend({"bytes_out": None})
        reader, writer = await gateway.tunnel("origin.test", origin.port)
        writer.write(get("/x", origin))
        await reader.readuntil(b"hello from /x")
        writer.close()
        assert await gateway.ask("origin.test", origin.port, get("/x", origin)) == b""
    rows = gateway.rows("tunnel")
    assert [row.rule for row in rows if row.verdict == "denied"] == ["limits.bytes_out"]
    assert [row.rule for row in gateway.rows("refusal")] == ["limits.requests"]


async def test_a_websocket_is_broken_off(run: Path, origin: Origin) -> None:
    """Bytes that go out after the switch count as well."""
    async with opened(run, budget=Budget(bytes_out=10_000)) as gateway:
        reader, writer = await gateway.tunnel("origin.test", origin.port)
        head = get("/upgrade", origin, "Upgrade: echo").replace(b": close", b": Upgrade")
        writer.write(head)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"ping")
        assert await reader.readexactly(4) == b"ping"
        writer.write(bytes(20_000))
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            async with asyncio.timeout(TIMEOUT_S):
                await reader.readexactly(20_000)
        writer.close()
    [row] = gateway.rows("request")
    assert (row.verdict, row.rule) == ("denied", "limits.bytes_out")


async def test_a_request_waits_for_its_user(run: Path, origin: Origin) -> None:
    """The request goes on when the limit is raised, and nothing of it has reached the server before."""
    async with opened(run, budget=Budget(requests=1, on_limit="ask")) as gateway:
        assert status_of(await ask(gateway, origin)) == 200
        budget = gateway.gateway.budget
        waits = asyncio.get_running_loop().create_future()
        budget.on_waiting = lambda: waits.done() or waits.set_result(None)
        waiting = asyncio.create_task(ask(gateway, origin, "/later"))
        async with asyncio.timeout(TIMEOUT_S):
            await waits
        assert len(origin.heads) == 1
        budget.answer("requests", allow=True)
        assert status_of(await waiting) == 200
    assert b"GET /later" in origin.heads[1]


async def test_few_models_answer_at_once_near_a_limit(run: Path, origin: Origin) -> None:
    """The rest is told to try again, so what can be beyond the limit is bounded."""
    async with opened(run, budget=Budget(tokens=1000)) as gateway:
        charged: list[Any] = [
            gateway.gateway.budget.charge(0, 0, model=True, waits=False)
            for _ in range(MODELS_AT_ONCE)
        ]
        assert charged == [None] * MODELS_AT_ONCE
        assert status_of(await ask(gateway, origin, MODEL, "POST")) == 429
        gateway.gateway.budget.answered(None, "a.test")
        assert status_of(await ask(gateway, origin, MODEL, "POST")) == 200
