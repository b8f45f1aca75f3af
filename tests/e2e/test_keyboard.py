"""The keyboard that the supervisor reads: whose the keys are, and what becomes of them."""

from __future__ import annotations

import os
import signal
import termios
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.e2e.conftest import COMMAND

from moat.platform.tty import LFLAG

if TYPE_CHECKING:
    from collections.abc import Callable

P = b"\x1f"
TYPED = b"for whoever is in the foreground"


@pytest.mark.parametrize("number", [signal.SIGSTOP, signal.SIGTSTP])
def test_what_is_typed_at_the_shell_is_the_shells(
    byte_log: Callable[..., Any], number: int
) -> None:
    """While the client is stopped the supervisor leaves each key; then they are the program's again."""
    app = byte_log()
    app.window.kill(number)
    app.window.wait_stopped()
    shell = app.window.termios()
    shell[LFLAG] &= ~(termios.ICANON | termios.ECHO)
    app.window.set_termios(shell)
    app.window.send(TYPED)
    app.window.linger(0.3)
    assert app.window.read_as_shell(len(TYPED)) == TYPED
    app.window.foreground()
    app.window.send(b"back")
    app.window.expect(rb"got [0-9a-f]*6b;")
    assert app.typed() == b"back"


def test_a_client_that_is_put_into_the_background(byte_log: Callable[..., Any]) -> None:
    """Nobody has stopped it. The first key does, as the kernel would have; it comes back with `fg`."""
    app = byte_log()
    app.window.take_foreground()
    app.window.send(b"a")
    assert app.window.wait_stopped() == signal.SIGTTIN
    app.window.foreground()
    app.window.send(b"b")
    app.window.expect(rb"got [0-9a-f]*62;")
    assert app.typed() == b"ab"


def test_keys_typed_before_the_client_came(byte_log: Callable[..., Any], terminal: Any) -> None:
    """They wait in the terminal, and are the program's: in order, once, commands among them."""
    app = byte_log()
    app.window.send(P + b"d")
    assert app.window.wait() == 0
    window = terminal("-c", f"read line; exec {COMMAND} attach x", command="sh")
    window.send(b"line\n")
    window.send(b"early" + P + P + P + b"d")
    assert window.wait() == 0
    assert app.typed() == b"early" + P
    assert "detached" in window.screen.text()


def test_a_supervisor_that_dies_in_a_paste(moat: Any, byte_log: Callable[..., Any]) -> None:
    """The next one knows that it is in the middle: the escape keys in there are text."""
    app = byte_log()
    app.window.send(b"\x1b[200~first")
    app.got(b"\x1b[200~first")
    moat.kill("x", "supervisor")
    app.window.send(P + b"d second\x1b[201~")
    app.window.expect(rb"got [0-9a-f]*7e;")
    assert app.typed_here() == b"\x1b[200~first" + P + b"d second\x1b[201~"


SLOW = """\
import os, sys, tty
tty.setraw(0)
os.write(1, b"ready")
os.read(os.open("go", os.O_RDONLY), 1)
left = int(sys.argv[1])
with open("typed", "wb") as file:
    while left:
        data = os.read(0, left)
        left -= len(data)
        file.write(data)
os.write(1, b"complete")
"""


def test_a_supervisor_that_dies_with_unread_input(moat: Any, terminal: Any) -> None:
    """What it held for a program that did not read, the client gives to the next: all of it, once."""
    data = bytes(97 + n % 26 for n in range(150_000))
    (moat.workspace / "slow.py").write_text(SLOW)
    os.mkfifo(moat.workspace / "go")
    command = ("python3", "slow.py", str(len(data)))
    window = terminal("run", "-i", "-n", "x", "--", *command)
    window.expect(rb"ready")
    for start in range(0, len(data), 3000):
        window.send(data[start : start + 3000])
    window.keys_are_read()
    moat.ok("screen", "x")  # answered behind the keys, of which the client knows then
    moat.kill("x", "supervisor")
    with (moat.workspace / "go").open("wb") as go:
        go.write(b"!")
    window.expect(rb"complete")
    assert (moat.workspace / "typed").read_bytes() == data


def test_a_supervisor_that_hangs_is_left(moat: Any, byte_log: Callable[..., Any]) -> None:
    """The client takes the keyboard back, so that the user can leave."""
    app = byte_log()
    supervisor = moat.supervisor("x")
    os.kill(supervisor, signal.SIGSTOP)
    app.window.send(P + b"d")
    assert app.window.wait() == 0
    assert "detached from a supervisor that does not answer" in app.window.screen.text()
    os.kill(supervisor, signal.SIGCONT)
    assert app.typed() == b""


def test_a_supervisor_that_hung_for_a_while(moat: Any, byte_log: Callable[..., Any]) -> None:
    """Keys from before, during and after: all of them, in order."""
    app = byte_log()
    supervisor = moat.supervisor("x")
    app.window.send(b"before ")
    app.window.expect(rb"got [0-9a-f]*20;")
    os.kill(supervisor, signal.SIGSTOP)
    for key in b"during ":
        app.window.send(bytes([key]))
        app.window.linger(0.6)
    os.kill(supervisor, signal.SIGCONT)
    app.window.send(b"after")
    assert app.typed_here() == b"before during after"


def test_the_client_sleeps_while_the_supervisor_reads(byte_log: Callable[..., Any]) -> None:
    """No switch to the client for each key: that is what this is for."""
    app = byte_log()

    def switches() -> int:
        status = Path(f"/proc/{app.window.pid}/status").read_text()
        return int(status.partition("\nvoluntary_ctxt_switches:")[2].split()[0])

    app.window.send(b"x")
    app.window.expect(rb"got 78;")
    before, begun = switches(), time.monotonic()
    for _ in range(100):
        app.window.send(b"y")
        app.window.expect(rb"got (79)+;")
    # It looks once a second whether the keys are read, and asks about those that are not.
    assert switches() - before < 40 + 4 * (time.monotonic() - begun)
    assert app.typed() == b"x" + 100 * b"y"
