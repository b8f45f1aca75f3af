"""TLS alerts that refuse a client before its handshake has begun (RFC 8446 6). Pure."""

from __future__ import annotations

from enum import IntEnum


class Alert(IntEnum):
    ACCESS_DENIED = 49
    DECODE_ERROR = 50
    INTERNAL_ERROR = 80
    UNRECOGNIZED_NAME = 112

    def record(self) -> bytes:
        """Return the alert as a record in clear, as it is sent before there are keys. All are fatal."""
        return bytes((21, 3, 3, 0, 2, 2, self))
