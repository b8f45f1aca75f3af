"""Noticing that a client has hung up while nothing is read from it.

Data that the client has sent may wait in the kernel for as long as a user thinks, and its end of file
waits behind that data. (If the client has sent more than the kernel buffers, the end of file is still
on its own side, and nobody can notice.)
"""

from __future__ import annotations

import select
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable


class HangupWatch:
    """A watch on one connection by EPOLLRDHUP (epoll_ctl(2)), which takes a descriptor of its own."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        transport: asyncio.Transport,
        hung_up: Callable[[], None],
    ) -> None:
        """Call `hung_up` when the client has closed its side, again and again until `close`."""
        self._loop = loop
        self._epoll = select.epoll()
        self._epoll.register(transport.get_extra_info("socket").fileno(), select.EPOLLRDHUP)
        loop.add_reader(self._epoll.fileno(), hung_up)

    def close(self) -> None:
        if not self._epoll.closed:
            self._loop.remove_reader(self._epoll.fileno())
            self._epoll.close()
