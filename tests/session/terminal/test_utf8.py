"""Cutting UTF-8 without splitting a character."""

from __future__ import annotations

import codecs

from hypothesis import given
from hypothesis import strategies as st

from moat.session.terminal import utf8


@given(st.text(max_size=8), st.integers(0, 3))
def test_the_beginning_of_a_character_is_found(text: str, missing: int) -> None:
    """The incomplete tail is what Python's own incremental decoder holds back."""
    encoded = text.encode(errors="replace")
    data = encoded[: max(0, len(encoded) - missing)]
    decoder = codecs.getincrementaldecoder("utf-8")()
    decoder.decode(data)
    assert utf8.incomplete_tail(data) == len(decoder.getstate()[0])


@given(st.binary(max_size=12))
def test_other_bytes_are_never_held_back_for_long(data: bytes) -> None:
    """Of any bytes at most three are held back, and one more byte releases them."""
    held = utf8.incomplete_tail(data)
    assert held <= 3
    assert utf8.incomplete_tail(data + b"xxx") == 0
