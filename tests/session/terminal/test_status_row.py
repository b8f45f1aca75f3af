"""A line of our own on the program's screen."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moat.session.terminal.screen import Screen
from moat.session.terminal.status_row import over_last_row, status_row, status_rows
from moat.spec import TerminalSize

TEXT = st.text(max_size=60) | st.text("a宽é\u0301🦊🇩🇪❤\ufe0f\u200d\x1b\n", max_size=60)


def _shown(text: str, size: TerminalSize) -> list[str]:
    """The rows of a full screen on which it is drawn; the program's cursor stands on its `@`."""
    screen = Screen(size, scrollback=10)
    try:
        rows = [b"%d" % (number % 10) * size.columns for number in range(size.rows)]
        screen.feed(b"\r\n".join(rows) + b"\x1b[1;1H")
        screen.feed(over_last_row(text, size) + b"@")
        return screen.text().splitlines()
    finally:
        screen.close()


@given(TEXT, st.integers(1, 50))
def test_nothing_but_the_last_row_is_touched(text: str, columns: int) -> None:
    """Whatever its length and width: no terminal wraps and scrolls for it."""
    rows = _shown(text, TerminalSize(columns, 3))
    assert rows[:2] == ["@" + "0" * (columns - 1), "1" * columns]
    assert len(rows) <= 3


def test_lines_below_one_another_are_as_wide() -> None:
    """They look like one thing over the screen; what doesn't fit is cut in each."""
    rows = [row.decode() for row in status_rows("first\nthe second", 40)]
    assert rows == ["\x1b[7m moat: first      \x1b[m", "\x1b[7m       the second \x1b[m"]
    cut = [row.decode() for row in status_rows("a\nthe second", 15)]
    assert cut == ["\x1b[7m moat: a      \x1b[m", "\x1b[7m       the se…\x1b[m"]
    assert status_rows("one", 40) == [status_row("one", 40)]


@pytest.mark.parametrize(
    ("text", "columns", "row"),
    [
        ("short", 40, " moat: short"),
        ("exactly", 16, " moat: exactly"),
        ("one more", 16, " moat: one mor…"),
        ("宽宽宽宽", 14, " moat: 宽宽…"),
        ("宽宽宽宽", 15, " moat: 宽宽宽…"),
        ("a\x1b[2Jb", 40, " moat: a?[2Jb"),
        ("x", 1, ""),
        ("x", 3, " …"),
    ],
)
def test_what_does_not_fit_is_cut(text: str, columns: int, row: str) -> None:
    """With a sign of it; the last column stays free."""
    assert _shown(text, TerminalSize(columns, 2))[1:] == ([row] if row else [])
