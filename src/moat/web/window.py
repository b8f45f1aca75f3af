"""Output on its way to a browser: what was sent and has not been drawn yet.

A browser takes whatever comes and keeps it until its page has time for that. So the page says what it
has drawn, and until then no more than a window is sent. The supervisor notices that nobody reads on,
skips what is not seen, and paints the screen as it is when there is room again.
"""

from __future__ import annotations

import asyncio
from typing import Final

OUTPUT_BYTES: Final = 256 * 1024


class OutputWindow:
    def __init__(self, size: int = OUTPUT_BYTES) -> None:
        self._size = size
        self._sent = 0
        self._room = asyncio.Event()
        self._room.set()

    async def room(self) -> None:
        """Return once less than the window is on its way."""
        await self._room.wait()

    def sent(self, count: int) -> None:
        self._sent += count
        self._update()

    def drawn(self, count: int) -> None:
        """Take back what the page has drawn. Raises `ValueError` for more than was sent."""
        if not 0 <= count <= self._sent:
            raise ValueError("the page has drawn what it never got")
        self._sent -= count
        self._update()

    def _update(self) -> None:
        if self._sent < self._size:
            self._room.set()
        else:
            self._room.clear()
