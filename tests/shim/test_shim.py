"""The real shim, driven as a supervisor drives it, with a real bubblewrap."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import select
import signal
import socket
from typing import TYPE_CHECKING

import pytest
from tests.shim.supervising import Supervising, drain, further

from moat.egress.ingress.packets import BlockedAttempt, blocked_attempt
from moat.engines.engine import CommandRefusedError, SandboxGoneError
from moat.engines.under_shim import shim_client
from moat.platform import sockets
from moat.spec import Bubblewrap, TerminalSize

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path


@contextlib.contextmanager
def open_process(pid: int) -> Generator[int]:
    """Yield a descriptor that becomes readable when the process has ended."""
    fd = os.pidfd_open(pid)
    yield fd
    os.close(fd)


async def test_two_streams_and_an_exit_code(supervise: Callable[..., Supervising]) -> None:
    """Output, errors and exit code arrive, and the exit code is on disk, too."""
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
    """The exit code is 128 + n for a signal, 127 for no such command, 126 for one that can't run."""
    run = supervise(*command)
    await run.engine.connect(create=True)
    assert (await run.run_to_end())[2] == code


async def test_the_end_of_input_reaches_the_command(supervise: Callable[..., Supervising]) -> None:
    """Once shim and supervisor have let go, the command reads end of file behind all input."""
    run = supervise("cat", interactive=True)
    await run.engine.connect(create=True)
    fds = await run.engine.start(b"")
    await run.expect("started")
    os.write(fds["stdin"], b"all of it")
    os.close(fds["stdin"])
    await run.engine.close_stdin("main")
    await run.engine.close_stdin("main")  # a successor may not know that it was done
    assert await run.expect("exited") == 0
    assert drain(fds["stdout"]) == b"all of it"
    streams = await run.engine.streams("main")
    assert sorted(streams) == ["stderr", "stdout"]
    for fd in (*streams.values(), fds["stderr"]):
        os.close(fd)


async def test_without_input_the_command_reads_nothing(
    supervise: Callable[..., Supervising],
) -> None:
    """The command's input is empty, and not somebody's terminal."""
    run = supervise("cat")
    await run.engine.connect(create=True)
    assert await run.run_to_end() == (b"", b"", 0)


async def test_a_signal_is_the_commands(supervise: Callable[..., Supervising]) -> None:
    """A signal reaches the command, which may handle it, and is refused once the command has ended."""
    program = (
        "import signal; s = {signal.SIGUSR1}; signal.pthread_sigmask(signal.SIG_BLOCK, s);"
        " print('ready', flush=True); print(signal.sigwait(s).name); raise SystemExit(3)"
    )
    run = supervise("python3", "-c", program)
    await run.engine.connect(create=True)
    fds = await run.engine.start(b"")
    await run.expect("started")
    await run.output(fds["stdout"], b"ready\n")
    await run.engine.signal("main", signal.SIGUSR1)
    assert await run.expect("exited") == 3
    assert drain(fds["stdout"]) == b"SIGUSR1\n"
    with pytest.raises(CommandRefusedError) as refused:
        await run.engine.signal("main", signal.SIGUSR1)
    assert refused.value.errno == errno.ESRCH


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (("sh", "-c", "exit 5"), 5),
        (("sh", "-c", "kill -KILL $$"), 137),
        (("sh", "-c", "kill -TERM $$"), 143),
        (("no-such-command",), 127),
        (("/etc/passwd",), 126),
    ],
)
async def test_further_commands_have_exit_codes_of_their_own(
    supervise: Callable[..., Supervising], command: tuple[str, ...], code: int
) -> None:
    """Each further command has a shell's exit code, and the first command goes on."""
    run = supervise("sh", "-c", "read x; exit 1", interactive=True)
    await run.engine.connect(create=True)
    main = await run.engine.start(b"")
    await run.expect("started")
    fds = await run.engine.execute("exec-1", further(*command))
    await run.expect("started")
    assert await run.expect("exited") == code
    assert json.loads((run.folder.exits / "exec-1.json").read_text())["exit_code"] == code
    await run.engine.forget("exec-1")
    with pytest.raises(CommandRefusedError):
        await run.engine.streams("exec-1")
    os.write(main["stdin"], b"\n")
    assert await run.expect("exited") == 1
    for fd in (*main.values(), *fds.values()):
        os.close(fd)


