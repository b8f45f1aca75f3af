"""The local terminal, taken and given back, on a real pty."""

from __future__ import annotations

import fcntl
import os
import struct
import termios
from typing import TYPE_CHECKING

import pytest

from moat.client.attach.terminal import LocalTerminal
from moat.spec import TerminalSize

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def pty() -> Iterator[tuple[int, int]]:
    """The keyboard's side and the program's."""
    fds = os.openpty()
    yield fds
    for fd in fds:
        os.close(fd)


def test_nothing_changes_before_it_is_taken(pty: tuple[int, int]) -> None:
    """To look at a terminal leaves it alone."""
    before = termios.tcgetattr(pty[1])
    with LocalTerminal(pty[1], pty[1]) as terminal:
        assert terminal.saved == before
        assert termios.tcgetattr(pty[1]) == before


def test_raw_keys_arrive_as_typed(pty: tuple[int, int]) -> None:
    """Control keys are no signals, nothing waits for a newline, and nothing is echoed."""
    typed = bytes([3, 4, 13, 17, 19, 22, 26, 28, 127, 255])
    with LocalTerminal(pty[1], pty[1]) as terminal:
        terminal.take(raw=True)
        os.write(pty[0], typed)
        assert os.read(pty[1], 100) == typed
        os.set_blocking(pty[0], False)
        with pytest.raises(BlockingIOError):
            os.read(pty[0], 100)


def test_cooked_output_stays_as_it_was(pty: tuple[int, int]) -> None:
    """Without raw a key comes at once and unseen, but a newline is still a new line."""
    with LocalTerminal(pty[1], pty[1]) as terminal:
        terminal.take(raw=False)
        os.write(pty[0], b"x")
        assert os.read(pty[1], 100) == b"x"
        os.write(pty[1], b"a\n")
        shown = b""
        while len(shown) < 3:  # the kernel hands it on in pieces
            shown += os.read(pty[0], 100)
        assert shown == b"a\r\n"
        assert termios.tcgetattr(pty[1])[3] & termios.ISIG


@pytest.mark.parametrize("raw", [True, False])
def test_it_is_given_back_over_an_exception(pty: tuple[int, int], raw: bool) -> None:
    """Case 19: whatever was thrown, every attribute is as it was; odd ones, too."""
    odd = termios.tcgetattr(pty[1])
    odd[3] &= ~termios.ECHOCTL
    odd[6][termios.VINTR] = b"\x07"
    termios.tcsetattr(pty[1], termios.TCSANOW, odd)
    before = termios.tcgetattr(pty[1])

    def fail() -> None:
        with LocalTerminal(pty[1], pty[1]) as terminal:
            terminal.take(raw=raw)
            assert termios.tcgetattr(pty[1]) != before
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert termios.tcgetattr(pty[1]) == before


def test_it_can_be_taken_again(pty: tuple[int, int]) -> None:
    """As after a suspension: what is given back in the end is what was there at first."""
    before = termios.tcgetattr(pty[1])
    with LocalTerminal(pty[1], pty[1]) as terminal:
        terminal.take(raw=True)
        terminal.restore()
        assert termios.tcgetattr(pty[1]) == before
        terminal.take(raw=True)
    assert termios.tcgetattr(pty[1]) == before


def test_its_size_is_the_windows(pty: tuple[int, int]) -> None:
    """80 by 24 where the terminal does not know, as serial lines do not."""
    with LocalTerminal(pty[1], pty[1]) as terminal:
        assert terminal.size() == TerminalSize(80, 24)
        fcntl.ioctl(pty[1], termios.TIOCSWINSZ, struct.pack("HHHH", 50, 132, 0, 0))
        assert terminal.size() == TerminalSize(132, 50)


def test_its_size_while_output_goes_elsewhere(pty: tuple[int, int]) -> None:
    """`moat attach > file` at a terminal: the keyboard's terminal has the size."""
    fcntl.ioctl(pty[1], termios.TIOCSWINSZ, struct.pack("HHHH", 50, 132, 0, 0))
    reader, writer = os.pipe()
    assert LocalTerminal(pty[1], writer).size() == TerminalSize(132, 50)
    os.close(reader)
    os.close(writer)


def test_it_is_given_back_once(pty: tuple[int, int]) -> None:
    """What somebody sets after that stays, whatever way out is taken then."""
    with LocalTerminal(pty[1], pty[1]) as terminal:
        terminal.take(raw=True)
        terminal.restore()
        changed = termios.tcgetattr(pty[1])
        changed[3] &= ~termios.ECHO
        termios.tcsetattr(pty[1], termios.TCSANOW, changed)
        terminal.restore()
    assert termios.tcgetattr(pty[1]) == changed


def test_a_closed_window_is_no_error_on_the_way_out() -> None:
    """Case 19: SIGHUP says that nobody is there to be given anything."""
    master, slave = os.openpty()
    with LocalTerminal(slave, slave) as terminal:
        terminal.take(raw=True)
        os.close(master)
        assert terminal.size() == TerminalSize()
    os.close(slave)


def test_a_pipe_is_no_terminal() -> None:
    """It is refused before anything is done to it."""
    reader, writer = os.pipe()
    with pytest.raises(termios.error):
        LocalTerminal(reader, writer)
    os.close(reader)
    os.close(writer)
