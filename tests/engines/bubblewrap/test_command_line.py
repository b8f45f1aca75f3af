"""Bubblewrap's command line."""

from __future__ import annotations

import pytest

from moat.engines.bubblewrap import command_line
from moat.engines.bubblewrap.mounts import FIRST_DESCRIPTOR


def test_the_command_comes_last_and_untouched() -> None:
    """Whatever it looks like: nothing in it is bubblewrap's, the shell's or a format's."""
    command = ("--bind", "{ctty}", "$1", "/proc/self/fd/5")
    argv = command_line.command_line("/usr/bin/bwrap", command, tty=True, stdin=True, waits=False)
    assert argv[0] == "/usr/bin/bwrap"
    assert tuple(argv[-4:]) == command
    assert argv.index("--") < len(argv) - 4


@pytest.mark.parametrize("tty", [False, True])
def test_only_a_command_with_a_terminal_gets_one(tty: bool) -> None:
    """It is shown as the console, and becomes the controlling terminal."""
    argv = command_line.command_line("bwrap", ("true",), tty=tty, stdin=tty, waits=False)
    assert ("/dev/console" in argv) is tty
    (script,) = (word for word in argv if "setsid" in word)
    assert ("setsid -c " in script) is tty


@pytest.mark.parametrize(
    ("tty", "stdin", "streams"),
    [
        (True, True, "exec <>/dev/console >&0 2>&0 "),
        (False, True, "exec <&4 >&5 2>&6 "),
        (False, False, "exec </dev/null >&5 2>&6 "),
    ],
)
def test_no_device_of_the_host_is_a_stream(tty: bool, stdin: bool, streams: str) -> None:
    """A terminal and /dev/null are those that the sandbox shows; only pipes come from the shim."""
    argv = command_line.command_line("bwrap", ("true",), tty=tty, stdin=stdin, waits=False)
    assert argv[argv.index("-c") + 1].startswith(streams)


@pytest.mark.parametrize("waits", [False, True])
def test_the_command_waits_for_the_shim_where_it_must(waits: bool) -> None:
    """It waits after it has told its pid, and before the socket on which it does so is closed."""
    argv = command_line.command_line("bwrap", ("true",), tty=False, stdin=False, waits=waits)
    script = argv[argv.index("-c") + 1]
    assert ("echo >&3; read -r _ <&3; exec 3>&-" in script) is waits


def test_no_number_is_taken_twice() -> None:
    """Each descriptor has its own, below those of the mounts."""
    numbers = [
        *command_line.NUMBERS.values(),
        command_line.ARGUMENTS,
        command_line.SECCOMP,
        command_line.PROGRAM,
    ]
    assert len({0, 1, 2, *numbers}) == 3 + len(numbers)
    assert max(numbers) < FIRST_DESCRIPTOR
