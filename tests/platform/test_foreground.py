"""Who is in the foreground of a terminal, asked by somebody whom it doesn't control."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest
from tests.foreground_process import ForegroundProcess

from moat.platform.foreground import Foreground

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def terminal() -> Iterator[int]:
    keyboard, terminal = os.openpty()
    yield terminal
    os.close(terminal)
    os.close(keyboard)


def of(process: ForegroundProcess, terminal: int) -> Foreground:
    foreground = Foreground.of(process.pid, terminal)
    assert foreground is not None
    return foreground


def test_in_front_and_behind(terminal: int) -> None:
    """As often as it changes, and without the process's help."""
    with ForegroundProcess(terminal) as process:
        foreground = of(process, terminal)
        for _ in range(2):
            assert foreground.is_held()
            process.background()
            assert not foreground.is_held()
            process.foreground()
        foreground.close()


def test_a_stopped_process_holds_nothing(terminal: int) -> None:
    """A shell is about to take the terminal, if it has not yet."""
    with ForegroundProcess(terminal) as process:
        foreground = of(process, terminal)
        process.stop_and_go(signal.SIGSTOP)
        assert not foreground.is_held()
        foreground.close()


def test_a_dead_process_holds_nothing(terminal: int) -> None:
    """Neither before its parent knows, nor afterwards, when its number may be another's."""
    with ForegroundProcess(terminal) as process:
        foreground = of(process, terminal)
        process.end()
        assert not foreground.is_held()
        process.process.wait()
        assert not foreground.is_held()
        assert Foreground.of(process.pid, terminal) is None
        foreground.close()


def test_a_terminal_that_does_not_control_it(terminal: int) -> None:
    """Nothing can be known of that: neither for ours, nor for a process without any."""
    keyboard, other = os.openpty()
    with ForegroundProcess(terminal) as process:
        assert Foreground.of(process.pid, other) is None
    assert Foreground.of(os.getpid(), other) is None
    os.close(other)
    os.close(keyboard)
