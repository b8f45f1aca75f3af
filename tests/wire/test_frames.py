"""Frames: cut from any stream of bytes."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moat.wire.frames import HEADER, MAX_PAYLOAD, FrameError, FrameReader, FrameType, encode

frames = st.lists(st.tuples(st.sampled_from(FrameType), st.binary(max_size=300)), max_size=8)


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({min(cut, len(data)) for cut in cuts} | {0, len(data)})
    return [data[start:end] for start, end in itertools.pairwise(places)]


@given(frames=frames, cuts=st.lists(st.integers(0, 2500), max_size=30))
def test_any_chunking_gives_the_same_frames(
    frames: list[tuple[FrameType, bytes]], cuts: list[int]
) -> None:
    """What was encoded comes out, in order, however the bytes arrive."""
    data = b"".join(encode(kind, payload) for kind, payload in frames)
    reader = FrameReader()
    got = [frame for piece in pieces(data, cuts) for frame in reader.feed(piece)]
    assert got == [(int(kind), payload) for kind, payload in frames]


@given(data=st.binary(max_size=200), cuts=st.lists(st.integers(0, 200), max_size=10))
def test_nonsense_is_frames_or_a_frame_error(data: bytes, cuts: list[int]) -> None:
    """No bytes of a peer's raise anything else, and all that is no error is accounted for."""
    reader = FrameReader()
    got: list[tuple[int, bytes]] = []
    try:
        for piece in pieces(data, cuts):
            got += reader.feed(piece)
    except FrameError:
        assert len(data) >= HEADER.size
    assert data.startswith(b"".join(HEADER.pack(kind, len(p)) + p for kind, p in got))


def test_a_reader_that_is_left_in_the_middle_goes_on_there() -> None:
    """Who stops at a frame gets the ones behind it from the next call, each of them once."""
    reader = FrameReader()
    first = next(reader.feed(encode(FrameType.DETACH) + encode(FrameType.INPUT, b"x")))
    assert first == (FrameType.DETACH, b"")
    assert list(reader.feed(b"")) == [(FrameType.INPUT, b"x")]


def test_the_largest_payload_passes() -> None:
    """The bound itself is allowed."""
    payload = bytes(MAX_PAYLOAD)
    assert list(FrameReader().feed(encode(FrameType.STDOUT, payload))) == [
        (FrameType.STDOUT, payload)
    ]


def test_a_frame_that_claims_too_much_is_refused_before_it_comes() -> None:
    """A confused peer can't make us wait for, and keep, a gigabyte."""
    with pytest.raises(FrameError, match="claims"):
        list(FrameReader().feed(HEADER.pack(FrameType.INPUT, MAX_PAYLOAD + 1)))


def test_unknown_types_are_delivered() -> None:
    """The receiver ignores them; that is how the protocol grows."""
    assert list(FrameReader().feed(HEADER.pack(250, 2) + b"hi")) == [(250, b"hi")]