def network_of(pid: int) -> str:
    return os.readlink(f"/proc/{pid}/ns/net")  # noqa: PTH115  it names no path


async def test_a_further_command_is_where_it_was_asked_to_be(
    supervise: Callable[..., Supervising],
) -> None:
    """A further command has its own folder, environment, input and terminal, and shares the rest."""
    run = supervise("sh", "-c", "touch /tmp/shared; echo ready; read x", interactive=True)
    await run.engine.connect(create=True)
    main = await run.engine.start(b"")
    await run.expect("started")
    await run.output(main["stdout"], b"ready\n")
    look = "pwd; echo $A; ls /tmp/shared; test -d /proc/1 && readlink /proc/self/ns/net; cat"
    what = further("sh", "-c", look, env={"A": "given"}, workdir="/usr", stdin=True)
    fds = await run.engine.execute("exec-1", what)
    await run.expect("started")
    os.write(fds["stdin"], b"typed")
    os.close(fds["stdin"])
    await run.engine.close_stdin("exec-1")
    assert await run.expect("exited") == 0
    assert run.engine.shim_pid is not None
    network = network_of(run.engine.shim_pid)
    assert drain(fds["stdout"]).decode() == f"/usr\ngiven\n/tmp/shared\n{network}\ntyped"
    assert network != network_of(os.getpid())

    size = TerminalSize(120, 40)
    look = "stty size; echo to-tty >/dev/tty"
    tty = await run.engine.execute("exec-2", further("sh", "-c", look, tty=True, size=size))
    await run.expect("started")
    assert await run.expect("exited") == 0
    await run.output(tty["terminal"], b"40 120\r\nto-tty\r\n")
    for fd in (*main.values(), fds["stderr"], *tty.values()):
        os.close(fd)


async def test_a_further_command_needs_no_python_in_the_sandbox(
    supervise: Callable[..., Supervising],
) -> None:
    """The shim's own interpreter may lie where the sandbox shows nothing."""
    run = supervise(
        "sh", "-c", "read x", interactive=True, bubblewrap=Bubblewrap(host_path="/usr/bin:/bin")
    )
    await run.engine.connect(create=True)
    main = await run.engine.start(b"")
    await run.expect("started")
    fds = await run.engine.execute("exec-1", further("sh", "-c", "exit 5"))
    await run.expect("started")
    assert await run.expect("exited") == 5
    for fd in (*main.values(), *fds.values()):
        os.close(fd)


async def test_a_further_command_that_can_t_begin_says_why(
    supervise: Callable[..., Supervising],
) -> None:
    """The failure is of that session alone; without a running sandbox there is none at all."""
    run = supervise("sh", "-c", "read x", interactive=True)
    await run.engine.connect(create=True)
    main = await run.engine.start(b"")
    await run.expect("started")
    fds = await run.engine.execute("exec-1", further("true", workdir="/no/such/folder"))
    assert "/no/such/folder" in str(await run.expect("failed"))
    os.write(main["stdin"], b"\n")
    await run.expect("exited")
    with pytest.raises(CommandRefusedError, match="no running command"):
        await run.engine.execute("exec-2", further("true"))
    for fd in (*main.values(), *fds.values()):
        os.close(fd)


async def test_a_further_command_is_killed_alone(supervise: Callable[..., Supervising]) -> None:
    """Killing a further command leaves the sandbox alone; the end of the sandbox ends the others."""
    run = supervise("sh", "-c", "echo ready; read x", interactive=True)
    await run.engine.connect(create=True)
    main = await run.engine.start(b"")
    await run.expect("started")
    fds = [await run.engine.execute(f"exec-{n}", further("sleep", "1000")) for n in (1, 2)]
    await run.expect("started")
    await run.expect("started")
    await run.engine.kill("exec-1")
    assert await run.expect("exited") == 137
    await run.output(main["stdout"], b"ready\n")
    os.write(main["stdin"], b"\n")
    assert sorted([await run.expect("exited"), await run.expect("exited")], key=str) == [0, 137]
    for fd in (*main.values(), *fds[0].values(), *fds[1].values()):
        os.close(fd)


