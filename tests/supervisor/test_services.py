"""The services of a supervised run: waited for, adopted, watched. Processes stand for containers."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from moat.engines import registry
from moat.engines.services import ServiceEndedError, ServiceState
from moat.errors import EngineError
from moat.runs import service_records
from moat.spec import Readiness, Service
from moat.supervisor import service_probe, teardown

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator, Mapping

    from tests.supervisor.conftest import Machine, Run

CACHE = Service(
    name="cache",
    image="redis:7",
    ports=(6379,),
    env={"TOKEN": "{password}"},
    variables={"URL": "redis://{host}:{port}", "PASSWORD": "{password}"},
    ready=Readiness(protocol="redis"),
)


class Containers:
    """Implements `engines.services.Services` by processes that end when they are told."""

    def __init__(self) -> None:
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.env: dict[str, Mapping[str, str]] = {}
        self.begins = True
        self.out_of_memory = False
        self.silent = False
        self.written = b""
        self.prepared = 0

    def prepare(self, services: Iterable[Service]) -> None:
        self.prepared += 1
        for service in services:
            if service.image == "missing":
                raise EngineError("no image missing", "get it")

    def start(
        self, service: Service, env: Mapping[str, str], files: Mapping[str, str], authority: bytes
    ) -> int:
        assert authority.startswith(b"-----BEGIN")
        del files
        self.env[service.name] = env
        self.written = f"starting\nwith {env['TOKEN']}\x1b[0m\n".encode()
        if not self.begins:
            raise ServiceEndedError("has ended with exit code 1")
        process = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
        self.processes[service.name] = process
        return os.pidfd_open(process.pid)

    def find(self, name: str) -> int | None:
        if self.silent:
            raise EngineError("no answer")
        process = self.processes[name]
        return None if process.poll() is not None else os.pidfd_open(process.pid)

    def ended(self, name: str) -> ServiceState | None:
        if self.silent:
            raise EngineError("no answer")
        process = self.processes[name]
        return ServiceState(process.pid, process.wait(), self.out_of_memory)

    def log(self, name: str, lines: int | None = None) -> bytes:
        del name, lines
        if self.silent:
            raise EngineError("no answer")
        return self.written

    def end(self, name: str) -> None:
        process = self.processes[name]
        assert process.stdin is not None
        process.stdin.close()
        process.wait()


@pytest.fixture(autouse=True)
def containers(monkeypatch: pytest.MonkeyPatch) -> Iterator[Containers]:
    """The containers of the test's runs, of which nobody waits for clients that aren't there."""
    made = Containers()
    monkeypatch.setattr(registry, "services_of", lambda _spec, _folder: made)
    monkeypatch.setattr(teardown, "LINGER_S", 0)
    monkeypatch.setattr(teardown, "FAILURE_LINGER_S", 0)
    monkeypatch.setattr(service_probe, "LONGEST_PAUSE_S", 0.02)
    yield made
    for name in made.processes:
        made.end(name)


@asynccontextmanager
async def redis(machine: Machine, *answers: bytes) -> AsyncIterator[None]:
    """A server in the sandbox that gives these answers, the last one again and again."""
    left = list(answers)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"PING\r\n")
        writer.write(left.pop(0) if len(left) > 1 else left[0])
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    machine.sandbox.servers[6379] = server.sockets[0].getsockname()[1]
    async with server:
        yield


def events(run: Run, kind: str) -> list[dict[str, Any]]:
    return [each for each in run.events if each["event"] == kind]


def changes(run: Run, state: str) -> list[dict[str, Any]]:
    return [each for each in events(run, "service_changed") if each["state"] == state]


PONG = b"+OK\r\n+PONG\r\n"


async def test_the_command_begins_once_its_services_are_ready(
    machine: Machine, containers: Containers
) -> None:
    """It knows where they are and their passwords, which nobody else is told."""
    async with (
        redis(machine, b"", b"-LOADING Redis is loading\r\n", PONG),
        machine.supervised(services=(CACHE,)) as run,
    ):
        password = containers.env["cache"]["TOKEN"]
        assert run.sandbox.variables == {
            "MOAT_CACHE_HOST": "127.0.0.1",
            "MOAT_CACHE_PORT": "6379",
            "MOAT_CACHE_URL": "redis://127.0.0.1:6379",
            "MOAT_CACHE_PASSWORD": password,
        }
        assert len(password) == 32
        kinds = [each for each in run.kinds if each in {"service_changed", "state_changed"}]
        assert kinds == ["state_changed", *2 * ["service_changed"], "state_changed"]
        assert [len(changes(run, state)) for state in ("started", "ready", "ended")] == [1, 1, 0]
        answer = await run.ask("GET", "/v1/run")
        assert [(each["name"], each["running"]) for each in answer["services"]] == [("cache", True)]
        assert password not in str(run.events)


async def test_a_service_that_ends_is_told_once(machine: Machine, containers: Containers) -> None:
    """To viewers, by an event, and by `moat inspect`; a new supervisor adds nothing."""
    async with redis(machine, PONG), machine.supervised(services=(CACHE,)) as run:
        viewer = run.attach(terminal=False)
        containers.out_of_memory = True
        containers.end("cache")
        await run.until(lambda: bool(changes(run, "ended")))
        (ended,) = changes(run, "ended")
        assert (ended["name"], ended["exit_code"]) == ("cache", 0)
        assert "memory was used up" in ended["detail"]
        answer = await run.ask("GET", "/v1/run")
        assert [each["running"] for each in answer["services"]] == [False]
        del viewer
    async with machine.supervised() as run:
        assert len(changes(run, "ended")) == 1


async def test_services_are_adopted(machine: Machine, containers: Containers) -> None:
    """What ended in the meantime is told; who can't be asked says nothing."""
    async with redis(machine, PONG), machine.supervised(services=(CACHE,)) as run:
        password = run.sandbox.variables["MOAT_CACHE_PASSWORD"]
    containers.silent = True
    async with machine.supervised() as run:
        assert changes(run, "ended") == []
    containers.silent = False
    async with machine.supervised() as run:
        assert run.supervisor.services is not None
        assert run.supervisor.services.variables["MOAT_CACHE_PASSWORD"] == password
        answer = await run.ask("GET", "/v1/run")
        assert [each["running"] for each in answer["services"]] == [True]
    containers.end("cache")
    async with machine.supervised() as run:
        assert [each["exit_code"] for each in changes(run, "ended")] == [0]
    assert containers.prepared == 1


