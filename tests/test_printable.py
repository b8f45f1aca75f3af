"""Text that can't act on a terminal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moat.printable import printable, without_controls


@given(st.text())
def test_shown_text_is_harmless_and_unambiguous(text: str) -> None:
    """Ordinary text is unchanged, and no two texts look the same."""
    shown = printable(text)
    assert shown.isascii()
    assert not shown or shown.isprintable()
    if shown != text:
        assert shown.encode().decode("unicode_escape") == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("größer als 日本", "größer als 日本"),
        ("a\x1b[2Jb", "a\\x1b[2Jb"),
        ("one\ntwo", "one\\ntwo"),
        ("\u202eabc\u200b", "\\u202eabc\\u200b"),
        ("\udcff", "\\udcff"),
    ],
)
def test_letters_of_every_language_stay(text: str, shown: str) -> None:
    """Only what controls a terminal or can't be seen is escaped."""
    assert without_controls(text) == shown
    assert shown.isprintable()