async def test_a_new_supervisor_replaces_one_that_is_still_there(
    supervise: Callable[..., Supervising],
) -> None:
    """A stalled supervisor is cut off, and the new one gets the very same pipes."""
    run = supervise("cat", interactive=True)
    await run.engine.connect(create=True)
    first = await run.engine.start(b"")
    await run.expect("started")
    successor, _ = await run.successor()
    await run.expect("lost")
    with pytest.raises(SandboxGoneError):
        await run.engine.streams("main")
    second = await successor.engine.streams("main")
    same = {name: os.fstat(fd).st_ino for name, fd in first.items()}
    assert {name: os.fstat(fd).st_ino for name, fd in second.items()} == same
    for fd in (*first.values(), second["stdin"]):
        os.close(fd)
    await successor.engine.close_stdin("main")
    assert await successor.expect("exited") == 0
    await successor.engine.release()
    for name in ("stdout", "stderr"):
        os.close(second[name])


async def test_an_end_that_nobody_saw_is_known(supervise: Callable[..., Supervising]) -> None:
    """An end without a supervisor is known afterwards, from the disk and from the shim."""
    run = supervise("sh", "-c", "read x; echo last words; exit 9", interactive=True)
    await run.engine.connect(create=True)
    fds = await run.engine.start(b"")
    pid = int(str(await run.expect("started")))
    with open_process(pid) as command:
        run.engine.close()
        os.write(fds["stdin"], b"\n")
        await asyncio.to_thread(select.select, [command], [], [])
    # The pipe ends when the sandbox does; a connection that comes then is answered behind that.
    assert await asyncio.to_thread(drain, fds["stdout"]) == b"last words\n"
    successor, found = await run.successor()
    if found["main"].exit_code is None:
        assert await successor.expect("exited") == 9
    else:
        assert found["main"].exit_code == 9
    assert json.loads((run.folder.exits / "main.json").read_text())["exit_code"] == 9
    await successor.engine.release()
    for name in ("stdin", "stderr"):
        os.close(fds[name])


async def test_an_exit_that_can_t_be_written_is_reported_all_the_same(
    supervise: Callable[..., Supervising],
) -> None:
    """A full disk takes neither the shim nor the exit status."""
    run = supervise("sh", "-c", "exit 4")
    run.folder.exits.rmdir()
    await run.engine.connect(create=True)
    assert (await run.run_to_end())[2] == 4
    await run.engine.release()


async def test_a_shim_outlives_nonsense(supervise: Callable[..., Supervising]) -> None:
    """Each message is answered, in order, whatever it says, and the command goes on."""
    run = supervise("cat", interactive=True)
    await run.engine.connect(create=True)
    fds = await run.engine.start(b"")
    await run.expect("started")
    with sockets.connect(run.folder.root, shim_client.SOCKET, socket.SOCK_SEQPACKET) as link:
        await run.expect("lost")
        for nonsense in (b"{", b"[]", b"3", b"\xff", b"[" * 5000, b"{}", b'{"do": []}'):
            link.send(nonsense)
            assert "error" in json.loads(link.recv(4096))
        for do in ("dance", "streams", "signal", "kill", "close_stdin", "forget", "exec"):
            link.send(json.dumps({"do": do, "session": "no-such-session"}).encode())
            assert "error" in json.loads(link.recv(4096))
    run, found = await run.successor()
    assert found["main"].exit_code is None
    with pytest.raises(CommandRefusedError, match="not ended"):
        await run.engine.forget("main")
    with pytest.raises(CommandRefusedError, match="still running"):
        await run.engine.release()
    os.close(fds["stdin"])
    await run.engine.close_stdin("main")
    assert await run.expect("exited") == 0
    await run.engine.release()
    for name in ("stdout", "stderr"):
        os.close(fds[name])


