"""The lines of what a program has written to the real emulator."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from moat.client.display.styled import lines
from moat.session.terminal.screen import Screen
from moat.spec import TerminalSize

if TYPE_CHECKING:
    from moat.client.display.styled import Line


def shown(output: bytes) -> list[Line]:
    with closing(Screen(TerminalSize(40, 5), 0)) as screen:
        screen.feed(output)
        return lines(screen.html())
