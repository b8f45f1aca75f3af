"""The end of a router that nobody needs any more."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

IDLE_S: Final = 300.0
"""Time after which a router ends that nobody has needed."""


class Lifetime:
    def __init__(self, is_needed: Callable[[], Awaitable[bool]], idle_s: float = IDLE_S) -> None:
        """`is_needed` is asked once nobody has said so for `idle_s`."""
        self._is_needed = is_needed
        self._idle_s = idle_s
        self._loop = asyncio.get_running_loop()
        self._needed_at = self._loop.time()

    def needed(self) -> None:
        """Stay for as long as if the router had just begun."""
        self._needed_at = self._loop.time()

    async def over(self) -> None:
        """Return once the router isn't needed."""
        while True:
            await asyncio.sleep(self._needed_at + self._idle_s - self._loop.time())
            if self._loop.time() < self._needed_at + self._idle_s:
                continue  # somebody came meanwhile
            if not await self._is_needed():
                return
            self.needed()
