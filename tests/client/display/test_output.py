"""Bytes for our own standard output."""

from __future__ import annotations

import os
import threading

import pytest

from moat.client.display.output import write_all
from moat.errors import OutputError


def test_all_of_it_is_written_into_what_does_not_block() -> None:
    """Somebody who shares the pipe may have made it so, and it is full most of the time."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    received = bytearray()

    def read() -> None:
        while data := os.read(reader, 4096):
            received.extend(data)

    thread = threading.Thread(target=read)
    thread.start()
    write_all(writer, bytes(1 << 20))
    os.close(writer)
    thread.join()
    os.close(reader)
    assert len(received) == 1 << 20


def test_a_full_disk_is_an_error_that_says_so() -> None:
    """For people; it is no bug of ours."""
    full = os.open("/dev/full", os.O_WRONLY)
    with pytest.raises(OutputError, match="can't write the output: No space left on device"):
        write_all(full, b"x")
    os.close(full)


def test_a_reader_that_left_is_told_apart() -> None:
    """That is no error."""
    reader, writer = os.pipe()
    os.close(reader)
    with pytest.raises(BrokenPipeError):
        write_all(writer, b"x")
    os.close(writer)
