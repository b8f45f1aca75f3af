"""The columns that text takes on a terminal. Pure.

Text of ASCII alone, which is nearly all there is, costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

_ELLIPSIS: Final = "…"
# Half a flag is as wide as a flag where the terminal doesn't join the two.
_REGIONAL_INDICATORS: Final = range(0x1F1E6, 0x1F200)

_EMOJI_FORM: Final = "\ufe0f"


def width(text: str) -> int:
    """Return the number of columns of printable text, rather too many where terminals differ."""
    return len(text) if text.isascii() else sum(_widths(text))


def widest(texts: Sequence[str]) -> int:
    """Return the columns of the widest of one or more texts."""
    return max(map(len if "".join(texts).isascii() else width, texts))


def padded(text: str, columns: int) -> str:
    """Return the text with spaces behind it up to so many columns."""
    if text.isascii():
        return text.ljust(columns)
    return text + " " * (columns - width(text))


def fitted(text: str, columns: int) -> str:
    """Cut printable text to so many columns, with an ellipsis where something is missing."""
    if width(text) <= columns:
        return text
    if columns < 1:
        return ""
    room = columns - 1
    count = 0
    for each in [1] * len(text) if text.isascii() else _widths(text):
        room -= each
        if room < 0:
            break
        count += 1
    return text[:count] + _ELLIPSIS


def _widths(text: str) -> list[int]:
    from unicodedata import category, east_asian_width  # noqa: PLC0415  most text is ASCII

    def columns(each: str) -> int:
        if each == _EMOJI_FORM:
            return 1  # it makes the character before a wide one
        if category(each) in {"Mn", "Me"}:  # drawn over the character before
            return 0
        is_wide = east_asian_width(each) in {"W", "F"} or ord(each) in _REGIONAL_INDICATORS
        return 2 if is_wide else 1

    return list(map(columns, text))
