"""The router's control socket: what `moat router` asks for, one word on each connection.

The store's folder is its user's alone, and so is the socket in it.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, Final

from moat.version import __version__

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

STOP: Final = b"stop\n"
_MAX_WORD: Final = 16


class Control:
    """Answers each connection with the router's state, as JSON, and takes the word `stop`."""

    def __init__(
        self, status: Callable[[], dict[str, Any]], needed: Callable[[], None], stop: asyncio.Event
    ) -> None:
        """`needed` is called for each connection: whoever comes is about to need the router."""
        self._status = status
        self._needed = needed
        self._stop = stop

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._needed()
        try:
            writer.write(json.dumps(self._own() | self._status()).encode())
            writer.write_eof()
            if await reader.read(_MAX_WORD) == STOP:
                self._stop.set()
        except ConnectionError:
            return  # it only wanted to be noticed
        finally:
            writer.close()

    @staticmethod
    def _own() -> dict[str, Any]:
        return {"pid": os.getpid(), "version": __version__}
