"""A line of Moat's own over the program's screen. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moat.columns import fitted, padded, width

if TYPE_CHECKING:
    from moat.spec import TerminalSize


def status_row(text: str, columns: int) -> bytes:
    """Draw `text` on an erased row of a terminal so wide.

    The last column stays free: a character there could wrap and scroll the program's screen.
    """
    return _drawn(f" moat: {text} ", columns)


def status_rows(text: str, columns: int) -> list[bytes]:
    """Draw the lines of `text` on rows below one another, all of one width."""
    first, *others = text.split("\n")
    if not others:
        return [status_row(text, columns)]
    lines = [f" moat: {first} ", *(f"       {each} " for each in others)]
    widest = min(max(map(width, lines)), columns - 1)
    return [_drawn(padded(each, widest), columns) for each in lines]


def over_last_row(text: str, size: TerminalSize) -> bytes:
    """Draw `text` over the last row of the screen, and put the cursor back."""
    drawn = status_row(text, size.columns)
    return b"\x1b7\x1b[%d;1H\x1b[m\x1b[2K%b\x1b8" % (size.rows, drawn)


def _drawn(text: str, columns: int) -> bytes:
    shown = "".join(each if each.isprintable() else "?" for each in text)
    return b"\x1b[7m%b\x1b[m" % fitted(shown, columns - 1).encode()