async def test_no_descriptor_of_ours_is_in_the_sandbox(
    supervise: Callable[..., Supervising],
) -> None:
    """Commands inherit standard input, output and error, and nothing else."""
    run = supervise("sh", "-c", "ls /proc/self/fd; read x", interactive=True)
    await run.engine.connect(create=True)
    fds = await run.engine.start(b"")
    await run.expect("started")
    more = await run.engine.execute("exec-1", further("ls", "/proc/self/fd"))
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
    """A further command has no capability, no new privileges, and the same system call filter."""
    look = "grep -E '^(Cap|NoNew|Seccomp:)' /proc/self/status; "
    run = supervise("sh", "-c", look + "read x", interactive=True)
    await run.engine.connect(create=True)
    fds = await run.engine.start(b"")
    await run.expect("started")
    more = await run.engine.execute("exec-1", further("sh", "-c", look + "exit 5"))
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
    """The next supervisor finds the command, its output since then, its pipes and its sockets."""
    run = supervise("sh", "-c", "echo before; read x; echo got $x", interactive=True)
    await run.engine.connect(create=True)
    for fd in (await run.engine.start(b"")).values():
        os.close(fd)
    pid = await run.expect("started")
    listening = await run.engine.listen("inet", "tcp", "0.0.0.0", 443)
    inode = os.fstat(listening).st_ino
    os.close(listening)
    run.engine.close()

    successor, found = await run.successor()
    assert found["main"].pid == pid
    again = await successor.engine.listen("inet", "tcp", "0.0.0.0", 443)
    assert os.fstat(again).st_ino == inode
    os.close(again)
    fds = await successor.engine.streams("main")
    os.write(fds["stdin"], b"this\n")
    assert await successor.expect("exited") == 0
    assert drain(fds["stdout"]) == b"before\ngot this\n"
    await successor.engine.release()


async def test_every_address_is_ours_and_nothing_else_is_there(
    supervise: Callable[..., Supervising],
) -> None:
    """A program reaches the supervisor's sockets on any address, and nothing else."""
    program = """
import socket
def tcp(address, port):
    try:
        with socket.create_connection((address, port), timeout=120) as sock:
            return sock.recv(100).decode()
    except OSError as exc:
        return type(exc).__name__
print(tcp("203.0.113.7", 443), tcp("2001:db8::7", 443))
print(tcp("203.0.113.7", 80), tcp("10.0.0.1", 22), tcp("169.254.169.254", 80), tcp("::1", 80))
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
    sock.settimeout(120)
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


def blocked_attempts(packets: socket.socket) -> list[BlockedAttempt]:
    """Return the refused attempts so far, each once."""
    found: list[BlockedAttempt] = []
    while select.select([packets], [], [], 0)[0]:
        attempt = blocked_attempt(packets.recv(2048))
        if attempt is not None and attempt not in found:
            found.append(attempt)
    return found


async def test_what_the_kernel_refuses_is_seen(supervise: Callable[..., Supervising]) -> None:
    """Attempts to leave that no listener met are seen, and no others."""
    program = """
import socket
def send(family, address, port, kind=socket.SOCK_DGRAM):
    with socket.socket(family, kind) as sock:
        sock.settimeout(120)
        try:
            if kind == socket.SOCK_STREAM:
                sock.connect((address, port))
            else:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
                sock.sendto(b"secret", (address, port))
        except ConnectionRefusedError:
            pass
inet, inet6, stream = socket.AF_INET, socket.AF_INET6, socket.SOCK_STREAM
send(inet, "127.0.0.1", 9), send(inet, "127.0.0.1", 9, stream)
send(inet6, "::1", 9), send(inet6, "::1", 9, stream), send(inet, "0.0.0.0", 9, stream)
send(inet, "203.0.113.7", 443, stream), send(inet6, "2001:db8::7", 443, stream)
send(inet, "203.0.113.7", 53)
send(inet, "203.0.113.7", 22, stream)
send(inet6, "2001:db8::7", 22, stream)
send(inet6, "::ffff:203.0.113.8", 22, stream)
send(inet, "203.0.113.7", 443)
send(inet6, "2001:db8::7", 443)
send(inet, "224.0.0.251", 5353)
send(inet6, "ff02::fb", 5353)
send(inet, "255.255.255.255", 67)
"""
    run = supervise("python3", "-c", program)
    await run.engine.connect(create=True)
    met = [
        socket.socket(fileno=await run.engine.listen(family, kind, address, port))
        for family, address in (("inet", "0.0.0.0"), ("inet6", "::"))
        for kind, port in (("tcp", 443), ("udp", 53))
    ]
    with socket.socket(fileno=await run.engine.blocked()) as packets:
        assert await run.run_to_end() == (b"", b"", 0)
        assert blocked_attempts(packets) == [
            BlockedAttempt("tcp", "203.0.113.7", 22),
            BlockedAttempt("tcp", "2001:db8::7", 22),
            BlockedAttempt("tcp", "203.0.113.8", 22),
            BlockedAttempt("udp", "203.0.113.7", 443),
            BlockedAttempt("udp", "2001:db8::7", 443),
            BlockedAttempt("udp", "224.0.0.251", 5353),
            BlockedAttempt("udp", "ff02::fb", 5353),
            BlockedAttempt("udp", "255.255.255.255", 67),
        ]
    for sock in met:
        sock.close()
    await run.engine.release()


async def test_a_late_answer_is_no_attempt(
    supervise: Callable[..., Supervising],
) -> None:
    """A late answer that the kernel refuses does not count as an attempt of the program."""
    program = """
