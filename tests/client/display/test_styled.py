"""The emulator's HTML, read into styled text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.client.display.shown import shown

from moat.client.display.styled import BACKGROUND, FOREGROUND, Style, lines

if TYPE_CHECKING:
    from moat.client.display.styled import Line


@pytest.mark.parametrize(
    ("sequence", "style"),
    [
        ("1;31", Style(color="#cc6666", bold=True)),
        ("38;5;200", Style(color="#ff00d7")),
        ("48;2;10;200;30", Style(background="#0ac81e")),
        ("3", Style(italic=True)),
        ("2", Style(faint=True)),
        ("8", Style(hidden=True)),
        ("4;9;53", Style(lines=frozenset({"underline", "line-through", "overline"}))),
        ("4:3;58;5;1", Style(lines=frozenset({"underline"}))),
        ("7", Style(reverse=True)),
        ("5", Style()),
    ],
)
def test_each_look_is_read(sequence: str, style: Style) -> None:
    """Colours of all three kinds and every attribute come through; blinking text stands still."""
    (line,) = shown(f"a\x1b[{sequence}mb\x1b[mc".encode())
    assert line in ([("a", Style()), ("b", style), ("c", Style())], [("abc", Style())])
    assert ("b", style) in line or style == Style()


def test_rows_stay_rows() -> None:
    """Empty rows are there, and markup in the text is text."""
    rows = shown("<b>&amp;\r\n\r\n  漢字 \x1b[7mx".encode())
    assert rows == [[("<b>&amp;", Style())], [], [("  漢字 ", Style()), ("x", Style(reverse=True))]]


def test_a_link_is_its_text() -> None:
    """Where it would lead is a program's choice, and nobody may click on that."""
    rows = shown(b"\x1b]8;;javascript:alert(1)\x1b\\press\x1b]8;;\x1b\\ me")
    assert "".join(text for text, _ in rows[0]) == "press me"


@pytest.mark.parametrize(
    ("style", "seen"),
    [
        (Style(), (FOREGROUND, None)),
        (Style(reverse=True), (BACKGROUND, FOREGROUND)),
        (Style(color="#010203", reverse=True), (BACKGROUND, "#010203")),
        (Style(background="#010203", reverse=True), ("#010203", FOREGROUND)),
    ],
)
def test_reversed_text_has_the_colours_exchanged(style: Style, seen: tuple[str, str]) -> None:
    """The terminal's own colours take part, though the style doesn't name them."""
    assert style.shown == seen


@given(st.text())
def test_no_text_is_an_error(text: str) -> None:
    """Whatever arrives in place of the emulator's HTML gives lines."""
    read: list[Line] = lines(text)
    assert read
