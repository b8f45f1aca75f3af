"""What a TLS client is told by who will not open its connection (RFC 8446 6). Pure."""

from __future__ import annotations

from enum import IntEnum


class Alert(IntEnum):
    ACCESS_DENIED = 49
    DECODE_ERROR = 50
    INTERNAL_ERROR = 80
    UNRECOGNIZED_NAME = 112

    def record(self) -> bytes:
        """In clear, as it may be before there are keys. Each of them is fatal."""
        return bytes((21, 3, 3, 0, 2, 2, self))
