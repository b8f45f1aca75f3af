"""The seccomp filter, judged first by an interpreter of classic BPF and then by the kernel."""

from __future__ import annotations

import errno
import os
import platform
import subprocess
import sys
import textwrap
from struct import iter_unpack, pack, unpack_from
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moat.engines.under_shim.seccomp import INIT_POLICY, PINNED, POLICY, program
from moat.engines.under_shim.syscalls import NEWEST, numbers
from moat.errors import EngineError

if TYPE_CHECKING:
    from pathlib import Path

ALLOW = 0x7FFF0000
KILL = 0x80000000
ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
I386 = 0x40000003


def decide(code: bytes, number: int, *args: int, architecture: int) -> int:
    """Return the kernel's verdict on one call."""
    padded = [*args, 0, 0, 0, 0, 0, 0][:6]
    data = pack("<iIQ6Q", number, architecture, 0, *padded)
    instructions = list(iter_unpack("<HBBI", code))
    accumulator = at = 0
    while True:
        op, then, otherwise, k = instructions[at]
        at += 1
        match op:
            case 0x20:
                (accumulator,) = unpack_from("<I", data, k)
            case 0x54:
                accumulator &= k
            case 0x15:
                at += then if accumulator == k else otherwise
            case 0x35:
                at += then if accumulator >= k else otherwise
            case 0x06:
                return k
            case _:
                raise AssertionError(f"unknown instruction {op:#x}")


def refusal(machine: str, name: str, *args: int) -> int:
    """Return the errno that a call is answered with; 0 if it is allowed."""
    verdict = decide(
        program(machine), numbers(machine)[name], *args, architecture=ARCHITECTURES[machine]
    )
    if verdict == ALLOW:
        return 0
    assert verdict >> 16 == 0x0005
    return verdict & 0xFFFF


@pytest.fixture(params=["x86_64", "aarch64"])
def machine(request: pytest.FixtureRequest) -> str:
    return request.param


REFUSED = [
    ("keyctl", (), errno.EPERM),
    ("bpf", (), errno.EPERM),
    ("mount", (), errno.EPERM),
    ("io_uring_setup", (), errno.EPERM),
    ("open_tree_attr", (), errno.EPERM),
    ("clone3", (), errno.ENOSYS),
    ("openat2", (), errno.ENOSYS),
    ("setns", (), errno.EPERM),
    ("unshare", (0x10000000,), errno.EPERM),
    ("unshare", (0x80,), errno.EPERM),
    ("clone", (0x10000000 | 17,), errno.EPERM),
    ("clone", (0x20000 | 17,), errno.EPERM),
    ("ioctl", (0, 0x5412), errno.EPERM),
    ("ioctl", (0, 0x1_0000_5412), errno.EPERM),
    ("ioctl", (0, 0x541C), errno.EPERM),
    ("ptrace", (16,), errno.EPERM),
    ("ptrace", (0x4206,), errno.EPERM),
    ("personality", (0x0400000,), errno.EPERM),
    ("socket", (40, 1, 0), errno.EAFNOSUPPORT),
    ("socket", (0xFFFF_FFFF_0000_0028, 1, 0), errno.EAFNOSUPPORT),
    ("socket", (38, 5, 0), errno.EAFNOSUPPORT),
    ("socket", (17, 3, 0), errno.EAFNOSUPPORT),
    ("socket", (16, 3, 12), errno.EPROTONOSUPPORT),
    ("socketpair", (30, 1, 0), errno.EAFNOSUPPORT),
    ("fchmod", (3, 0o4755), errno.EPERM),
    ("fchmodat", (-100 & 0xFFFFFFFF, 0, 0o6755), errno.EPERM),
    ("openat", (0, 0, 0o101, 0o4755), errno.EPERM),
    ("openat", (0, 0, 0o20200002, 0o4755), errno.EPERM),
    ("mknodat", (0, 0, 0o020666), errno.EPERM),
    ("mknodat", (0, 0, 0o060666), errno.EPERM),
    ("mknodat", (0, 0, 0o104755), errno.EPERM),
]

