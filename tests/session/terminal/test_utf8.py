"""Where output may be cut."""

from __future__ import annotations

import codecs

from hypothesis import given
from hypothesis import strategies as st

from moat.session.terminal import utf8


@given(st.text(max_size=8), st.integers(0, 3))
def test_the_beginning_of_a_character_is_found(text: str, missing: int) -> None:
    """As Python's own incremental decoder holds it back."""
    encoded = text.encode(errors="replace")
    data = encoded[: max(0, len(encoded) - missing)]
    decoder = codecs.getincrementaldecoder("utf-8")()
    decoder.decode(data)
    assert utf8.incomplete_tail(data) == len(decoder.getstate()[0])


@given(st.binary(max_size=12))
def test_what_is_not_utf8_is_never_held_back_for_long(data: bytes) -> None:
    """At most three bytes, which more than one byte ends."""
    held = utf8.incomplete_tail(data)
    assert held <= 3
    assert utf8.incomplete_tail(data + b"xxx") == 0
