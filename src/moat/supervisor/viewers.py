"""Everybody who watches the run, waits for it, or is being answered about it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Generator

    from moat.supervisor.attached import AttachedClient


class Audience:
    """While it is not empty, the supervisor does not end."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        counted: Callable[[int], None],
        left: Callable[[], None],
    ) -> None:
        """`counted` hears the number of viewers when it changes; `left` that somebody went."""
        self._loop = loop
        self._counted = counted
        self._left = left
        self._waiting: list[asyncio.Future[None]] = []
        self._answering = 0
        self.clients: dict[AttachedClient, None] = {}
        self.came = False
        """Somebody has been here."""

    @property
    def empty(self) -> bool:
        return not self.clients and not self._answering

    def add(self, client: AttachedClient) -> None:
        self.came = True
        self.clients[client] = None
        self._counted(len(self.clients))

    def remove(self, client: AttachedClient) -> None:
        if client in self.clients:
            del self.clients[client]
            self._counted(len(self.clients))
            self._left()

    @contextmanager
    def answering(self) -> Generator[None]:
        """Around the answer to a request."""
        self.came = True
        self._answering += 1
        try:
            yield
        finally:
            self._answering -= 1
            self._left()

    async def until(self, reached: Callable[[], bool]) -> None:
        """Waits until something has changed and `reached` holds."""
        while not reached():
            change: asyncio.Future[None] = self._loop.create_future()
            self._waiting.append(change)
            await change

    def notify(self) -> None:
        """Something has changed."""
        waiting, self._waiting = self._waiting, []
        for change in waiting:
            if not change.done():
                change.set_result(None)
