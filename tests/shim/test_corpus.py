"""Earlier conversations between supervisors and shims, which today's must still understand."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import platform
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.shim.supervising import Supervising, further

from moat.engines.engine import CommandRefusedError, SessionState
from moat.engines.under_shim import seccomp, shim_client
from moat.platform import sockets
from moat.shim import protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

Line = dict[str, Any]
CORPUS = Path(__file__).with_name("corpus")


def conversations(kind: str, versions: str = "*") -> list[Any]:
    paths = sorted(CORPUS.glob(f"v{versions}/{kind}-*.jsonl"))
    return [pytest.param(path, id=f"{path.parent.name}-{path.stem}") for path in paths]


# A launch is between a supervisor and a shim of the same version.
LAUNCHES_OF_TODAY = conversations("launch*", str(protocol.VERSION))


def lines_of(path: Path) -> list[Line]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_every_version_has_its_conversations() -> None:
    """Each version that is still spoken has been recorded, today's included."""
    names = {path.name for path in (CORPUS / f"v{protocol.VERSION}").iterdir()}
    assert len(names) >= 6
    for version in range(protocol.OLDEST, protocol.VERSION + 1):
        assert {path.name for path in (CORPUS / f"v{version}").iterdir()} >= names


# --- today's supervisor, and the shims of then ---


class RecordedShim:
    """A shim that says what was recorded, each answer once it is asked the same."""

    def __init__(self, lines: list[Line], listener: socket.socket) -> None:
        self._lines = lines
        self._listener = listener
        self._descriptors: list[int] = []

    async def play(self) -> None:
        loop = asyncio.get_running_loop()
        self._listener.setblocking(False)
        connection, _ = await loop.sock_accept(self._listener)
        with connection:
            connection.setblocking(False)
            for line in self._lines:
                if line["from"] == "supervisor":
                    asked = json.loads(await loop.sock_recv(connection, 1 << 18))
                    assert asked["do"] == line["message"]["do"]
                else:
                    passed = [self._open() for _ in range(line["descriptors"])]
                    socket.send_fds(connection, [json.dumps(line["message"]).encode()], passed)

    def _open(self) -> int:
        self._descriptors.append(os.open(os.devnull, os.O_RDWR))
        return self._descriptors[-1]

    def close(self) -> None:
        self._listener.close()
        for fd in self._descriptors:
            os.close(fd)


class Asking:
    """An engine that asks again what a supervisor asked then, and checks the answers."""

    def __init__(self, run: Supervising) -> None:
        self._run = run
        self.found: dict[str, SessionState] = {}

    async def ask(self, message: Line, answer: Line) -> None:
        engine = self._run.engine
        fields = {name: value for name, value in message.items() if name != "do"}
        calls: dict[str, Callable[..., Awaitable[Any]]] = {
            "hello": self._connect,
            "launch": self._start,
            "exec": self._exec,
            "streams": engine.streams,
            "signal": self._signal,
            "kill": engine.kill,
            "close_stdin": engine.close_stdin,
            "forget": engine.forget,
            "listen": engine.listen,
            "packets": lambda **_filter: engine.blocked(),
            "dial": engine.dial,
            "keep": self._keep,
            "release": engine.release,
        }
        if "error" in answer:
            with pytest.raises(CommandRefusedError) as refused:
                await calls[message["do"]](**fields)
            assert (refused.value.summary, refused.value.errno) == (
                answer["error"],
                answer["errno"],
            )
            return
        heard = await calls[message["do"]](**fields)
        if "fds" in answer:
            assert list(heard) == answer["fds"]
        for fd in heard.values() if isinstance(heard, dict) else [heard]:
            if isinstance(fd, int):
                os.close(fd)

    async def _connect(self, **_versions: int) -> None:
        found = await self._run.engine.connect(create=False)
        assert found is not None
        self.found = found

    async def _start(self, **_request: object) -> Any:
        return await self._run.engine.start(b"")

    async def _signal(self, session: str, signal: int) -> None:
        await self._run.engine.signal(session, signal)

    async def _keep(self, name: str) -> int:
        """Ask for a socket alone: `keep_service` asks a second time where there was none."""
        with socket.socket(socket.AF_UNIX) as made:
            _, fds = await self._run.engine._call("keep", (made.fileno(),), name=name)
        return fds[0]

    async def _exec(self, session: str) -> Any:
        return await self._run.engine.execute(session, further("true"))


