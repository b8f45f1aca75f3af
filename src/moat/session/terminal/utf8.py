"""Where a chunk of output may be cut without cutting a character in two."""

from __future__ import annotations


def unfinished(data: bytes | memoryview) -> int:
    """How many bytes at the end are the beginning of a character (RFC 3629) that goes on after it."""
    for length in range(1, min(3, len(data)) + 1):
        byte = data[-length]
        if byte < 0x80:
            return 0
        if byte >= 0xC0:  # the leading byte: it says how many belong to it
            needed = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return length if 0xC2 <= byte <= 0xF4 and length < needed else 0
    return 0
