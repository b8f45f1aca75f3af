"""Canonical JSON, and the lines that are made of it."""

from __future__ import annotations

import hashlib
import json

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from moat.audit import entry
from moat.audit.entry import MAX_INTEGER, canonical, storable

KEYS = st.text(st.characters(max_codepoint=127), max_size=8)
TEXTS = st.text(st.characters(exclude_categories=("Cs",)))
INTEGERS = st.integers(-MAX_INTEGER, MAX_INTEGER)
VALUES = st.recursive(
    st.none() | st.booleans() | INTEGERS | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=20,
)


@given(VALUES)
def test_an_implementation_of_all_of_rfc_8785_agrees(value: object) -> None:
    """Whatever an entry may have is written as the RFC says, control characters and emoji too."""
    assert canonical(value) == rfc8785.dumps(value)  # pyright: ignore[reportArgumentType]


def test_the_rfcs_own_examples() -> None:
    """The strings of RFC 8785 3.2.2 and the literals are written as it prints them."""
    value = {
        "string": '\u20ac$\u000f\nA\'B"\\\\"/',
        "literals": [None, True, False],
        "numbers": [4, 0],
    }
    assert canonical(value) == (
        b'{"literals":[null,true,false],"numbers":[4,0],'
        b'"string":"\xe2\x82\xac$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
    )


@pytest.mark.parametrize(
    "value", [0.5, float("nan"), MAX_INTEGER + 1, {"é": 1}, {1: 2}, b"bytes", {"a": [{"b": 1.0}]}]
)
def test_what_readers_might_take_differently_is_refused(value: object) -> None:
    """Fractions, big numbers and keys of other scripts have no place in an entry, however deep."""
    with pytest.raises(ValueError, match="entry"):
        canonical(value)


@given(
    st.recursive(st.floats(-1e9, 1e9) | st.text() | INTEGERS | st.none(), st.lists, max_leaves=9)
)
def test_everything_can_be_made_storable(value: object) -> None:
    """Fractions become millionths, and text that is no Unicode is escaped."""
    json.loads(canonical(storable({"value": value})))
    assert storable({"value": (0.25, "\udcff")}) == {"value": [250_000, "\\udcff"]}


def test_an_entry_commits_to_its_content() -> None:
    """The line has the hash of the private part, which has data and salt."""
    private = entry.private_part({"uid": 7}, bytes(16))
    assert private == b'{"data":{"uid":7},"salt":"' + b"0" * 32 + b'"}'
    line = entry.entry(
        run="0" * 12,
        seq=3,
        prev="f" * 64,
        time="2026-01-01T00:00:00.000Z",
        kind="x",
        private=private,
    )
    assert json.loads(line) == {
        "content": hashlib.sha256(private).hexdigest(),
        "kind": "x",
        "prev": "f" * 64,
        "run": "0" * 12,
        "seq": 3,
        "time": "2026-01-01T00:00:00.000Z",
        "v": 1,
    }