import socket
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
    sock.connect(("203.0.113.7", 53))
    sock.send(b"question")
"""
    run = supervise("python3", "-c", program)
    await run.engine.connect(create=True)
    dns = socket.socket(fileno=await run.engine.listen("inet", "udp", "0.0.0.0", 53))
    with dns, socket.socket(fileno=await run.engine.blocked()) as packets:
        assert (await run.run_to_end())[2] == 0
        question, client = dns.recvfrom(100)
        assert question == b"question"
        assert client[0] == "203.0.113.7"
        dns.sendto(b"answer", client)
        assert select.select([packets], [], [], 120)[0]
        assert blocked_attempts(packets) == []
    await run.engine.release()


async def test_what_was_refused_meanwhile_is_reported_to_the_next_supervisor(
    supervise: Callable[..., Supervising],
) -> None:
    """The next supervisor gets the same socket, with as much as its buffer holds."""
    program = """
import socket, sys
sys.stdin.read(1)
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
    sock.sendto(b"first", ("203.0.113.7", 443))
    for _ in range(20_000):
        sock.sendto(b"then many", ("203.0.113.8", 443))
"""
    run = supervise("python3", "-c", program, interactive=True)
    await run.engine.connect(create=True)
    fds = await run.engine.start(b"")
    await run.expect("started")
    with socket.socket(fileno=await run.engine.blocked()) as packets:
        inode = os.fstat(packets.fileno()).st_ino
    run.engine.close()
    os.write(fds["stdin"], b"\n")
    assert await asyncio.to_thread(drain, fds["stderr"]) == b""
    successor, found = await run.successor()
    if found["main"].exit_code is None:
        assert await successor.expect("exited") == 0
    with socket.socket(fileno=await successor.engine.blocked()) as packets:
        assert os.fstat(packets.fileno()).st_ino == inode
        assert packets.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) <= 512 * 1024
        assert blocked_attempts(packets) == [
            BlockedAttempt("udp", "203.0.113.7", 443),
            BlockedAttempt("udp", "203.0.113.8", 443),
        ]
    for name in ("stdin", "stdout"):
        os.close(fds[name])
    await successor.engine.release()


async def test_the_way_in(supervise: Callable[..., Supervising]) -> None:
    """A server in the sandbox can be dialled from outside."""
    program = (
        "import socket; s = socket.create_server(('127.0.0.1', 8000)); print('up', flush=True);"
        " c, _ = s.accept(); c.sendall(b'served'); c.close()"
    )
    run = supervise("python3", "-c", program)
    await run.engine.connect(create=True)
    fds = await run.engine.start(b"")
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


async def test_who_is_not_there_can_t_be_dialled(supervise: Callable[..., Supervising]) -> None:
    """A dialled port without a server is refused at once; the host's own loopback is never asked."""
    run = supervise("true")
    await run.engine.connect(create=True)
    with socket.create_server(("127.0.0.1", 0)) as hosts_own:
        port = hosts_own.getsockname()[1]
        for address in ("127.0.0.1", "::1"):
            with socket.socket(fileno=await run.engine.dial(address, port)) as sock:
                await asyncio.to_thread(select.select, [], [sock], [])
                assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNREFUSED
    await run.engine.release()


