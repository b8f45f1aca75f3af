"""The screen as it was when a segment began, in a file beside the segment.

Pure. A checkpoint spares its reader all output before it. It is never needed: one that is missing,
damaged or of another release is passed over for an earlier one, or for the journal's beginning. The
state is opaque here; `session.rebuild` knows what is in it.
"""

from __future__ import annotations

import struct
import zlib
from typing import Final

MAGIC: Final = b"MOATS1\n\0"
_HEADER: Final = struct.Struct("<8sQQI4x")


def encode(state: bytes, at: int) -> bytes:
    """Return the content of the file; `at` is the offset in stdout that `state` belongs to."""
    return _HEADER.pack(MAGIC, at, len(state), zlib.crc32(state)) + state


def decode(data: bytes, at: int) -> bytes | None:
    """Return the state, or `None` if it belongs to another offset or isn't as it was written.

    A crash of the machine can leave a file whose end is missing or zeros. The file of a segment that
    was never begun, because its writer was killed over it, may have another offset.
    """
    if len(data) < _HEADER.size:
        return None
    magic, offset, length, checksum = _HEADER.unpack_from(data)
    state = data[_HEADER.size :]
    if (magic, offset, length, checksum) != (MAGIC, at, len(state), zlib.crc32(state)):
        return None
    return state
