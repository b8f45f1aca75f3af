"""Pictures: the part of a screen that they show, and how little they draw."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moat.session.pictures import Picture, across, down
from moat.session.terminal.screen import Screen
from moat.spec import TerminalSize

if TYPE_CHECKING:
    from collections.abc import Iterator

SIZE = TerminalSize(20, 6)


@pytest.fixture
def screen() -> Iterator[Screen]:
    screen = Screen(SIZE, 0)
    yield screen
    screen.close()


@given(st.lists(st.integers(0, 99), min_size=1, max_size=8), st.integers(1, 120))
def test_the_cursor_is_always_in_sight(cursors: list[int], seen: int) -> None:
    """Wherever it goes; and no part is shown that isn't there, where there is enough."""
    top = left = 0
    for cursor in cursors:
        top, left = down(top, cursor, seen, 100), across(left, cursor, seen, 100)
        for start in (top, left):
            assert start <= cursor < start + seen
            assert 0 <= start <= max(0, 100 - seen)


@pytest.mark.parametrize(
    ("top", "cursor", "expected"), [(0, 5, 0), (0, 10, 1), (7, 7, 7), (7, 6, 6), (90, 99, 90)]
)
def test_rows_move_no_more_than_they_must(top: int, cursor: int, expected: int) -> None:
    """Ten of a hundred are seen."""
    assert down(top, cursor, 10, 100) == expected


@pytest.mark.parametrize(
    ("left", "cursor", "expected"),
    [(0, 29, 0), (0, 30, 10), (10, 39, 10), (10, 40, 20), (20, 9, 0)],
)
def test_columns_leap(left: int, cursor: int, expected: int) -> None:
    """Thirty of a hundred are seen; at the beginning of the lines they stay there."""
    assert across(left, cursor, 30, 100) == expected


def test_what_has_not_changed_is_not_drawn(screen: Screen) -> None:
    """Neither a row, nor anything where nothing moved; a moved cursor is."""
    screen.feed(b"one\r\ntwo")
    picture = Picture(screen, TerminalSize(10, 3))
    assert picture.changes("").count(b"\x1b[K") == 3
    assert picture.changes("") == b""
    screen.feed(b"!")
    assert picture.changes("").count(b"\x1b[K") == 1
    screen.feed(b"\r")
    drawn = picture.changes("")
    assert b"\x1b[K" not in drawn
    assert b"\x1b[2;1H" in drawn


def test_a_status_row_takes_the_last_row(screen: Screen) -> None:
    """The cursor stays in sight above it; a terminal of one row has none."""
    screen.feed(b"\x1b[6;1Hlast")
    size = TerminalSize(20, 3)
    window = Screen(size, 0)
    picture = Picture(screen, size)
    window.feed(picture.changes("a 宽 notice"))
    assert window.text().split("\n") == ["", "last", " moat: a 宽 notice"]
    assert window.cursor == (4, 1)
    window.feed(picture.changes(""))
    assert "moat" not in window.text()
    window.close()
    assert b"moat" not in Picture(screen, TerminalSize(20, 1)).changes("a notice")


@pytest.mark.parametrize("cursor", range(1, 21))
@pytest.mark.parametrize("columns", [1, 2, 3, 7, 8])
def test_half_a_wide_character_is_none(screen: Screen, columns: int, cursor: int) -> None:
    """At either edge; what follows it stands in its own column."""
    screen.feed("a宽b宽宽c\x1b[44m宽\x1b[md宽e宽f".encode() + b"\x1b[1;%dH" % cursor)
    size = TerminalSize(columns, 1)
    window = Screen(size, 0)
    picture = Picture(screen, size)
    window.feed(picture.changes(""))
    left = picture._left
    cells: list[str] = []
    for character in screen.text().split("\n")[0]:
        cells += [character, ""] if character == "宽" else [character]
    cells += [" "] * (SIZE.columns - len(cells))
    part = cells[left : left + columns]
    if part[0] == "":
        part[0] = " "
    if part[-1] == "宽":
        part[-1] = " "
    assert window.text() == "".join(part).rstrip()
    window.close()
