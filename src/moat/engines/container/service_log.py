"""The log of a container, in the frames in which the Docker API sends it. Pure.

A frame has a header of eight bytes: the stream, three zeros, and the length, big endian.
"""

from __future__ import annotations

import struct

_HEADER = struct.Struct(">B3xI")


def content(frames: bytes) -> bytes:
    """Return what is in the frames; a last one that was cut off counts, too."""
    pieces: list[bytes] = []
    at = 0
    while at + _HEADER.size <= len(frames):
        _stream, length = _HEADER.unpack_from(frames, at)
        at += _HEADER.size
        pieces.append(frames[at : at + length])
        at += length
    return b"".join(pieces)
