"""The real shim, driven as a supervisor drives it, with a real bubblewrap."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from moat.engines.bubblewrap import Bubblewrap, Execution, Happenings
from moat.engines.shim_link import ShimGoneError, ShimRefusedError
from moat.runs.store import Store
from moat.spec import RunId, RunSpec, TerminalSize

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from moat.paths import RunFolder


@dataclass
class Supervising:
    """An engine and what it has told."""

    engine: Bubblewrap = field(init=False)
    folder: RunFolder
    told: asyncio.Queue[tuple[str, object]] = field(default_factory=asyncio.Queue)

    async def expect(self, what: str) -> object:
        async with asyncio.timeout(20):
            happened, value = await self.told.get()
        assert happened == what, (happened, value)
        return value

    async def run_to_end(self) -> tuple[bytes, bytes, int]:
        """(stdout, stderr, exit code) of a command without a TTY."""
        fds = await self.engine.start()
        await self.expect("started")
        code = await self.expect("exited")
        return drain(fds["stdout"]), drain(fds["stderr"]), int(str(code))


def drain(fd: int) -> bytes:
    os.set_blocking(fd, True)
    data = b""
    while piece := os.read(fd, 65536):
        data += piece
    os.close(fd)
    return data


def engine_for(spec: RunSpec, supervising: Supervising) -> Bubblewrap:
    put = supervising.told.put_nowait
    happenings = Happenings(
        started=lambda _session, pid: put(("started", pid)),
        exited=lambda _session, code: put(("exited", code)),
        failed=lambda _session, why: put(("failed", why)),
        lost=lambda: put(("lost", None)),
    )
    return Bubblewrap(spec, supervising.folder, asyncio.get_running_loop(), happenings)


@pytest.fixture
async def supervise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Callable[..., Supervising]]:
    """Makes a run and its engine; the shim is gone after the test."""
    monkeypatch.setenv("MOAT_HOME", str(tmp_path / "home"))
    # As in a supervisor: an ended shim leaves no zombie.
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    (tmp_path / "project").mkdir()
    made: list[Supervising] = []

    def make(*command: str, **wishes: object) -> Supervising:
        spec = RunSpec(
            id=RunId("0123456789ab"),
            name="tested",
            command=command,
            workspace=str(tmp_path / "project"),
            created_at="2026-01-01T00:00:00Z",
            host_path=os.environ["PATH"],
            **wishes,  # type: ignore[arg-type]
        )
        with Store() as store:
            store.create(spec)
            supervising = Supervising(store.folder(spec.id))
        supervising.engine = engine_for(spec, supervising)
        made.append(supervising)
        return supervising

    yield make
    for each in made:
        if each.engine.shim_pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(each.engine.shim_pid, signal.SIGKILL)
        each.engine.close()
    signal.signal(signal.SIGCHLD, before)


async def test_two_streams_and_an_exit_code(supervise: Callable[..., Supervising]) -> None:
    """What the command wrote and how it ended, and the same on disk."""
    run = supervise("sh", "-c", "echo out; echo err >&2; exit 19")
    assert await run.engine.connect(create=True) == {}
    assert await run.run_to_end() == (b"out\n", b"err\n", 19)
    assert json.loads((run.folder.exits / "main.json").read_text())["exit_code"] == 19
    await run.engine.release()


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (("sh", "-c", "kill -9 $$"), 137),
        (("sh", "-c", "kill -TERM $$"), 143),
        (("no-such-command",), 127),
        (("/etc/passwd",), 126),
        (("true",), 0),
    ],
)
async def test_exit_codes_are_a_shells(
    supervise: Callable[..., Supervising], command: tuple[str, ...], code: int
) -> None:
    """128 + n for a signal, 127 for a command that is not there, 126 for one that can't run."""
    run = supervise(*command)
    await run.engine.connect(create=True)
    assert (await run.run_to_end())[2] == code


