"""A transport without a socket, for tests of protocols."""

from __future__ import annotations

import asyncio


class Wire(asyncio.Transport):
    """A transport that collects what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """The test decides when the buffer is full."""

    def pause_reading(self) -> None:
        """The test decides what is received."""

    def resume_reading(self) -> None:
        """The test decides what is received."""

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
