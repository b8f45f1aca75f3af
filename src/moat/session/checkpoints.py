"""The screens that a session gives to its journal, one for each segment that is worth it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from moat.session.terminal.screen import Screen

# To write a screen takes about as long as to emulate this many times as much output. Screens with
# scrollback of many colours have 20 MB, and others 0.2.
_OUTPUT_FOR_A_BYTE: Final = 2


class Checkpoints:
    """Decides which states of the screen are kept."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._last_at = 0
        self._last_size = 0

    def take(self, at: int) -> bytes | None:
        """Return the screen's state after `at` bytes of output.

        Return `None` where it can't be told, in a sequence too long to be kept, and where it isn't
        worth its size: too little output has come since the last one.
        """
        if at - self._last_at < _OUTPUT_FOR_A_BYTE * self._last_size:
            return None
        state = self._screen.snapshot()
        if state is not None:
            self._last_at, self._last_size = at, len(state)
        return state
