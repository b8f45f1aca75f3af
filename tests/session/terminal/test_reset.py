"""Giving a terminal back, as an emulator of one understands it."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from moat.session.terminal import ghostty, modes
from moat.session.terminal.ghostty_abi import Data
from moat.session.terminal.reset import CANCEL, reset_sequence

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from moat.session.terminal.ghostty import Terminal

# All that a program can turn on, and off. 2026 last: terminals stop drawing.
EVERYTHING = (
    b"".join(
        b"\x1b[?%dh" % number
        for number, (_, restoring) in modes.DEC.items()
        if restoring in (modes.Restoring.ALWAYS, modes.Restoring.NEVER) and number not in (3, 40)
    )
    + b"\x1b[?2048h\x1b[?7l\x1b[?25l\x1b[4h\x1b[20h\x1b=\x1b[?45h\x1b[?1045h\x1b[?5522h"
    + b"\x1b[>31u\x1b[>5u\x1b[=3u\x1b[>4;2m\x1b[3 q\x1b[1;3;31;44m\x1b]8;;http://x\x1b\\"
    + b"\x1b(0\x1b)0\x0e\x1b]11;rgb:ff/00/00\x1b\\\x1b[3g\x1b[?69h\x1b[5;30s\x1b[3;9r\x1b[?2026h"
)
ORIGIN = b"\x1b[?6h\x1b[2;2H"
ALTERNATES = [1049, 1047, 47]


@pytest.fixture
def terminal() -> Iterator[Callable[[], Terminal]]:
    made: list[Terminal] = []

    def make() -> Terminal:
        made.append(ghostty.start(40, 12))
        return made[-1]

    yield make
    for each in made:
        each.close()


def state(terminal: Terminal) -> dict[str, object]:
    """All that a program may have changed, but the place of the cursor."""
    return {
        **modes.states(terminal),
        "screen": terminal.get(Data.ACTIVE_SCREEN),
        "keyboard": terminal.get(Data.KITTY_KEYBOARD_FLAGS),
        "shape": terminal.cursor_shape(),
    }


def cursor(terminal: Terminal) -> tuple[int, int]:
    return terminal.get(Data.CURSOR_X), terminal.get(Data.CURSOR_Y)


def written(terminal: Terminal) -> bytes:
    """What text looks like that is written next."""
    terminal.write(b"\x1b[2J\x1b[Habqx\tx\x1b[5;1H\n\n\n\n\n\n\n\n\nend\x1b[1;1Hi")
    return terminal.format(ghostty.Emit.VT, ghostty.Region(0, 0, 39, 11))


@pytest.mark.parametrize("screen", [0, *ALTERNATES])
@pytest.mark.parametrize("origin", [b"", ORIGIN])
def test_every_mode_is_off(terminal: Callable[[], Terminal], screen: int, origin: bytes) -> None:
    """Case 19: a program that turned on all there is leaves a terminal as good as new."""
    used, fresh = terminal(), terminal()
    used.write(b"\x1b[4;7H" + (b"\x1b[?%dh" % screen if screen else b"") + EVERYTHING + origin)
    assert state(used) != state(fresh)
    used.write(CANCEL + reset_sequence(alternate=screen != 0))
    # As a fresh one, where nothing was changed; the reset names some modes off that are off there.
    fresh.write(reset_sequence(alternate=False))
    assert state(used) == state(fresh)
    assert not any(state(terminal())[name] != value for name, value in state(used).items())
    assert written(used) == written(fresh)


@pytest.mark.parametrize("alternate", [True, False])
def test_a_new_terminal_is_left_as_it_is(terminal: Callable[[], Terminal], alternate: bool) -> None:
    """Nothing in it turns anything on, or is shown."""
    used, fresh = terminal(), terminal()
    used.write(CANCEL + reset_sequence(alternate=alternate))
    assert state(used) == state(fresh)
    assert cursor(used) == (0, 0)
    assert written(used) == written(fresh)


def test_the_cursor_of_the_primary_screen_comes_back(terminal: Callable[[], Terminal]) -> None:
    """Where it was when the program entered the alternate screen, with what was there."""
    used = terminal()
    used.write(b"\x1b[4;7Hmoat\x1b[?1049h\x1b[2J\x1b[9;9Hvim" + EVERYTHING + ORIGIN)
    used.write(CANCEL + reset_sequence(alternate=True))
    assert cursor(used) == (10, 3)
    assert (
        used.format(ghostty.Emit.PLAIN, ghostty.Region(0, 3, 39, 3), trim=True).strip() == b"moat"
    )


def test_not_to_know_the_screen_moves_nothing(terminal: Callable[[], Terminal]) -> None:
    """Leaving an alternate screen that was not entered: neither to a saved cursor nor home."""
    used = terminal()
    used.write(b"\x1b[2;2H\x1b7\x1b[4;7Hmoat\x1b[3;9r\x1b[6;11H")
    used.write(CANCEL + reset_sequence(alternate=True))
    assert cursor(used) == (10, 5)
    assert not used.get(Data.ACTIVE_SCREEN)


def test_keyboard_stacks_of_both_screens_are_emptied(terminal: Callable[[], Terminal]) -> None:
    """Each screen has its own, and what is under the top would come back with the next pop."""
    used = terminal()
    used.write(b"\x1b[>1u\x1b[>3u\x1b[?1049h" + b"\x1b[>15u" * 8)
    used.write(reset_sequence(alternate=True))
    for enter in (b"", b"\x1b[<u", b"\x1b[?1049h", b"\x1b[<u"):
        used.write(enter)
        assert used.get(Data.KITTY_KEYBOARD_FLAGS) == 0


@pytest.mark.parametrize(
    "unfinished", [b"\x1b[12", b"\x1b]0;title", b"\x1bP1;2q#0", b"\x1b_G", b"\x1b"]
)
def test_a_sequence_cut_in_two_does_not_swallow_it(
    terminal: Callable[[], Terminal], unfinished: bytes
) -> None:
    """The painter may have died in the middle of any."""
    used, fresh = terminal(), terminal()
    used.write(EVERYTHING + unfinished + CANCEL + reset_sequence(alternate=False))
    assert state(used) == state(fresh)


def test_tmux_is_given_back(tmp_path: Path) -> None:
    """A terminal that ignores 1049 in its primary screen: the cursor stays, and no text appears."""
    sequence = tmp_path / "sequence"
    left = b"one\r\ntwo\r\nthree" + EVERYTHING + b"\x1b[3;6H"
    sequence.write_bytes(left + CANCEL + reset_sequence(alternate=True))
    tmux = ["tmux", "-S", str(tmp_path / "socket"), "-f", os.devnull]
    program = f"cat {sequence}; tmux -S {tmp_path}/socket wait-for -S done; exec cat"
    shown = "#{cursor_x},#{cursor_y} #{cursor_flag}#{insert_flag}#{keypad_flag}#{mouse_any_flag}"
    try:
        subprocess.run([*tmux, "new-session", "-d", "-x", "40", "-y", "12", program], check=True)
        subprocess.run([*tmux, "wait-for", "done"], check=True)
        done = subprocess.run(
            [*tmux, "display-message", "-p", f"{shown} #{{alternate_on}}"],
            check=True, capture_output=True, text=True,
        )  # fmt: skip
        screen = subprocess.run([*tmux, "capture-pane", "-p"], check=True, capture_output=True)
    finally:
        subprocess.run([*tmux, "kill-server"], check=True)
    assert done.stdout == "5,2 1000 0\n"
    assert screen.stdout.split() == [b"one", b"two", b"three"]
