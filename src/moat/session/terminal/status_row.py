"""A line of Moat's own over the program's screen. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from moat.spec import TerminalSize


def status_row(text: str, columns: int) -> bytes:
    """Draw `text` on an erased row of a terminal so wide.

    The last column stays free: a character there could wrap and scroll the program's screen.
    """
    return b"\x1b[7m%b\x1b[m" % _fitted(f" moat: {text} ", columns - 1).encode()


def over_last_row(text: str, size: TerminalSize) -> bytes:
    """Draw `text` over the last row of the screen, and put the cursor back."""
    drawn = status_row(text, size.columns)
    return b"\x1b7\x1b[%d;1H\x1b[m\x1b[2K%b\x1b8" % (size.rows, drawn)


def _fitted(text: str, columns: int) -> str:
    """Cut the text to so many columns, with an ellipsis where something is missing."""
    text = "".join(each if each.isprintable() else "?" for each in text)
    widths = [1] * len(text) if text.isascii() else _widths(text)
    if sum(widths) <= columns:
        return text
    room = columns - 1
    count = 0
    while count < len(text) and widths[count] <= room:
        room -= widths[count]
        count += 1
    return text[:count] + "…" if columns > 0 else ""


def _widths(text: str) -> list[int]:
    """Return the columns of each character, rather too many: a combining character counts as one."""
    from unicodedata import east_asian_width  # noqa: PLC0415  only paths are not ASCII

    # Regional indicators. Half a flag is as wide as a flag where the terminal doesn't join the two.
    flags = range(0x1F1E6, 0x1F200)
    return [2 if east_asian_width(each) in {"W", "F"} or ord(each) in flags else 1 for each in text]
