"""Input: every byte in order, end of file where it belongs, and never a hang."""

from __future__ import annotations

import hashlib
import os
from typing import Any

import pytest
from tests.e2e.conftest import ON_EVERY_ENGINE, TIMEOUT_S

pytestmark = ON_EVERY_ENGINE

MB = 1_000_000


def test_a_pipe_of_60_megabytes(moat: Any) -> None:
    """Case 29: the exact count; the answer comes after the half-close."""
    done = moat("run", "-i", "--", "wc", "-c", stdin=b"x" * (60 * MB))
    assert (done.returncode, done.stdout) == (0, f"{60 * MB}\n"), done.stderr


def test_what_goes_in_comes_out(moat: Any) -> None:
    """5 MB of all byte values through `cat`, both ways at once."""
    data = os.urandom(5 * MB)
    done = moat.binary("run", "-i", "--", "cat", stdin=data)
    assert hashlib.sha256(done.stdout).digest() == hashlib.sha256(data).digest()
    assert done.returncode == 0


@pytest.mark.parametrize("script", ["exit 5", "exec <&-; exit 5"])
def test_a_command_that_never_reads(moat: Any, script: str) -> None:
    """Case 30: 500 KB for nobody; its exit code, and not a word about connections."""
    done = moat("run", "-i", "--", "sh", "-c", script, stdin=b"x" * 500_000)
    assert (done.returncode, done.stdout, done.stderr) == (5, "", "")


def test_stdin_is_empty_without_i(moat: Any) -> None:
    """A run without -i reads end of file at once, whatever our standard input holds."""
    assert moat("run", "--", "wc", "-c", stdin=b"secret").stdout == "0\n"


def test_a_paste_to_a_slow_program(moat: Any, terminal: Any) -> None:
    """Case 31: 1 MB typed into a raw program that reads slowly, while it prints."""
    script = (
        "import os, sys, termios, tty, hashlib\n"
        "tty.setraw(0)\n"
        "os.write(1, b'ready')\n"
        "digest, left = hashlib.sha256(), 1000000\n"
        "while left:\n"
        "    data = os.read(0, min(left, 512))\n"
        "    left -= len(data)\n"
        "    digest.update(data)\n"
        "    os.write(1, b'.')\n"
        "os.write(1, b'digest ' + digest.hexdigest().encode() + b' end')\n"
    )
    data = bytes(32 + n * 7 % 90 for n in range(MB))
    window = terminal("run", "-i", "-n", "x", "--", "python3", "-c", script)
    window.expect(rb"ready")
    for start in range(0, MB, 4096):
        window.send(data[start : start + 4096])
    assert (
        window.expect(rb"digest (\w+) end", timeout=TIMEOUT_S)[1].decode()
        == hashlib.sha256(data).hexdigest()
    )
    assert window.wait() == 0


def test_input_waits_for_the_next_supervisor(moat: Any) -> None:
    """A client whose supervisor died types on into the same command."""
    with moat.start("run", "-i", "-n", "x", "--", "cat") as run:
        run.stdin.write(b"one\n")
        run.stdin.flush()
        assert run.stdout.readline() == b"one\n"
        moat.kill("x", "supervisor")
        run.stdin.write(b"two\n")
        run.stdin.close()
        assert run.stdout.read() == b"two\n"
        assert run.wait(TIMEOUT_S) == 0
        assert run.stderr.read() == b""


def test_send_returns_when_it_was_taken(moat: Any) -> None:
    """`moat send` of more than any buffer, to a program that reads it all."""
    moat.ok("run", "-id", "-n", "x", "--", "sh", "-c", "head -c 1000000 | wc -c")
    moat.ok("send", "--stdin", "x", stdin=b"y" * MB)
    assert moat.ok("wait", "x") == "0\n"
    assert moat.ok("logs", "x") == "1000000\n"


def test_send_to_a_run_without_input(moat: Any) -> None:
    """A run that takes no input says how to start one that does."""
    moat.ok("run", "-d", "-n", "x", "--", "sleep", "1000")
    done = moat("send", "x", "hello\n")
    assert done.returncode == 125
    assert "moat run -i" in done.stderr
