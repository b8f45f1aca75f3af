"""The records of a journal's time index, as bytes."""

from __future__ import annotations

import pytest

from moat.session.journal.index import (
    HEADER_SIZE,
    RECORD_SIZE,
    Appended,
    Header,
    Resized,
    Stream,
    decode,
    decode_header,
    encode,
    encode_header,
)
from moat.spec import TerminalSize

SIZE = TerminalSize(columns=132, rows=43)
HEADER = encode_header(Header(7, 1 << 40, SIZE))
RECORDS = [
    Appended(1.5, Stream.STDOUT, 10),
    Resized(2.5, SIZE, 10),
    Appended(3.5, Stream.STDERR, 1 << 40),
]


def test_a_header_survives_the_disk() -> None:
    """Offsets and the terminal's size at a segment's beginning come back."""
    assert len(HEADER) == HEADER_SIZE
    assert decode_header(HEADER) == Header(7, 1 << 40, SIZE)


@pytest.mark.parametrize("data", [b"", HEADER[:-1], b"x" + HEADER[1:]])
def test_another_file_is_not_an_index(data: bytes) -> None:
    """A file that is too short or begins otherwise is refused."""
    with pytest.raises(ValueError, match="not a journal index"):
        decode_header(data)


def test_records_survive_the_disk() -> None:
    """Output of both streams and changes of the size come back in their order."""
    assert list(decode(HEADER + b"".join(map(encode, RECORDS)))) == RECORDS


@pytest.mark.parametrize("lost", range(1, RECORD_SIZE + 1))
def test_a_torn_record_is_ignored(lost: int) -> None:
    """Of a record whose writer was killed nothing is read, and of those before it all."""
    assert list(decode((HEADER + b"".join(map(encode, RECORDS)))[:-lost])) == RECORDS[:-1]


def test_zeros_are_ignored() -> None:
    """A file that had grown when the machine crashed, but had not its content yet, says nothing."""
    assert list(decode(HEADER + bytes(RECORD_SIZE) + encode(RECORDS[0]))) == RECORDS[:1]


def test_an_index_that_is_all_torn_has_no_records() -> None:
    """Not even a header is needed to find out that there is no record."""
    assert list(decode(HEADER[:3])) == []
