"""The data types of SSH: what is written reads back, and nothing else gets through."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moat.ssh import encoding
from moat.ssh.encoding import Messages, Reader, mpint, string, uint32


@given(st.binary(), st.integers(0, 2**32 - 1), st.integers(0, 2**600), st.booleans())
def test_fields_read_back(data: bytes, number: int, large: int, truth: bool) -> None:
    """Each data type reads as it was written, and the end is found."""
    fields = Reader(string(data) + uint32(number) + mpint(large) + bytes([truth]))
    assert fields.string() == data
    assert fields.uint32() == number
    assert fields.mpint() == large
    assert fields.boolean() is truth
    fields.end()


@given(st.lists(st.binary(min_size=1, max_size=40)), st.data())
def test_messages_come_whole_however_they_are_cut(
    messages: list[bytes], data: st.DataObject
) -> None:
    """A stream gives the same messages whatever pieces it arrives in."""
    stream = b"".join(map(string, messages))
    cutter, found = Messages(), []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        found += cutter.feed(stream[:size])
        stream = stream[size:]
    assert found == messages


@pytest.mark.parametrize("size", [0, encoding.LONGEST_MESSAGE + 1, 2**32 - 1])
def test_the_length_of_a_message_is_bounded(size: int) -> None:
    """A client can't make the agent wait for gigabytes, nor send a message without a type."""
    with pytest.raises(ValueError, match=f"a message of {size} bytes"):
        Messages().feed(uint32(size))


@pytest.mark.parametrize(
    ("data", "read"),
    [
        (b"", Reader.byte),
        (b"\x02", Reader.boolean),
        (b"\0\0\0", Reader.uint32),
        (b"\0\0\0\x02a", Reader.string),
        (b"\0\0\0\x01\xff", Reader.text),
        (b"\0", Reader.end),
    ],
)
def test_malformed_fields_are_errors(data: bytes, read: object) -> None:
    """What is cut off, ambiguous or left over is never taken for a field."""
    assert callable(read)
    with pytest.raises(ValueError):
        read(Reader(data))