@pytest.mark.parametrize("path", [*conversations("adopted"), *LAUNCHES_OF_TODAY])
async def test_an_earlier_shim_is_understood(
    supervise: Callable[..., Supervising], path: Path
) -> None:
    """Today's supervisor understands an earlier shim's sessions, answers, refusals and events."""
    lines = lines_of(path)
    run = supervise("true")
    listener = sockets.listen(run.folder.root, shim_client.SOCKET, socket.SOCK_SEQPACKET)
    shim, asking = RecordedShim(lines, listener), Asking(run)
    names = {"started": "pid", "exited": "exit_code", "failed": "message"}
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(shim.play())
        asked: list[Line] = []
        for line in lines:
            message = line["message"]
            if line["from"] == "supervisor":
                asked.append(message)
            elif "answer" in message:
                await asking.ask(asked.pop(0), message)
            else:
                assert await run.expect(message["event"]) == message[names[message["event"]]]
    said = lines[1]["message"]["sessions"]
    assert asking.found == {name: SessionState(**state) for name, state in said.items()}
    shim.close()


# --- today's shim, and the supervisors of then ---


class Link:
    """A supervisor's end of the connection, which passes on recorded messages."""

    def __init__(self, run: Supervising) -> None:
        self.sock = sockets.connect(run.folder.root, shim_client.SOCKET, socket.SOCK_SEQPACKET)
        self.sock.settimeout(120)
        self._heard: list[tuple[Line, int]] = []
        self._fds: list[int] = []

    def say(self, line: Line, fds: list[int]) -> None:
        socket.send_fds(self.sock, [json.dumps(line["message"]).encode()], fds)

    def hear(self, kind: str) -> tuple[Line, int]:
        """Return the next answer or event, and the number of its descriptors."""
        while not (found := [heard for heard in self._heard if kind in heard[0]]):
            data, fds = sockets.receive(self.sock, protocol.MAX_MESSAGE, protocol.MAX_DESCRIPTORS)
            assert data, "the shim has hung up"
            self._fds += fds
            self._heard.append((json.loads(data), len(fds)))
        self._heard.remove(found[0])
        return found[0]

    def close(self) -> None:
        self.sock.close()
        for fd in self._fds:
            os.close(fd)


@contextlib.contextmanager
def descriptors_for(line: Line) -> Iterator[list[int]]:
    """Make the descriptors that came with a message of the supervisor: a file, a socket or none."""
    if line["message"]["do"] == "keep" and line["descriptors"]:
        with socket.socket(socket.AF_UNIX) as made:
            yield [made.fileno()]
        return
    if "file" not in line:
        yield []
        return
    content = line["file"] | {"seccomp": seccomp.program(platform.machine()).hex()}
    fd = os.memfd_create("request")
    os.write(fd, json.dumps(content).encode())
    os.lseek(fd, 0, os.SEEK_SET)
    yield [fd]
    os.close(fd)


def same(now: Line, then: Line) -> bool:
    """Return whether today's shim says what was said then; process ids may differ."""
    vary = {"pid", "version", "oldest", "sessions"}
    if {name: now.get(name) for name in then.keys() - vary} != {
        name: value for name, value in then.items() if name not in vary
    }:
        return False
    sessions = now.get("sessions", {})
    return all(
        same(sessions[name], state) and (sessions[name]["pid"] is None) == (state["pid"] is None)
        for name, state in then.get("sessions", {}).items()
    )


def replay(lines: list[Line], link: Link) -> None:
    for line in lines:
        message = line["message"]
        if line["from"] == "supervisor":
            with descriptors_for(line) as fds:
                link.say(line, fds)
            continue
        heard, descriptors = link.hear("answer" if "answer" in message else "event")
        assert same(heard, message), (heard, message)
        assert descriptors == line["descriptors"]


COMMANDS = {
    "adopted-pipes": (("sh", "-c", "read x; exit 3"), {"interactive": True}),
    "adopted-terminal": (("sh", "-c", "read x"), {"tty": True}),
    "adopted-ended": (("sh", "-c", "exit 6"), {}),
}


@pytest.mark.parametrize("path", conversations("adopted"))
async def test_an_earlier_supervisor_is_understood(
    supervise: Callable[..., Supervising], path: Path
) -> None:
    """An earlier supervisor that adopts a run gets from today's shim what it got then."""
    command, fields = COMMANDS[path.stem]
    run = supervise(*command, **fields)
    await run.engine.connect(create=True)
    fds = await run.engine.start(b"")
    await run.expect("started")
    if path.stem == "adopted-ended":
        await run.expect("exited")
    run.engine.close()
    link = Link(run)
    await asyncio.to_thread(replay, lines_of(path), link)
    link.close()
    for fd in fds.values():
        os.close(fd)


@pytest.mark.parametrize("path", conversations("launch*"))
async def test_an_earlier_supervisor_could_open_the_network(
    supervise: Callable[..., Supervising], path: Path
) -> None:
    """Everything that an earlier supervisor asks for before the launch works."""
    run = supervise("true")
    await run.engine.connect(create=True)
    run.engine.close()
    lines = lines_of(path)
    launch = next(n for n, line in enumerate(lines) if line["message"].get("do") == "launch")
    link = Link(run)
    await asyncio.to_thread(replay, lines[:launch], link)
    link.close()
