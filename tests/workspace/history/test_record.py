"""The record of a snapshot, and how it is saved."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.workspace.test_manifest import manifests, names

from moat.workspace.history.delta import Delta
from moat.workspace.history.record import Head, Record, dumps, head_of, length_of_front, loads

heads = st.builds(
    Head,
    number=st.integers(1, 10**6),
    taken_at=st.integers(0, 2**62),
    reason=st.sampled_from(["asked", "detach", "end", "restore", "turn"]),
    label=st.text(max_size=9),
    files=st.integers(0, 10**6),
    changed=st.integers(0, 10**6),
    unkept=st.integers(0, 9),
    too_large=st.integers(0, 9),
    complete=st.booleans(),
)
records = st.builds(Record, heads, st.builds(Delta, manifests(), st.lists(names)))


@given(records)
def test_a_record_is_what_was_saved(record: Record) -> None:
    """Its head can be had from its beginning alone."""
    saved = dumps(record)
    assert loads(saved) == record
    assert head_of(saved[: length_of_front(saved[:40])]) == record.head


@given(records, st.data())
def test_a_damaged_record_is_recognised(record: Record, data: st.DataObject) -> None:
    """Whichever byte is another one, and wherever it was cut off."""
    saved = dumps(record)
    place = data.draw(st.integers(0, len(saved) - 1))
    other = data.draw(st.integers(1, 255))
    changed = bytearray(saved)
    changed[place] ^= other
    for damaged in (bytes(changed), saved[:place]):
        with pytest.raises(ValueError, match="snapshot"):
            loads(damaged)


@pytest.mark.parametrize("data", [b"", b"moat snapshot 2\n" + bytes(16), b"moat snapshot 1\n"])
def test_something_else_has_no_head(data: bytes) -> None:
    """A record of a newer version is none that this one can read."""
    with pytest.raises(ValueError, match="not the record"):
        length_of_front(data)