async def test_a_port_that_the_sandbox_has_taken_is_refused(
    supervise: Callable[..., Supervising],
) -> None:
    """The supervisor learns that it can't listen on a port that a program has taken."""
    program = (
        "import socket; s = socket.create_server(('', 8443)); print('up', flush=True); s.accept()"
    )
    run = supervise("python3", "-c", program)
    await run.engine.connect(create=True)
    fds = await run.engine.start(b"")
    await run.expect("started")
    await run.output(fds["stdout"], b"up\n")
    with pytest.raises(CommandRefusedError) as refused:
        await run.engine.listen("inet", "tcp", "0.0.0.0", 8443)
    assert refused.value.errno == errno.EADDRINUSE
    await run.engine.kill("main")
    assert await run.expect("exited") == 137
    for fd in fds.values():
        os.close(fd)


async def test_the_sandbox_dies_with_its_shim(supervise: Callable[..., Supervising]) -> None:
    """Nothing runs on unguarded: every process that held the command's output is gone."""
    run = supervise("sh", "-c", "sleep 1000 & sleep 1000")
    await run.engine.connect(create=True)
    fds = await run.engine.start(b"")
    await run.expect("started")
    assert run.engine.shim_pid is not None
    os.kill(run.engine.shim_pid, signal.SIGKILL)
    await run.expect("lost")
    # The end of file comes when the last process that could write has ended.
    assert await asyncio.to_thread(drain, fds["stdout"]) == b""
    with pytest.raises(SandboxGoneError):
        await run.engine.kill("main")


async def test_kill_ends_all_of_the_sandbox(supervise: Callable[..., Supervising]) -> None:
    """A process that has left its session and ignores every signal is killed, too."""
    run = supervise("sh", "-c", "trap '' TERM INT HUP; setsid sleep 1000 & wait")
    await run.engine.connect(create=True)
    fds = await run.engine.start(b"")
    await run.expect("started")
    await run.engine.kill("main")
    assert await run.expect("exited") == 137
    assert drain(fds["stdout"]) == b""


async def test_a_sandbox_that_can_t_be_made_says_why(
    supervise: Callable[..., Supervising],
) -> None:
    """The failure has bubblewrap's words, and leaves no session behind."""
    run = supervise("true", workdir="/no/such/folder")
    await run.engine.connect(create=True)
    for fd in (await run.engine.start(b"")).values():
        os.close(fd)
    assert "/no/such/folder" in str(await run.expect("failed"))
    with pytest.raises(CommandRefusedError):
        await run.engine.streams("main")
    await run.engine.release()


async def test_a_terminal_is_the_commands_own(supervise: Callable[..., Supervising]) -> None:
    """The terminal has the size that was asked for and a name, and is the controlling one."""
    run = supervise(
        "sh", "-c", "stty size; tty; echo to-tty >/dev/tty", tty=True, size=TerminalSize(101, 33)
    )
    await run.engine.connect(create=True)
    fds = await run.engine.start(b"")
    await run.expect("started")
    assert await run.expect("exited") == 0
    await run.output(fds["terminal"], b"33 101\r\n/dev/console\r\nto-tty\r\n")
    for fd in fds.values():
        os.close(fd)


@pytest.mark.parametrize("when", ["before its end", "after its end"])
async def test_a_sandbox_without_a_supervisor_is_cleaned_up(
    supervise: Callable[..., Supervising],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    when: str,
) -> None:
    """The clean-up of the workspace does not wait for the next supervisor."""
    go, done = tmp_path / "project" / "go", tmp_path / "done"
    run = supervise("sh", "-c", "read line < go")
    for fifo in (go, done):
        os.mkfifo(fifo)
    program = ["/bin/sh", "-c", f"echo looked after > {done}"]
    monkeypatch.setattr("moat.workspace.snapshot.cleanup_command", lambda _: program)
    await run.engine.connect(create=True)
    await run.engine.start(b"")
    await run.expect("started")
    if when == "before its end":
        run.engine.close()
    await asyncio.to_thread(go.write_text, "\n")
    if when == "after its end":
        await run.expect("exited")
        run.engine.close()
    assert await asyncio.to_thread(done.read_text) == "looked after\n"
    assert json.loads((run.folder.exits / "main.json").read_text())["exit_code"] == 0
