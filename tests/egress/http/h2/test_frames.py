"""The check of frames before h2 sees them, wherever they are cut."""

from __future__ import annotations

from itertools import pairwise

import pytest
from h2.errors import ErrorCodes
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
)
from hypothesis import given
from hypothesis import strategies as st

from moat.egress.http.h2.frames import FrameReader, GoAway, RefusedFrameError

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

goaways = st.builds(
    lambda last, code, data: GoAwayFrame(
        last_stream_id=last, error_code=code, additional_data=data
    ),
    st.integers(0, 2**31 - 1),
    st.integers(0, 2**32 - 1),
    st.binary(max_size=20),
)
others = st.one_of(
    st.builds(lambda data: DataFrame(1, data), st.binary(max_size=40)),
    st.builds(lambda data: PingFrame(0, data), st.binary(min_size=8, max_size=8)),
)


@given(
    st.lists(st.one_of(goaways, others), max_size=8),
    st.booleans(),
    st.lists(st.integers(0, 400), max_size=8),
)
def test_goaways_are_taken_out_of_any_pieces(
    frames: list[Frame], preface: bool, cuts: list[int]
) -> None:
    """All other frames remain, byte for byte."""
    beginning = PREFACE if preface else b""
    data = beginning + b"".join(frame.serialize() for frame in frames)
    reader = FrameReader(skip=len(beginning))
    rest, found = b"", []
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    for start, end in pairwise(edges):
        passed, here = reader.feed(data[start:end])
        rest += passed
        found += here

    remaining = (frame for frame in frames if not isinstance(frame, GoAwayFrame))
    assert rest == beginning + b"".join(frame.serialize() for frame in remaining)
    assert found == [
        GoAway(frame.last_stream_id, frame.error_code)
        for frame in frames
        if isinstance(frame, GoAwayFrame)
    ]


def test_a_goaway_of_a_stream_or_too_short_is_not_taken() -> None:
    """Such a GOAWAY is an error of the connection, which h2 reports."""
    whole = GoAwayFrame(0).serialize()
    for wrong in (whole[:8] + b"\x01" + whole[9:], b"\0\0\x07" + whole[3:-1]):
        assert FrameReader().feed(wrong) == (wrong, [])


@pytest.mark.parametrize("kind", [0x0, 0x1, 0x7, 0xEE])
def test_a_frame_that_is_too_long_is_refused_at_its_header(kind: int) -> None:
    """Nothing of such a frame is buffered, of whatever type it is (RFC 9113 4.2)."""
    reader = FrameReader()
    header = b"\x00\x40\x01" + bytes((kind, 0)) + bytes(4)
    reader.feed(header[:8])
    with pytest.raises(RefusedFrameError, match="a frame of 16385 bytes") as caught:
        reader.feed(header[8:])
    assert caught.value.code == ErrorCodes.FRAME_SIZE_ERROR


def _head(first: int, *more: int, ends: bool = False) -> list[bytes]:
    frames: list[Frame] = [HeadersFrame(1, bytes(first))]
    frames += [ContinuationFrame(1, bytes(size)) for size in more]
    if ends:
        frames[-1].flags.add("END_HEADERS")
    return [frame.serialize() for frame in frames]


def test_a_head_in_pieces_is_no_longer_than_one_in_a_piece() -> None:
    """HEADERS and its CONTINUATIONs count together, and the next head is counted anew."""
    reader = FrameReader()
    for _ in range(2):
        reader.feed(b"".join(_head(16_000, 16_000, 16_000, 16_000, ends=True)))
    *fits, last = _head(16_000, 16_000, 16_000, 16_000, 2_000, ends=True)
    reader.feed(b"".join(fits))
    with pytest.raises(RefusedFrameError, match="a head of more than 65536 bytes") as caught:
        reader.feed(last)
    assert caught.value.code == ErrorCodes.ENHANCE_YOUR_CALM


def test_what_has_begun_is_unfinished_until_it_ends() -> None:
    """A frame, a head and the preface are unfinished units with numbers of their own, but DATA isn't."""
    reader = FrameReader(skip=len(PREFACE))
    assert reader.unfinished == 0, "nothing has come"

    def after(data: bytes) -> int:
        reader.feed(data)
        return reader.unfinished

    def dripped(data: bytes) -> set[int]:
        """Feed all bytes but the last, one at a time."""
        found = {after(bytes((each,))) for each in data[:-1]}
        assert after(data[-1:]) == 0
        return found

    seen: list[set[int]] = [dripped(PREFACE)]
    seen += [dripped(PingFrame(0, b"12345678").serialize()) for _ in range(2)]
    seen.append(dripped(b"".join(_head(5, 0, 5, ends=True))))
    seen.append(dripped(GoAwayFrame(0).serialize()))
    assert all(len(each) == 1 for each in seen), seen
    assert 0 not in set.union(*seen)
    assert len(set.union(*seen)) == len(seen)

    data = DataFrame(1, b"12345").serialize()
    assert after(data[:9]) == 0
    assert after(data[9:] + data[:3]) != 0, "it might become anything"
    assert after(data[3:]) == 0
    assert after(b"".join(_head(5))) != 0, "more has to follow"


def test_a_goaway_within_a_head_is_for_h2() -> None:
    """No other frame may interrupt a header block (RFC 9113 6.10)."""
    wrong = b"".join(_head(5)) + GoAwayFrame(0).serialize()
    assert FrameReader().feed(wrong) == (wrong, [])