ALLOWED = [
    ("unshare", (0x400 | 0x200,)),  # CLONE_FILES, CLONE_FS
    ("clone", (0x003D0F00,)),  # what pthread_create passes
    ("clone", (0x01200011,)),  # fork
    ("ioctl", (0, 0x5413)),  # TIOCGWINSZ
    ("ptrace", (0,)),  # TRACEME
    ("personality", (0xFFFFFFFF,)),
    ("personality", (0x40000,)),
    ("socket", (1, 1, 0)),
    ("socket", (2, 1, 6)),
    ("socket", (10, 2, 17)),
    ("socket", (16, 3, 0)),  # getaddrinfo's and Go's route socket
    ("socketpair", (1, 1, 0)),
    ("fchmod", (3, 0o2775)),
    ("openat", (0, 0, 0o101, 0o644)),
    ("openat", (0, 0, 0, 0o4755)),  # without O_CREAT the mode is whatever was in the register
    ("mknodat", (0, 0, 0o010644)),  # a fifo
]


@pytest.mark.parametrize(("name", "args", "expected"), REFUSED)
def test_the_policy_refuses(machine: str, name: str, args: tuple[int, ...], expected: int) -> None:
    """Each call of the table fails with its errno on both processors, whatever the upper halves."""
    assert refusal(machine, name, *args) == expected


@pytest.mark.parametrize(("name", "args"), ALLOWED)
def test_the_policy_leaves_ordinary_use_alone(
    machine: str, name: str, args: tuple[int, ...]
) -> None:
    """The same calls are allowed with the arguments that programs use harmlessly."""
    assert refusal(machine, name, *args) == 0


@given(number=st.integers(0, NEWEST), args=st.lists(st.integers(0, 2**64 - 1), max_size=6))
def test_only_calls_of_the_policy_are_ever_refused(number: int, args: list[int]) -> None:
    """Every path through the program ends, and a call that isn't named is allowed."""
    verdict = decide(program("x86_64"), number, *args, architecture=ARCHITECTURES["x86_64"])
    if number not in {numbers("x86_64")[name] for name in POLICY}:
        assert verdict == ALLOW


@given(name=st.sampled_from(sorted(POLICY)), high=st.integers(1, 2**32 - 1), data=st.data())
def test_upper_halves_never_change_a_decision(name: str, high: int, data: st.DataObject) -> None:
    """The kernel truncates these arguments, so bits above must not lead around the filter."""
    low = data.draw(st.lists(st.integers(0, 2**32 - 1), min_size=6, max_size=6))
    assert refusal("x86_64", name, *low) == refusal(
        "x86_64", name, *(arg | high << 32 for arg in low)
    )


def test_foreign_architectures_are_killed(machine: str) -> None:
    """i386 numbers on a 64-bit kernel mean other calls than the table's."""
    assert decide(program(machine), 1, architecture=I386) == KILL


@pytest.mark.parametrize("number", [NEWEST + 1, 0x40000000 | 16, -1])
def test_unknown_numbers_do_not_exist(machine: str, number: int) -> None:
    """Newer calls, the x32 ABI and -1 get the answer of a kernel that doesn't have them."""
    verdict = decide(program(machine), number, architecture=ARCHITECTURES[machine])
    assert verdict == 0x00050000 | errno.ENOSYS


def test_an_unknown_processor_has_no_filter() -> None:
    """No filter means no run: the engine never starts a command unfiltered."""
    with pytest.raises(EngineError, match="riscv64"):
        program("riscv64")


def test_the_policy_names_only_calls_of_the_table() -> None:
    """A misspelt call would silently be allowed."""
    assert {*POLICY, *PINNED, *INIT_POLICY} == numbers("x86_64").keys()


def test_bubblewrap_is_told_that_it_can_be_dumped(machine: str) -> None:
    """It is answered as if it could, and everything else that it asks for is done."""
    code, prctl = program(machine, INIT_POLICY), numbers(machine)["prctl"]

    def verdict(*args: int) -> int:
        return decide(code, prctl, *args, architecture=ARCHITECTURES[machine])

    assert verdict(4, 1) == 0x00050000
    assert verdict(4, 0) == verdict(38, 1) == ALLOW