async def test_a_run_goes_on_without_its_records(machine: Machine) -> None:
    """What is lost is the passwords, and that is told."""
    async with redis(machine, PONG), machine.supervised(services=(CACHE,)) as run:
        pass
    (machine.store.folder(run.spec.id).root / "services.json").unlink()
    async with machine.supervised() as run:
        assert run.state == "running"
        assert [each["part"] for each in events(run, "fault")] == ["service"]


async def failure(machine: Machine, run: Run) -> str:
    await run.over()
    found = run.supervisor.failure
    assert found is not None
    assert run.state == "failed"
    assert not (machine.store.folder(run.spec.id).root / "services.json").exists()
    return f"{found.summary}\n{found.hint}"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"-ERR\r\n", "service cache (redis:7) is not ready after 0.3 s"),
        (b"-WRONGPASS invalid\r\n", "service cache does not take its password"),
    ],
)
async def test_a_service_that_is_never_ready(machine: Machine, answer: bytes, said: str) -> None:
    """The run fails, with the last lines of the log, harmless and without the password."""
    service = replace(CACHE, ready=Readiness(protocol="redis", timeout=0.3))
    async with redis(machine, answer), machine.supervised(services=(service,)) as run:
        told = await failure(machine, run)
    assert said in told
    if "not ready" in said:
        assert "\n  starting\n  with [password]\\x1b[0m" in told


async def test_a_service_that_ends_at_once(machine: Machine, containers: Containers) -> None:
    """As soon as it was started, or while it is waited for."""
    containers.begins = False
    async with machine.supervised(services=(CACHE,)) as run:
        assert "service cache (redis:7) has ended with exit code 1" in await failure(machine, run)


async def test_a_service_that_ends_while_it_is_waited_for(
    machine: Machine, containers: Containers
) -> None:
    """Nobody waits for its deadline."""
    async with redis(machine, b"-LOADING\r\n"), machine.listening(services=(CACHE,)) as run:
        begin = asyncio.create_task(run.supervisor.begin())
        await run.until(lambda: bool(changes(run, "started")))
        containers.end("cache")
        await begin
        assert "service cache (redis:7) has ended with exit code 0" in await failure(machine, run)


async def test_a_run_that_is_stopped_while_it_waits(machine: Machine) -> None:
    """It can be acted on before its command has begun."""
    async with redis(machine, b"-LOADING\r\n"), machine.listening(services=(CACHE,)) as run:
        begin = asyncio.create_task(run.supervisor.begin())
        await run.until(lambda: bool(changes(run, "started")))
        await run.ask("POST", "/v1/stop")
        await begin
        assert "stopped before its command began" in await failure(machine, run)


async def test_an_image_that_is_not_there(machine: Machine) -> None:
    """Nothing is started."""
    service = Service(name="x", image="missing", ports=(1000,))
    async with machine.supervised(services=(service,)) as run:
        assert "no image missing" in await failure(machine, run)
        assert changes(run, "started") == []


async def test_a_port_that_leads_to_the_proxy(machine: Machine) -> None:
    """A service can't listen there."""
    service = Service(name="x", image="x", ports=(443,))
    async with machine.supervised(services=(service,)) as run:
        assert "port 443 leads to Moat's proxy" in await failure(machine, run)


def test_records_that_are_damaged(machine: Machine) -> None:
    """They are named, and nothing is guessed."""
    folder = machine.store.folder(machine.create(services=(CACHE,)).id)
    service_records.make(folder, (CACHE,))
    service_records.note_end(folder, "cache")
    assert service_records.read(folder).ended == ("cache",)
    (folder.root / "services.json").write_text('{"passwords": 3}')
    with pytest.raises(Exception, match=r"services.json can't be read"):
        service_records.read(folder)


def test_a_socket_that_cannot_be_asked() -> None:
    """The probe is asked again where nobody listens: an unused port of this machine refuses."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        number = sock.getsockname()[1]

    async def dial(_address: str, _port: int) -> int:
        client = socket.socket()
        client.setblocking(False)
        client.connect_ex(("127.0.0.1", number))
        return client.detach()

    async def asked() -> None:
        async with asyncio.timeout(0.1):
            await service_probe.ask(asyncio.get_running_loop(), dial, CACHE, {})

    with pytest.raises(TimeoutError):
        asyncio.run(asked())
