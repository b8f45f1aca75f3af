"""A transport without a socket: what a protocol writes to it is there to be read."""

from __future__ import annotations

import asyncio


class Wire(asyncio.Transport):
    """Keeps what is written for the peer."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """It says itself when it is full, if the test wants it to be."""

    def pause_reading(self) -> None:
        """The test knows what it sends."""

    def resume_reading(self) -> None:
        """The same."""

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = True

    def take(self) -> bytes:
        data = bytes(self.written)
        self.written.clear()
        return data
