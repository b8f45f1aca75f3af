"""Standard output and error as a command may count on them, whatever it was started with."""

from __future__ import annotations

import io
import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

from moat.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Generator


class _Output(io.TextIOWrapper):
    """Tells a full disk below standard output from every other error.

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
    before = cast("io.TextIOWrapper | None", sys.stdout)
    sys.stdout = _Output(
        open(1, "wb", closefd=False),  # noqa: SIM115  to the end, as the next
        encoding="utf-8" if before is None else before.encoding,
        errors="strict" if before is None else before.errors,
        line_buffering=before is not None and before.line_buffering,
    )
    if cast("io.TextIOWrapper | None", sys.stderr) is None:
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115


def discard(fd: int) -> None:
    """What Python would still flush there at exit can't be written."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), fd)
