"""Coroutines that end together."""

from __future__ import annotations

import asyncio

import pytest

from moat.web.tasks import until_first


async def test_the_first_to_end_ends_the_others() -> None:
    """They are cancelled, and have ended when it returns."""
    ended: list[str] = []

    async def forever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("forever")

    async def soon() -> None:
        await asyncio.sleep(0)

    await until_first(forever(), soon())
    assert ended == ["forever"]


async def test_what_one_raises_is_raised() -> None:
    """As it is, and not in a group."""

    async def fail() -> None:
        raise ValueError("why")

    with pytest.raises(ValueError, match="why"):
        await until_first(asyncio.sleep(1000), fail())
