"""The user's terminal while `moat top` has it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

# The alternate screen, no cursor, and no line that wraps; then all of it undone.
_ENTER: Final = b"\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[m\x1b[2J"
_LEAVE: Final = b"\x1b[m\x1b[?7h\x1b[?25h\x1b[?1049l"
# What lies between is shown at once, by terminals that know it (synchronized output).
_BEGIN, _END = b"\x1b[?2026h", b"\x1b[?2026l"


class Painter:
    """Paints lines on the alternate screen, and of those only what has changed."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._shown: list[str] = []
        self._entered = False

    def enter(self) -> None:
        self._entered = True
        self.forget()

    def leave(self) -> None:
        """Give the screen back; any number of times."""
        if self._entered:
            self._entered = False
            self._write(_LEAVE)

    def forget(self) -> None:
        """Paint everything the next time: the terminal's size has changed, or who knows what."""
        self._shown = []
        self._write(_ENTER)

    def paint(self, lines: Sequence[str]) -> None:
        changed = [
            f"\x1b[{number};1H\x1b[m{line}\x1b[m\x1b[K"
            for number, line in enumerate(lines, 1)
            if number > len(self._shown) or line != self._shown[number - 1]
        ]
        self._shown = list(lines)
        if changed:
            self._write(_BEGIN + "".join(changed).encode() + _END)

    def _write(self, data: bytes) -> None:
        while data:
            data = data[os.write(self._fd, data) :]
