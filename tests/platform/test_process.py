"""Processes by descriptor: the one that was meant, or none."""

from __future__ import annotations

import select
import subprocess
from contextlib import ExitStack

import pytest

from moat.platform.process import Process


def test_a_process_is_known_by_its_arguments_and_killed() -> None:
    """The call returns when it has ended; its descriptor says so, too."""
    command = ["cat", "-"]
    with (
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child,
        Process(child.pid) as process,
    ):
        _converse(child)
        assert process.arguments() == [b"cat", b"-", b""]
        assert not select.select([process], [], [], 0)[0]
        process.kill()
        assert select.select([process], [], [], 0)[0]


def _converse(cat: subprocess.Popen[bytes]) -> None:
    """Return when `cat` is at work: before, the kernel may not have its arguments yet."""
    assert cat.stdin is not None
    assert cat.stdout is not None
    cat.stdin.write(b"x")
    cat.stdin.flush()
    assert cat.stdout.read(1) == b"x"


def test_a_process_that_has_ended_is_nobody() -> None:
    """It has no arguments that could be taken for somebody's, and can be killed in vain."""
    with subprocess.Popen(["true"]) as child, Process(child.pid) as process:
        child.wait()
        assert process.arguments() == []
        process.kill()
    with pytest.raises(ProcessLookupError):
        Process(child.pid)


def test_the_processes_that_a_process_has_started() -> None:
    """At any depth; whoever kills the first can wait for all of them."""
    nested = ["sh", "-c", """sh -c 'sh -c "echo; read line; true"; true'; true"""]
    with (
        subprocess.Popen(nested, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child,
        Process(child.pid) as process,
        ExitStack() as stack,
    ):
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stdout.read(1) == b"\n"
        started = [stack.enter_context(each) for each in process.descendants()]
        assert len(started) == 2
        child.stdin.close()
        for each in started:
            each.wait()
            assert list(each.descendants()) == []
