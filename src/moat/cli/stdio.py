"""Standard output and error as a command may count on them, whatever it was started with."""

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
    """Tells a full disk or a lost terminal below a stream from every other error.

    Not a layer below: between a write and its buffer's knowing of it there is no place for a Ctrl-C.
    """

    def write(self, text: str, /) -> int:
        with _told_apart():
            return super().write(text)

    def flush(self) -> None:
        with _told_apart():
            super().flush()


@contextmanager
def _told_apart() -> Generator[None]:
    try:
        yield
    except BrokenPipeError:
        raise  # nobody reads any more: no error
    except OSError as exc:
        raise OutputError.because(exc) from exc


def prepare() -> None:
    """Before anything else is opened."""
    # What was closed would be the number of the next file: it would get what we print. Standard
    # output is opened for reading, so that whoever writes there is told.
    for fd, mode in enumerate((os.O_RDONLY, os.O_RDONLY, os.O_WRONLY)):
        try:
            os.fstat(fd)
        except OSError:
            os.set_inheritable(os.open(os.devnull, mode), True)
    sys.stdout = _stream(1, sys.stdout, errors="strict")
    sys.stderr = _stream(2, sys.stderr, errors="backslashreplace")


def _stream(fd: int, before: TextIO | None, *, errors: str) -> _Output:
    """As Python has made it, if it could."""
    known = cast("io.TextIOWrapper | None", before)
    at_once = known is not None and (known.line_buffering or known.write_through)
    return _Output(
        open(fd, "wb", closefd=False),
        encoding="utf-8" if known is None else known.encoding,
        errors=errors if known is None else known.errors,
        line_buffering=at_once or fd == 2,
    )


def discard(fd: int) -> None:
    """What Python would still flush there at exit can't be written."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), fd)
