"""Line disciplines, on real ptys; and giving one back beside a shell that has taken it."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import termios
from typing import TYPE_CHECKING

import pytest

from moat.platform import tty

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def terminal() -> Iterator[int]:
    """The program's side of a pty."""
    ours, theirs = os.openpty()
    yield theirs
    os.close(ours)
    os.close(theirs)


def _set(fd: int, attributes: tty.Attributes) -> tty.Attributes:
    termios.tcsetattr(fd, termios.TCSANOW, attributes)
    return termios.tcgetattr(fd)


def test_raw_is_what_the_c_library_makes(terminal: int) -> None:
    """cfmakeraw(3), bit by bit, from the oddest attributes that there are."""
    odd = termios.tcgetattr(terminal)
    odd[tty.IFLAG] |= (
        termios.IGNBRK | termios.BRKINT | termios.PARMRK | termios.ISTRIP
        | termios.INLCR | termios.IGNCR | termios.ICRNL | termios.IXON | termios.IXANY
    )  # fmt: skip
    odd[tty.LFLAG] |= termios.ECHONL
    odd[tty.CFLAG] = odd[tty.CFLAG] & ~termios.CSIZE | termios.CS7 | termios.PARENB
    before = _set(terminal, odd)
    raw = tty.raw(before)
    assert raw[tty.IFLAG] & ~termios.IXANY == 0
    assert raw[tty.OFLAG] == before[tty.OFLAG] & ~termios.OPOST
    assert raw[tty.LFLAG] & (
        termios.ECHO | termios.ECHONL | termios.ICANON | termios.ISIG | termios.IEXTEN
    ) == 0  # fmt: skip
    assert raw[tty.CFLAG] & (termios.CSIZE | termios.PARENB) == termios.CS8
    assert (raw[tty.CC][termios.VMIN], raw[tty.CC][termios.VTIME]) == (1, 0)
    assert termios.tcgetattr(terminal) == before  # a copy was changed


# --- for a client that is dead ---


def test_a_dead_clients_terminal_is_restored(terminal: int) -> None:
    """Case 20: it is as the client left it, so nobody else has it."""
    saved = termios.tcgetattr(terminal)
    raw = _set(terminal, tty.raw(saved))
    tty.restore_if_still_raw(terminal, raw, saved)
    assert termios.tcgetattr(terminal) == saved


def test_a_shells_terminal_is_left_alone(terminal: int) -> None:
    """Case 20: the shell came first, and edits its line in a mode of its own."""
    saved = termios.tcgetattr(terminal)
    raw = _set(terminal, tty.raw(saved))
    shells = _set(terminal, tty.unbuffered(saved))
    tty.restore_if_still_raw(terminal, raw, saved)
    assert termios.tcgetattr(terminal) == shells


@pytest.mark.parametrize("index", range(7))
def test_what_cannot_be_restored_is_an_os_error(terminal: int, index: int) -> None:
    """What a client sent is not trusted; and the window may be closed by now."""
    saved = termios.tcgetattr(terminal)
    raw = _set(terminal, tty.raw(saved))
    nonsense = [*saved[:index], [] if index == tty.CC else 1 << 70, *saved[index + 1 :]]
    with pytest.raises(OSError):
        tty.restore_if_still_raw(terminal, raw, nonsense)
    ours, theirs = os.openpty()
    os.close(ours)
    with pytest.raises(OSError):
        tty.restore_if_still_raw(theirs, raw, saved)
    os.close(theirs)


# --- for a client that lives ---

# A shell with job control, and a job in the background, that gives the terminal back.
SHELL = """
import os, signal, sys, termios
from moat.platform import tty

terminal = os.open(sys.argv[1], os.O_RDWR)  # controls us: we lead a session
signal.signal(signal.SIGTTOU, signal.SIG_IGN)
saved = termios.tcgetattr(terminal)
read, write = os.pipe()
job = os.fork()
if job == 0:
    signal.signal(signal.SIGTTOU, signal.SIG_DFL)
    os.read(read, 1)
    tty.give_back(terminal, tty.raw(saved), saved)
    os._exit(signal.SIGTTOU in signal.pthread_sigmask(signal.SIG_BLOCK, ()))
os.setpgid(job, job)
ours = {"raw": tty.raw(saved), "unbuffered": tty.unbuffered(saved)}[sys.argv[2]]
termios.tcsetattr(terminal, termios.TCSANOW, ours)
if sys.argv[3] == "foreground":
    os.tcsetpgrp(terminal, job)
os.write(write, b"x")
_, status = os.waitpid(job, os.WUNTRACED)
if os.WIFSTOPPED(status):
    os.kill(job, signal.SIGKILL)
    sys.exit("the job was stopped")
now = termios.tcgetattr(terminal)
print("restored" if now == saved else "left" if now == ours else now, status)
"""


@pytest.mark.parametrize(
    ("set_by_shell", "ground", "outcome"),
    [
        ("raw", "foreground", "restored"),
        ("raw", "background", "restored"),
        ("unbuffered", "foreground", "restored"),
        ("unbuffered", "background", "left"),
    ],
)
def test_giving_back_beside_a_shell(set_by_shell: str, ground: str, outcome: str) -> None:
    """Case 19: never stopped for it (SIGTTOU), and never against the shell that has the terminal."""
    ours, theirs = os.openpty()
    done = subprocess.run(
        [sys.executable, "-c", SHELL, os.ttyname(theirs), set_by_shell, ground],
        start_new_session=True, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.split() == [outcome, "0"]
    os.close(theirs)
    os.close(ours)


def test_a_terminal_that_hung_up_needs_nothing() -> None:
    """Its window was closed: no error on the way out."""
    ours, theirs = os.openpty()
    saved = termios.tcgetattr(theirs)
    os.close(ours)
    tty.give_back(theirs, tty.raw(saved), saved)
    os.close(theirs)


def test_a_stopped_terminal_is_given_back_at_once() -> None:
    """Case 19: Ctrl-S was pressed, and output waits that nobody will read."""
    ours, theirs = os.openpty()
    saved = termios.tcgetattr(theirs)
    raw = _set(theirs, tty.raw(saved))
    os.set_blocking(theirs, False)
    while select.select((), (theirs,), (), 0)[1]:
        os.write(theirs, b"x" * 4096)
    termios.tcflow(theirs, termios.TCOOFF)
    tty.give_back(theirs, raw, saved)
    assert termios.tcgetattr(theirs) == saved
    os.close(theirs)
    os.close(ours)
