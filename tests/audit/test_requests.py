"""The text of requests, to which the log commits."""

from __future__ import annotations

import hashlib

import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from moat.audit.requests import Batch, extend, ids_of, text_of

ROW = ("request", 1764398765.123456, "allowed", 200, -1.0, 0.25, "/é", None)


def test_a_batch_is_hashed_as_it_comes() -> None:
    """In pieces, each ordered by id, the hash is that of the array as a whole, which is canonical."""
    batch = Batch()
    batch.add([(2, *ROW), (1, *ROW)])
    batch.add([])
    batch.add([(4, *ROW), (7, *ROW)])
    plain = ["request", 1764398765123456, "allowed", 200, -1000000, 250000, "/é", None]
    text = rfc8785.dumps([[number, *plain] for number in (1, 2, 4, 7)])
    assert batch.ranges == [[1, 2], [4, 4], [7, 7]]
    assert batch.count == 4
    assert batch.sha256() == hashlib.sha256(text).hexdigest()
    rows = [(number, *ROW) for number in ids_of(batch.ranges)]
    assert b"[" + text_of(rows) + b"]" == text, "and can be made again"


def test_nothing_is_an_empty_array() -> None:
    """There is a hash for that, too."""
    assert Batch().sha256() == hashlib.sha256(b"[]").hexdigest()


def test_text_that_is_no_unicode() -> None:
    """It is escaped, as it is in the record."""
    assert text_of([[1, "\udcff", 0.5]]) == b'[1,"\\\\udcff",500000]'


@given(st.lists(st.integers(0, 50)))
def test_ranges_keep_ids_in_their_order(ids: list[int]) -> None:
    """Every id comes back, wherever it stood."""
    ranges: list[list[int]] = []
    extend(ranges, ids)
    assert list(ids_of(ranges)) == ids
