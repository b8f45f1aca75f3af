"""Hearing that a client has left while nothing of it is read.

What it has sent may wait in the kernel for as long as a user thinks, and its end waits behind that.
(Where it has sent more than the kernel takes, the end is still on its side: then nobody can know.)
"""

from __future__ import annotations

import select
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable


class Departure:
    """Of one connection, until it is closed. Takes a descriptor, and epoll(7) for its EPOLLRDHUP."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        transport: asyncio.Transport,
        left: Callable[[], None],
    ) -> None:
        """`left` is called when the client sends no more, again and again until this is closed."""
        self._loop = loop
        self._epoll = select.epoll()
        self._epoll.register(transport.get_extra_info("socket").fileno(), select.EPOLLRDHUP)
        loop.add_reader(self._epoll.fileno(), left)

    def close(self) -> None:
        if not self._epoll.closed:
            self._loop.remove_reader(self._epoll.fileno())
            self._epoll.close()
