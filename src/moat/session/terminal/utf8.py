"""Cutting UTF-8 without splitting a character. Pure."""

from __future__ import annotations


def incomplete_tail(data: bytes | memoryview) -> int:
    """Return how many bytes at the end begin a character that needs more of them (RFC 3629)."""
    for length in range(1, min(3, len(data)) + 1):
        byte = data[-length]
        if byte < 0x80:
            return 0
        if byte >= 0xC0:  # the leading byte tells how many bytes the character has
            needed = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return length if 0xC2 <= byte <= 0xF4 and length < needed else 0
    return 0
