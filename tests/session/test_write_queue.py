"""The queue of bytes in front of a descriptor that may be busy."""

from __future__ import annotations

import asyncio
import contextlib
import os
from typing import TYPE_CHECKING

from moat.session.write_queue import WriteQueue

if TYPE_CHECKING:
    from collections.abc import Iterator

import pytest


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    read, write = os.pipe2(os.O_NONBLOCK)
    yield read, write
    os.close(read)
    os.close(write)


class Calls:
    """The calls that the queue has made to its owner."""

    def __init__(self) -> None:
        self.drained = asyncio.Event()
        self.broken: list[OSError] = []


def queue_for(fd: int, calls: Calls) -> WriteQueue:
    return WriteQueue(
        asyncio.get_running_loop(), fd, drained=calls.drained.set, broken=calls.broken.append
    )


async def test_what_fits_is_written_at_once(pipe: tuple[int, int]) -> None:
    """A key's echo waits for no turn of the event loop."""
    queue = queue_for(pipe[1], Calls())
    queue.write(b"hello")
    assert os.read(pipe[0], 100) == b"hello"
    assert queue.queued == 0
    queue.close()


async def test_the_rest_follows_in_order_when_there_is_room(pipe: tuple[int, int]) -> None:
    """A slow reader gets every byte in order, and the queue reports that it is empty."""
    calls = Calls()
    queue = queue_for(pipe[1], calls)
    data = bytes(range(256)) * 4000
    for start in range(0, len(data), 10007):
        queue.write(data[start : start + 10007])
    assert queue.queued > 0
    got = b""
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    loop.add_reader(pipe[0], readable.set)
    while len(got) < len(data):
        await readable.wait()
        readable.clear()
        got += os.read(pipe[0], 5000)
    loop.remove_reader(pipe[0])
    assert got == data
    await calls.drained.wait()
    assert queue.queued == 0
    queue.close()


async def test_a_reader_that_has_gone_is_reported_once() -> None:
    """A broken descriptor is reported once, and the queued bytes are dropped."""
    read, write = os.pipe2(os.O_NONBLOCK)
    calls = Calls()
    queue = queue_for(write, calls)
    os.close(read)
    queue.write(b"x")
    queue.write(b"y")
    assert [type(exc) for exc in calls.broken] == [BrokenPipeError]
    assert queue.queued == 0
    os.close(write)


async def test_a_reader_that_goes_later_is_reported_once() -> None:
    """A descriptor that breaks while bytes wait is reported once, and is not watched any more."""
    read, write = os.pipe2(os.O_NONBLOCK)
    calls = Calls()
    broken = asyncio.Event()
    loop = asyncio.get_running_loop()

    def note(exc: OSError) -> None:
        calls.broken.append(exc)
        broken.set()

    queue = WriteQueue(loop, write, drained=calls.drained.set, broken=note)
    queue.write(bytes(1 << 20))
    assert queue.queued > 0
    os.close(read)
    await broken.wait()
    assert [type(exc) for exc in calls.broken] == [BrokenPipeError]
    assert queue.queued == 0
    assert not calls.drained.is_set()
    assert not loop.remove_writer(write)
    os.close(write)


async def test_an_owner_may_write_as_soon_as_there_is_room(pipe: tuple[int, int]) -> None:
    """The owner may write in the very call of `drained`, so a short queue carries any amount."""
    loop = asyncio.get_running_loop()
    left = [b"%065536d" % number for number in range(20)]
    finished = asyncio.Event()

    def more() -> None:
        while left and queue.queued == 0:
            queue.write(left.pop(0))
        if not left and queue.queued == 0:
            finished.set()

    queue = WriteQueue(loop, pipe[1], drained=more, broken=Calls().broken.append)
    expected = b"".join(left)
    got = bytearray()
    loop.add_reader(pipe[0], lambda: got.extend(os.read(pipe[0], 1 << 16)))
    more()
    await finished.wait()
    loop.remove_reader(pipe[0])
    with contextlib.suppress(BlockingIOError):
        got += os.read(pipe[0], 1 << 20)
    assert got == expected
    queue.close()


async def test_close_drops_what_waits(pipe: tuple[int, int]) -> None:
    """A closed queue drops its bytes and stops watching the descriptor, which stays open."""
    queue = queue_for(pipe[1], Calls())
    queue.write(bytes(1 << 20))
    assert queue.queued > 0
    queue.close()
    assert queue.queued == 0
    assert not asyncio.get_running_loop().remove_writer(pipe[1])
    queue.close()


async def test_nothing_is_written_after_close(pipe: tuple[int, int]) -> None:
    """Bytes that come after the close are ignored: the terminal may be somebody else's by then."""
    queue = queue_for(pipe[1], Calls())
    queue.close()
    queue.write(b"late")
    with pytest.raises(BlockingIOError):
        os.read(pipe[0], 10)
