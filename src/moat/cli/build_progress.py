"""The progress of a build, on standard error."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Final

from moat.columns import fitted
from moat.printable import without_controls

if TYPE_CHECKING:
    from collections.abc import Sequence

_CLEAR: Final = "\r\x1b[K"


class BuildProgress:
    """Shows a line for each step and, on a terminal, the line that it has written last.

    Implements `client.images.Progress`.
    """

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._titles: Sequence[str] = ()
        self._shows_line = False

    def waits(self) -> None:
        self._say("another image is being made for this store; waiting for its end")

    def begins(self, titles: Sequence[str]) -> None:
        self._titles = titles
        self._say(f"making an image, once for these dependencies: {', '.join(titles)}")

    def step(self, number: int) -> None:
        if self._terminal:
            self._say(f"{number + 1}/{len(self._titles)} {self._titles[number]}")

    def line(self, text: str) -> None:
        if self._terminal:
            columns = os.get_terminal_size(2).columns or 80
            sys.stderr.write(f"{_CLEAR}{fitted(f'      {text}', columns - 1)}")
            sys.stderr.flush()
            self._shows_line = True

    def fails(self, last_lines: Sequence[str]) -> None:
        self.ends()
        sys.stderr.write("".join(f"  {each}\n" for each in last_lines))

    def ends(self) -> None:
        if self._shows_line:
            sys.stderr.write(_CLEAR)
            self._shows_line = False

    def _say(self, text: str) -> None:
        self.ends()
        sys.stderr.write(f"moat: {without_controls(text)}\n")
