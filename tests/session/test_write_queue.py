"""Bytes on their way to a descriptor that may not take them now."""

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


class Told:
    """What the outbox has told its owner."""

    def __init__(self) -> None:
        self.drained = asyncio.Event()
        self.broken: list[OSError] = []


def outbox(fd: int, told: Told) -> WriteQueue:
    return WriteQueue(
        asyncio.get_running_loop(), fd, drained=told.drained.set, broken=told.broken.append
    )


async def test_what_fits_is_written_at_once(pipe: tuple[int, int]) -> None:
    """No turn of the loop lies between an echo and its key."""
    box = outbox(pipe[1], Told())
    box.write(b"hello")
    assert os.read(pipe[0], 100) == b"hello"
    assert box.queued == 0
    box.close()


async def test_the_rest_follows_in_order_when_there_is_room(pipe: tuple[int, int]) -> None:
    """Nothing is lost, whatever the reader's pace, and the end is told."""
    told = Told()
    box = outbox(pipe[1], told)
    data = bytes(range(256)) * 4000
    for start in range(0, len(data), 10007):
        box.write(data[start : start + 10007])
    assert box.queued > 0
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
    await told.drained.wait()
    assert box.queued == 0
    box.close()


async def test_a_reader_that_has_gone_is_told_once() -> None:
    """And what was queued is dropped."""
    read, write = os.pipe2(os.O_NONBLOCK)
    told = Told()
    box = outbox(write, told)
    os.close(read)
    box.write(b"x")
    box.write(b"y")
    assert [type(exc) for exc in told.broken] == [BrokenPipeError]
    assert box.queued == 0
    os.close(write)


async def test_a_reader_that_goes_later_is_told_once() -> None:
    """While bytes waited for it: they are dropped, and the loop watches no longer."""
    read, write = os.pipe2(os.O_NONBLOCK)
    told = Told()
    broken = asyncio.Event()
    loop = asyncio.get_running_loop()

    def note(exc: OSError) -> None:
        told.broken.append(exc)
        broken.set()

    box = WriteQueue(loop, write, drained=told.drained.set, broken=note)
    box.write(bytes(1 << 20))
    assert box.queued > 0
    os.close(read)
    await broken.wait()
    assert [type(exc) for exc in told.broken] == [BrokenPipeError]
    assert box.queued == 0
    assert not told.drained.is_set()
    assert not loop.remove_writer(write)
    os.close(write)


async def test_who_is_told_of_room_may_write_at_once(pipe: tuple[int, int]) -> None:
    """That is how a queue of a few pieces carries any amount, in order."""
    loop = asyncio.get_running_loop()
    left = [b"%065536d" % number for number in range(20)]
    finished = asyncio.Event()

    def more() -> None:
        while left and box.queued == 0:
            box.write(left.pop(0))
        if not left and box.queued == 0:
            finished.set()

    box = WriteQueue(loop, pipe[1], drained=more, broken=Told().broken.append)
    expected = b"".join(left)
    got = bytearray()
    loop.add_reader(pipe[0], lambda: got.extend(os.read(pipe[0], 1 << 16)))
    more()
    await finished.wait()
    loop.remove_reader(pipe[0])
    with contextlib.suppress(BlockingIOError):
        got += os.read(pipe[0], 1 << 20)
    assert got == expected
    box.close()


async def test_close_drops_what_waits(pipe: tuple[int, int]) -> None:
    """And lets go of the descriptor, which is its owner's to close."""
    box = outbox(pipe[1], Told())
    box.write(bytes(1 << 20))
    assert box.queued > 0
    box.close()
    assert box.queued == 0
    assert not asyncio.get_running_loop().remove_writer(pipe[1])
    box.close()


async def test_nothing_is_written_after_close(pipe: tuple[int, int]) -> None:
    """The terminal is somebody else's then."""
    box = outbox(pipe[1], Told())
    box.close()
    box.write(b"late")
    with pytest.raises(BlockingIOError):
        os.read(pipe[0], 10)
