"""A line of our own on the program's screen. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from moat.spec import TerminalSize


def bar(text: str, size: TerminalSize) -> bytes:
    """Draws `text` on the last row, instead of all that is there, and puts the cursor back.

    The last column stays free. What does not fit would wrap, and scroll the program's screen.
    """
    line = _cut(f" moat: {text} ", size.columns - 1).encode()
    return b"\x1b7\x1b[%d;1H\x1b[m\x1b[2K\x1b[7m%b\x1b[m\x1b8" % (size.rows, line)


def _cut(text: str, columns: int) -> str:
    """What fits of it, with a sign that something is missing."""
    text = "".join(each if each.isprintable() else "?" for each in text)
    widths = [1] * len(text) if text.isascii() else _widths(text)
    if sum(widths) <= columns:
        return text
    room = columns - 1
    kept = 0
    while kept < len(text) and widths[kept] <= room:
        room -= widths[kept]
        kept += 1
    return text[:kept] + "…" if columns > 0 else ""


def _widths(text: str) -> list[int]:
    """Columns of each character, rather too many: a combining one counts for one."""
    from unicodedata import east_asian_width  # noqa: PLC0415  paths alone are not ASCII

    # Half a flag is as wide as a whole one where they are not joined.
    flags = range(0x1F1E6, 0x1F200)
    return [2 if east_asian_width(each) in {"W", "F"} or ord(each) in flags else 1 for each in text]
