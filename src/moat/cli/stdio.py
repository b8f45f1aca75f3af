"""Standard output and error that a command can count on, whatever it was started with."""

from __future__ import annotations

import io
import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO, cast

from moat.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Generator


class _Output(io.TextIOWrapper):
    """A stream that raises `OutputError` for a full disk or a lost terminal.

    It is the text layer, not a file below the buffer: there, a Ctrl-C between a write and the buffer's
    note of it would have the data written twice.
    """

    def write(self, text: str, /) -> int:
        with _output_errors():
            return super().write(text)

    def flush(self) -> None:
        with _output_errors():
            super().flush()


@contextmanager
def _output_errors() -> Generator[None]:
    try:
        yield
    except BrokenPipeError:
        raise  # nobody reads any more, which is not an error
    except OSError as exc:
        raise OutputError.because(exc) from exc


def prepare() -> None:
    """Set up the streams."""
    sys.stdout = _stream(1, sys.stdout, errors="strict")
    sys.stderr = _stream(2, sys.stderr, errors="backslashreplace")


def _stream(fd: int, before: TextIO | None, *, errors: str) -> _Output:
    """Return a stream with the encoding and the buffering of the one that Python made, if it did."""
    known = cast("io.TextIOWrapper | None", before)
    at_once = known is not None and (known.line_buffering or known.write_through)
    return _Output(
        open(fd, "wb", closefd=False),
        encoding="utf-8" if known is None else known.encoding,
        errors=errors if known is None else known.errors,
        line_buffering=at_once or fd == 2,
    )


def discard(fd: int) -> None:
    """Drop what Python would flush to `fd` at exit, since it can't be written."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), fd)
