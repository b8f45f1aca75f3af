"""Writing a program's output to our own standard output and error."""

from __future__ import annotations

import os
import select
from typing import TYPE_CHECKING, Final, Self

from moat.errors import OutputError

if TYPE_CHECKING:
    from moat.session.terminal.filter import OutputFilter

STDIN: Final = 0
STDOUT: Final = 1
STDERR: Final = 2


def write_all(fd: int, data: bytes | memoryview) -> None:
    """Write all of `data`, however long the reader takes.

    Raise `BrokenPipeError` where nobody reads any more, and `OutputError` for everything else.
    """
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except BlockingIOError:
            # Another process, which shares the terminal or pipe with us, made it non-blocking.
            waiting = select.poll()
            waiting.register(fd, select.POLLOUT)
            waiting.poll()
        except BrokenPipeError:
            raise
        except OSError as exc:
            raise OutputError.because(exc) from exc


class ProgramOutput:
    """Output as a program has written it: to files and pipes byte for byte, to a terminal filtered.

    The filter drops sequences that act on the terminal itself, such as its clipboard, or make it
    answer. A context manager: after output of a full-screen program (`tty`) the terminal is reset.
    """

    def __init__(self, *, tty: bool = False) -> None:
        self._tty = tty
        self._filters: dict[int, OutputFilter] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._tty and STDOUT in self._filters:
            from moat.session.terminal.reset import (  # noqa: PLC0415  for terminals alone
                CANCEL,
                reset_sequence,
            )

            write_all(STDOUT, CANCEL + reset_sequence(alternate=True))

    def write(self, fd: int, data: bytes) -> None:
        """Write to standard output or error. Raises as `write_all`."""
        write_all(fd, self._filtered(fd, data) if os.isatty(fd) else data)

    def _filtered(self, fd: int, data: bytes) -> bytes:
        if fd not in self._filters:
            from moat.session.terminal.filter import (  # noqa: PLC0415  for terminals alone
                OutputFilter,
                OutputPolicy,
            )

            # Output of the past notifies nobody.
            self._filters[fd] = OutputFilter(OutputPolicy(notifications=False))
        return self._filters[fd].feed(data)
