"""Work that blocks, such as asking a supervisor or reading a store, done in threads.

They are threads that the end of the process doesn't wait for, unlike those of an executor: a supervisor
that doesn't answer would keep the server from ending.
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from moat.runs.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

T = TypeVar("T")


async def in_store(
    home: Path, act: Callable[[Store], T], discard: Callable[[T], None] | None = None
) -> T:
    """Return what `act` returns, which gets a store of its own in a thread, or raise what it raises.

    `discard` gets what it returns when nobody waits for that any more.
    """
    loop = asyncio.get_running_loop()
    waiting: asyncio.Future[T] = loop.create_future()

    def returned(result: T) -> None:
        if not waiting.done():
            waiting.set_result(result)
        elif discard is not None:
            discard(result)

    def failed(error: BaseException) -> None:
        if not waiting.done():
            waiting.set_exception(error)

    def work() -> None:
        with suppress(RuntimeError):  # the loop is closed: the server has ended
            try:
                with Store(home) as store:
                    result = act(store)
            except BaseException as exc:  # noqa: BLE001  raised where it is waited for
                loop.call_soon_threadsafe(failed, exc)
            else:
                loop.call_soon_threadsafe(returned, result)

    threading.Thread(target=work, daemon=True).start()
    return await waiting