async def test_no_descriptor_of_ours_is_in_the_sandbox(
    supervise: Callable[..., Supervising],
) -> None:
    """Standard input, output and error, for the first command and for further ones."""
    run = supervise("sh", "-c", "ls /proc/self/fd; read x", interactive=True)
    await run.engine.connect(create=True)
    fds = await run.engine.start()
    await run.expect("started")
    what = Execution(
        command=("ls", "/proc/self/fd"),
        env={},
        workdir="/workspace",
        tty=False,
        stdin=False,
        size=TerminalSize(),
    )
    more = await run.engine.execute("exec-1", what)
    await run.expect("started")
    await run.expect("exited")
    # The fourth is the folder that ls reads.
    assert drain(more["stdout"]).split() == [b"0", b"1", b"2", b"3"]
    os.write(fds["stdin"], b"\n")
    await run.expect("exited")
    assert drain(fds["stdout"]).split() == [b"0", b"1", b"2", b"3"]


async def test_a_further_command_has_no_more_rights_than_the_first(
    supervise: Callable[..., Supervising],
) -> None:
    """No capability, no new privileges, the same filter; its own exit code."""
    look = "grep -E '^(Cap|NoNew|Seccomp:)' /proc/self/status; "
    run = supervise("sh", "-c", look + "read x", interactive=True)
    await run.engine.connect(create=True)
    fds = await run.engine.start()
    await run.expect("started")
    what = Execution(
        command=("sh", "-c", look + "exit 5"),
        env={},
        workdir="/",
        tty=False,
        stdin=False,
        size=TerminalSize(),
    )
    more = await run.engine.execute("exec-1", what)
    await run.expect("started")
    assert await run.expect("exited") == 5
    os.write(fds["stdin"], b"\n")
    await run.expect("exited")
    first, second = drain(fds["stdout"]), drain(more["stdout"])
    assert first == second
    assert b"CapBnd:\t0000000000000000" in first
    assert b"NoNewPrivs:\t1" in first
    assert b"Seccomp:\t2" in first


async def test_the_next_supervisor_gets_everything(supervise: Callable[..., Supervising]) -> None:
    """The same command, what it has written meanwhile, its terminal, its listening sockets."""
    run = supervise("sh", "-c", "echo before; read x; echo got $x", interactive=True)
    await run.engine.connect(create=True)
    for fd in (await run.engine.start()).values():
        os.close(fd)
    pid = await run.expect("started")
    listening = await run.engine.listen("inet", "tcp", "0.0.0.0", 443)
    inode = os.fstat(listening).st_ino
    os.close(listening)
    run.engine.close()

    successor = Supervising(run.folder)
    successor.engine = engine_for(run.engine._spec, successor)
    found = await successor.engine.connect(create=False)
    assert found is not None
    assert found["main"].pid == pid
    again = await successor.engine.listen("inet", "tcp", "0.0.0.0", 443)
    assert os.fstat(again).st_ino == inode
    os.close(again)
    fds = await successor.engine.streams("main")
    os.write(fds["stdin"], b"this\n")
    assert await successor.expect("exited") == 0
    assert drain(fds["stdout"]) == b"before\ngot this\n"
    await successor.engine.release()
    successor.engine.close()


async def test_every_address_is_ours_and_nothing_else_is_there(
    supervise: Callable[..., Supervising],
) -> None:
    """A program reaches the supervisor's sockets on any address, and is refused anything else."""
    program = """
import socket
def tcp(address, port):
    try:
        with socket.create_connection((address, port), timeout=5) as sock:
            return sock.recv(100).decode()
    except OSError as exc:
        return type(exc).__name__
print(tcp("203.0.113.7", 443), tcp("2001:db8::7", 443))
print(tcp("203.0.113.7", 80), tcp("10.0.0.1", 22), tcp("169.254.169.254", 80), tcp("::1", 80))
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
    sock.settimeout(5)
    sock.connect(("8.8.8.8", 53))
    sock.send(b"question")
    print(sock.recv(100).decode())
    sock.connect(("8.8.8.8", 443))
    sock.send(b"quic")
    try:
        sock.recv(100)
    except OSError as exc:
        print(type(exc).__name__)
"""
    run = supervise("python3", "-c", program)
    await run.engine.connect(create=True)
    loop = asyncio.get_running_loop()
    tcp = [
        socket.socket(fileno=await run.engine.listen(family, "tcp", address, 443))
        for family, address in (("inet", "0.0.0.0"), ("inet6", "::"))
    ]
    dns = socket.socket(fileno=await run.engine.listen("inet", "udp", "0.0.0.0", 53))
    for sock in (*tcp, dns):
        sock.setblocking(False)

    async def greet(listener: socket.socket) -> str:
        connection, _ = await loop.sock_accept(listener)
        with connection:
            dialled = connection.getsockname()[0]
            await loop.sock_sendall(connection, b"hello")
            return dialled

    async def answer() -> bytes:
        question, client = await loop.sock_recvfrom(dns, 100)
        await loop.sock_sendto(dns, b"answer to " + question, client)
        return question

    async with asyncio.TaskGroup() as tasks:
        greeted = [tasks.create_task(greet(each)) for each in tcp]
        asked = tasks.create_task(answer())
        stdout, stderr, code = await run.run_to_end()
    assert (code, stderr) == (0, b"")
    assert stdout.decode().splitlines() == [
        "hello hello",
        " ".join(["ConnectionRefusedError"] * 4),
        "answer to question",
        "ConnectionRefusedError",
    ]
    assert [task.result() for task in greeted] == ["203.0.113.7", "2001:db8::7"]
    assert asked.result() == b"question"
    for sock in (*tcp, dns):
        sock.close()


