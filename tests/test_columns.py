"""The columns that text takes on a terminal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moat.columns import fitted, padded, widest, width


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("", 0),
        ("abc", 3),
        ("é", 1),
        ("e\u0301", 1),
        ("宽a", 3),
        ("🦊", 2),
        ("❤\ufe0f", 2),
        ("ﾊ", 1),
    ],
)
def test_wide_and_combining_characters_count_as_they_are_drawn(text: str, columns: int) -> None:
    """A wide character takes two columns, and one that is drawn over another takes none."""
    assert width(text) == columns
    assert width(padded(text, 9)) == 9


@given(st.text("ab宽é\u0301🦊", max_size=30), st.integers(0, 30))
def test_what_is_cut_fits_and_says_so(text: str, columns: int) -> None:
    """The cut text is never wider than it may be, ends with an ellipsis, and is cut only if need be."""
    cut = fitted(text, columns)
    assert width(cut) <= columns
    assert cut == text or cut.endswith("…") or columns == 0
    assert (cut == text) == (width(text) <= columns)


@given(st.lists(st.text("ab宽é", max_size=9), min_size=1))
def test_the_widest_text_is_found_with_and_without_wide_characters(texts: list[str]) -> None:
    """Texts of ASCII alone are measured faster, to the same width."""
    assert widest(texts) == max(map(width, texts))
