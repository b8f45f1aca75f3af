"""The end of a router that nobody needs."""

from __future__ import annotations

import asyncio

from moat.router.lifetime import Lifetime


async def test_a_router_that_nobody_needs_ends() -> None:
    """It is asked once its time is over, and not before."""
    asked: list[bool] = []

    async def is_needed() -> bool:
        asked.append(True)
        return len(asked) < 3

    await asyncio.wait_for(Lifetime(is_needed, idle_s=0.01).over(), 100)
    assert len(asked) == 3


async def test_who_comes_meanwhile_keeps_it() -> None:
    """Its time begins anew."""
    loop = asyncio.get_running_loop()
    lifetime = Lifetime(lambda: asyncio.sleep(0, result=False), idle_s=0.05)
    came: list[float] = []

    def come() -> None:
        lifetime.needed()
        came.append(loop.time())

    loop.call_later(0.01, come)
    await asyncio.wait_for(lifetime.over(), 100)
    assert loop.time() >= came[0] + 0.05
