"""A terminal that a client has passed: painted, and given back."""

from __future__ import annotations

import asyncio
import os
import termios
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.supervisor.terminals import TIMEOUT_S, UsersTerminal

from moat.session.journal.index import Stream
from moat.supervisor.client_tty import PassedTerminal

if TYPE_CHECKING:
    from collections.abc import Iterator

OUT = Stream.STDOUT
FLOOD = b"x" * 4096


@pytest.fixture
def window() -> Iterator[UsersTerminal]:
    with UsersTerminal() as window:
        yield window


class Passed:
    """The supervisor's end, and what it was told."""

    def __init__(self, fd: int, saved: list[Any]) -> None:
        self.drained = asyncio.Event()
        self.broken: list[OSError] = []
        self.left_over: list[bytes] = []
        self.terminal = PassedTerminal(
            fd,
            saved,
            asyncio.get_running_loop(),
            drained=self.drained.set,
            broken=self.broken.append,
            left_over=self.left_over.append,
        )


@pytest.fixture
async def passed(window: UsersTerminal) -> Passed:
    return Passed(window.fd, window.saved)


def fill(terminal: PassedTerminal) -> None:
    while not terminal.queued:
        terminal.output(OUT, FLOOD)


async def test_a_terminal_is_painted(window: UsersTerminal, passed: Passed) -> None:
    """At once, without the flags of the descriptor that its client uses, too."""
    passed.terminal.output(OUT, b"hello")
    assert window.rows[0] == "hello"
    assert os.get_blocking(window.fd)
    assert passed.terminal.name == os.ttyname(window.fd)
    passed.terminal.close()


async def test_a_slow_terminal_is_painted_later(window: UsersTerminal, passed: Passed) -> None:
    """In order, and one hears when all of it was taken."""
    fill(passed.terminal)
    passed.terminal.output(OUT, b"last")
    assert passed.terminal.queued > 4
    async with asyncio.timeout(TIMEOUT_S):
        await window.until(passed.drained.is_set)
    window.draw()
    assert window.output.endswith(b"xlast")
    assert passed.terminal.queued == 0
    passed.terminal.close()


async def test_last_bytes_go_around_the_queue(window: UsersTerminal, passed: Passed) -> None:
    """As many as the terminal takes at once: none where it is full. A closed one leaves no rest."""
    assert passed.terminal.write_now(b"end") == b""
    assert window.draw() == b"end"
    window.fill()
    assert passed.terminal.write_now(b"end") == b"end"
    window.close()
    assert passed.terminal.write_now(b"end") == b""
    passed.terminal.close()


async def test_a_full_terminal_is_emptied_for_what_overwrites(
    window: UsersTerminal, passed: Passed
) -> None:
    """Modes that are turned off matter more than output that nobody has looked at."""
    fill(passed.terminal)
    passed.terminal.overwrite(b"modes off")
    assert passed.terminal.queued == 0
    assert window.draw().endswith(b"modes off")
    passed.terminal.output(OUT, b"painted later")
    assert window.draw() == b"painted later"
    passed.terminal.close()


async def test_a_dead_client_s_terminal_is_given_back(
    window: UsersTerminal, passed: Passed
) -> None:
    """The modes first, then echo and line editing."""
    passed.terminal.output(OUT, b"\x1b[?25l")
    passed.terminal.restore_for_dead_client(b"\x1b[?25h")
    assert window.draw().endswith(b"\x1b[?25h")
    assert window.line_discipline == window.saved
    passed.terminal.close()


async def test_a_terminal_that_another_has_set_up_is_left_alone(
    window: UsersTerminal, passed: Passed
) -> None:
    """A shell that was there first has its own line editing by now."""
    theirs = window.line_discipline
    theirs[3] |= termios.ECHO
    termios.tcsetattr(window.fd, termios.TCSANOW, theirs)
    passed.terminal.restore_for_dead_client(b"")
    assert window.line_discipline == theirs
    passed.terminal.close()


async def test_a_terminal_whose_settings_are_not_known(window: UsersTerminal) -> None:
    """Its client has sent none, so there is nothing to restore, and nothing is written."""
    passed = Passed(window.fd, [])
    before = window.line_discipline
    passed.terminal.restore_for_dead_client(b"modes off")
    assert window.line_discipline == before
    assert window.draw() == b""
    passed.terminal.close()


async def test_a_closed_window(window: UsersTerminal, passed: Passed) -> None:
    """One hears of it, and there is nothing to give back; that is no error."""
    window.close()
    passed.terminal.output(OUT, b"x")
    assert len(passed.broken) == 1
    passed.terminal.restore_for_dead_client(b"modes off")
    passed.terminal.close()


async def test_settings_that_are_nonsense(window: UsersTerminal) -> None:
    """A client sends what it likes; the terminal stays as it is."""
    before = window.line_discipline
    passed = Passed(window.fd, [1 << 80, *window.saved[1:]])
    passed.terminal.restore_for_dead_client(b"")
    assert window.line_discipline == before
    passed.terminal.close()


def open_descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


async def test_a_pipe_is_no_terminal() -> None:
    """It can be opened, but not painted; and it is closed again."""
    read, write = os.pipe()
    before = open_descriptors()
    with pytest.raises(termios.error):
        Passed(write, [])
    assert open_descriptors() == before
    os.close(read)
    os.close(write)
