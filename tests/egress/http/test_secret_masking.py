"""Error pages of the host's proxy that repeat its credentials."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moat.egress.http.h1.bodies import MaskingReader, SizedReader
from moat.egress.http.secret_masking import Secrets

SECRETS = Secrets(b"abababac", b"abababac%3D", b"short")


@given(st.text("abc%3D ", max_size=60), st.lists(st.integers(0, 60), max_size=6))
def test_however_it_is_cut_it_is_masked_as_a_whole(text: str, cuts: list[int]) -> None:
    """No part of a secret passes before its end is known, and nothing else is lost."""
    body = (f"{text}abababac%3D{text}").encode()
    reader = MaskingReader(SizedReader(len(body)), SECRETS)
    ends = sorted({min(each, len(body)) for each in cuts} | {len(body)})
    told = b""
    for start, end in zip([0, *ends], ends, strict=False):
        told += b"".join(reader.feed(body[start:end]))
    assert reader.done
    assert b"abababac" not in told
    assert len(told) == len(body)
    assert all(mine in (theirs, ord("*")) for mine, theirs in zip(told, body, strict=True))
    assert told.count(b"*") <= sum(map(len, re.findall(b"abababac(?:%3D)?", body)))


@pytest.mark.parametrize("secret", [b"", b"short"])
def test_what_stands_in_any_text_is_no_secret(secret: bytes) -> None:
    assert not Secrets(secret)
    assert SECRETS.masked(b"short abababac") == b"short ********"
