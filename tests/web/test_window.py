"""The window of output."""

from __future__ import annotations

import asyncio

import pytest

from moat.web.window import OutputWindow


async def test_output_waits_for_what_was_drawn() -> None:
    """Nothing more goes once the window is full."""
    window = OutputWindow(10)
    window.sent(9)
    await window.room()
    window.sent(5)
    waiting = asyncio.create_task(window.room())
    window.drawn(4)
    await asyncio.sleep(0)
    assert not waiting.done()
    window.drawn(1)
    await waiting


@pytest.mark.parametrize("count", [-1, 6])
async def test_a_page_can_not_have_drawn_more_than_it_got(count: int) -> None:
    """Nor less than nothing."""
    window = OutputWindow(10)
    window.sent(5)
    with pytest.raises(ValueError, match="never got"):
        window.drawn(count)
