"""Logs in the frames of the Docker API."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from moat.engines.container.service_log import content


def frame(stream: int, data: bytes) -> bytes:
    return struct.pack(">BxxxI", stream, len(data)) + data


def test_both_streams_in_their_order() -> None:
    """And what is there of a frame that was cut off."""
    frames = frame(1, b"out\n") + frame(2, b"err\n") + frame(1, b"more\n")
    assert content(frames) == b"out\nerr\nmore\n"
    assert content(frames[:-2]) == b"out\nerr\nmor"
    assert content(frames[: -len(b"more\n") - 3]) == b"out\nerr\n"


@given(st.binary(max_size=100))
def test_any_bytes(frames: bytes) -> None:
    """An engine, or what answers in its place, says what it likes."""
    assert len(content(frames)) <= len(frames)
