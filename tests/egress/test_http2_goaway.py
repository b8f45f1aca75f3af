"""GOAWAY is found wherever the reads cut it, and nothing else is touched."""

from __future__ import annotations

from itertools import pairwise

from hyperframe.frame import DataFrame, Frame, GoAwayFrame, PingFrame
from hypothesis import given
from hypothesis import strategies as st

from moat.egress.http2_goaway import GoAway, GoAwayReader

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
    """What remains are the other frames, byte by byte."""
    beginning = PREFACE if preface else b""
    data = beginning + b"".join(frame.serialize() for frame in frames)
    reader = GoAwayReader(skip=len(beginning))
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
    """They are errors of the connection, which h2 knows."""
    whole = GoAwayFrame(0).serialize()
    for wrong in (whole[:8] + b"\x01" + whole[9:], b"\0\0\x07" + whole[3:-1]):
        assert GoAwayReader().feed(wrong) == (wrong, [])