async def test_the_way_in(supervise: Callable[..., Supervising]) -> None:
    """A server in the sandbox can be dialled from outside it."""
    program = (
        "import socket; s = socket.create_server(('127.0.0.1', 8000)); print('up', flush=True);"
        " c, _ = s.accept(); c.sendall(b'served'); c.close()"
    )
    run = supervise("python3", "-c", program)
    await run.engine.connect(create=True)
    fds = await run.engine.start()
    await run.expect("started")
    loop = asyncio.get_running_loop()
    up = asyncio.Event()
    loop.add_reader(fds["stdout"], up.set)
    await up.wait()
    loop.remove_reader(fds["stdout"])
    with socket.socket(fileno=await run.engine.dial("127.0.0.1", 8000)) as sock:
        sock.setblocking(False)
        assert await loop.sock_recv(sock, 100) == b"served"
    await run.expect("exited")


async def test_the_sandbox_dies_with_its_shim(supervise: Callable[..., Supervising]) -> None:
    """Nothing runs on unguarded: all that held the command's output is gone."""
    run = supervise("sh", "-c", "sleep 1000 & sleep 1000")
    await run.engine.connect(create=True)
    fds = await run.engine.start()
    await run.expect("started")
    assert run.engine.shim_pid is not None
    os.kill(run.engine.shim_pid, signal.SIGKILL)
    await run.expect("lost")
    # The end of file comes when the last process that could write has ended.
    assert await asyncio.to_thread(drain, fds["stdout"]) == b""
    with pytest.raises(ShimGoneError):
        await run.engine.kill("main")


async def test_kill_ends_all_of_the_sandbox(supervise: Callable[..., Supervising]) -> None:
    """Also what has left its session and ignores every signal."""
    run = supervise("sh", "-c", "trap '' TERM INT HUP; setsid sleep 1000 & wait")
    await run.engine.connect(create=True)
    fds = await run.engine.start()
    await run.expect("started")
    await run.engine.kill("main")
    assert await run.expect("exited") == 137
    assert drain(fds["stdout"]) == b""


async def test_a_sandbox_that_can_t_be_made_says_why(
    supervise: Callable[..., Supervising],
) -> None:
    """In bubblewrap's words; nothing was started, and nothing is known of a session."""
    run = supervise("true", workdir="/no/such/folder")
    await run.engine.connect(create=True)
    for fd in (await run.engine.start()).values():
        os.close(fd)
    assert "/no/such/folder" in str(await run.expect("failed"))
    with pytest.raises(ShimRefusedError):
        await run.engine.streams("main")
    await run.engine.release()


async def test_a_terminal_is_the_commands_own(supervise: Callable[..., Supervising]) -> None:
    """It has the size it was asked to have, a name, and is the controlling one."""
    run = supervise(
        "sh", "-c", "stty size; tty; echo to-tty >/dev/tty", tty=True, size=TerminalSize(101, 33)
    )
    await run.engine.connect(create=True)
    fds = await run.engine.start()
    await run.expect("started")
    assert await run.expect("exited") == 0
    assert os.read(fds["terminal"], 4096) == b"33 101\r\n/dev/console\r\nto-tty\r\n"
    for fd in fds.values():
        os.close(fd)
