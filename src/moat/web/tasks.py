"""Coroutines that end together."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Coroutine


async def until_first(*work: Coroutine[Any, Any, None]) -> None:
    """Run all of them until one ends, and cancel the others. Raise what one of them has raised."""
    tasks = [asyncio.create_task(each) for each in work]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in tasks:
            each.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
    for each in results:
        if isinstance(each, Exception):
            raise each
