"""The queue of a connection: written together, at the end of a loop iteration, and never lost."""

from __future__ import annotations

import asyncio
import weakref

import pytest

from moat.egress.http.h1.connection import HTTP1Connection


class Wire(asyncio.Transport):
    """A transport that notes the writes and the close, in their order."""

    def __init__(self, told: list[bytes]) -> None:
        super().__init__()
        self._told = told
        self._closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._told.append(bytes(data))

    def writelines(self, list_of_data: list[bytes]) -> None:
        self._told += list_of_data

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """The buffer is never full here."""

    def is_closing(self) -> bool:
        return self._closed

    def close(self) -> None:
        self._closed = True
        self._told.append(b"closed")


def _connected(told: list[bytes]) -> HTTP1Connection:
    connection = HTTP1Connection()
    connection.connection_made(Wire(told))
    return connection


async def _turn() -> None:
    """Let the loop go round once."""
    await asyncio.sleep(0)


async def test_connections_write_at_the_end_of_the_turn() -> None:
    """Each connection writes its queue in one piece."""
    told: list[bytes] = []
    for name in (b"a", b"b"):
        connection = _connected(told)
        connection.send([name, b"1"])
        connection.flush()
        connection.flush()
    assert told == []
    await _turn()
    assert told == [b"a1", b"b1"]


async def test_a_large_body_is_written_at_once() -> None:
    """A large body must not pile up here, where there is no back-pressure."""
    told: list[bytes] = []
    connection = _connected(told)
    connection.send([b"head"])
    connection.flush()
    connection.send([bytes(20_000)])
    connection.flush()
    assert b"".join(told) == b"head" + bytes(20_000)
    await _turn()
    assert len(told) == 2


@pytest.mark.parametrize("flushed", [True, False])
async def test_the_end_comes_behind_what_was_sent(*, flushed: bool) -> None:
    """Closing writes the queue first, flushed or not."""
    told: list[bytes] = []
    connection = _connected(told)
    connection.send([b"last"])
    if flushed:
        connection.flush()
    connection.finish()
    assert told == [b"last", b"closed"]
    connection.send([b"too late"])
    connection.flush()
    await _turn()
    assert told == [b"last", b"closed"]


async def test_nothing_is_kept_for_who_has_gone() -> None:
    """A body that keeps coming for a closed connection is dropped, not buffered."""
    connection = _connected([])
    connection.finish()
    piece = memoryview(bytes(20_000))
    kept = weakref.ref(piece)
    connection.send([piece])
    connection.flush()
    del piece
    assert kept() is None


async def test_pieces_are_joined_as_far_as_that_is_worth_it() -> None:
    """Pieces are joined up to the size of a TLS record."""
    told: list[bytes] = []
    connection = _connected(told)
    connection.send([bytes(10_000), bytes(10_000)])
    connection.write_out()
    assert list(map(len, told)) == [10_000, 10_000]