def filtered(*command: str, stdin: int = subprocess.DEVNULL) -> subprocess.CompletedProcess[str]:
    """Run a command by bwrap under the filter, with nothing else that could refuse a call."""
    read, write = os.pipe()
    os.write(write, program(platform.machine()))
    os.close(write)
    try:
        return subprocess.run(
            ["bwrap", "--dev-bind", "/", "/", "--seccomp", str(read), *command],
            pass_fds=[read],
            stdin=stdin,
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        os.close(read)


def errno_inside(snippet: str, stdin: int = subprocess.DEVNULL) -> str:
    """Return the name of the errno with which `call(...)`, a libc call in the snippet, fails."""
    text = textwrap.dedent("""
        import ctypes, errno, os, sys
        libc = ctypes.CDLL(None, use_errno=True)
        def call(function, *args):
            done = function(*args)
            return "none" if done >= 0 else errno.errorcode[ctypes.get_errno()]
    """) + textwrap.dedent(snippet)
    done = filtered(sys.executable, "-c", text, stdin=stdin)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.skipif(platform.machine() != "x86_64", reason="numbers of x86_64")
@pytest.mark.parametrize("name", ["keyctl", "bpf", "io_uring_setup", "perf_event_open", "setns"])
def test_the_kernel_refuses_what_the_policy_names(name: str) -> None:
    """The kernel accepts the filter and enforces it."""
    number = numbers("x86_64")[name]
    assert errno_inside(f"print(call(libc.syscall, {number}, 0, 0, 0, 0, 0))") == "EPERM"


def test_no_new_user_namespace() -> None:
    """`unshare -U` would give back all capabilities over new namespaces."""
    assert "Operation not permitted" in filtered("unshare", "-U", "true").stderr


@pytest.mark.parametrize("request_word", ["0x5412", "(7 << 32) | 0x5412"])
def test_nothing_types_into_the_terminal(request_word: str) -> None:
    """TIOCSTI on the command's own terminal is refused, also with bits in the upper half."""
    ours, theirs = os.openpty()
    try:
        snippet = f"print(call(libc.syscall, 16, 0, ctypes.c_ulong({request_word}), b'x'))"
        if platform.machine() == "aarch64":
            snippet = snippet.replace("16,", "29,", 1)
        assert errno_inside(snippet, stdin=theirs) == "EPERM"
    finally:
        os.close(ours)
        os.close(theirs)


def test_no_debugger_attaches_to_a_process() -> None:
    """Attaching is refused even to a child."""
    snippet = """
        child = os.fork()
        if not child:
            os.pause() if hasattr(os, "pause") else __import__("signal").pause()
        print(call(libc.ptrace, 16, child, 0, 0))
        os.kill(child, 9)
    """
    assert errno_inside(snippet) == "EPERM"


@pytest.mark.parametrize("family", [38, 40, 17])
def test_no_socket_beside_the_network_namespace(family: int) -> None:
    """AF_ALG, AF_VSOCK and AF_PACKET don't exist in the sandbox."""
    assert errno_inside(f"print(call(libc.socket, {family}, 1, 0))") == "EAFNOSUPPORT"


def test_no_setuid_file_is_left_behind(tmp_path: Path) -> None:
    """chmod u+s is refused; a plain chmod works."""
    file = tmp_path / "file"
    file.touch()
    assert filtered("chmod", "u+s", str(file)).returncode != 0
    assert filtered("chmod", "755", str(file)).returncode == 0
    assert file.stat().st_mode & 0o7777 == 0o755


def test_ordinary_programs_work(tmp_path: Path) -> None:
    """Threads, subprocesses, git, node and a debugger's setarch work as ever."""
    python = """
        import concurrent.futures, socket, subprocess
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            assert sum(pool.map(int, "1234")) == 10
        assert subprocess.check_output(["echo", "hello"]) == b"hello\\n"
        socket.create_server(("127.0.0.1", 0)).close()
    """
    commands = [
        [sys.executable, "-c", textwrap.dedent(python)],
        ["bash", "-c", "cat <(echo one) | grep -q one && (sleep 0 & wait)"],
        ["git", "init", "-q", str(tmp_path / "repository")],
        ["node", "-e", "require('fs').promises.readFile('/etc/passwd').then(() => 0)"],
        ["setarch", "-R", "true"],
    ]
    for command in commands:
        done = filtered(*command)
        assert done.returncode == 0, (command, done.stderr)
