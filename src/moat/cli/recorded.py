"""A run's recorded output on our own stdout and stderr."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, Self

from moat.client.output import write_all
from moat.session.journal.index import Stream

if TYPE_CHECKING:
    from moat.session.terminal.filter import OutputFilter

_FDS: Final = {Stream.STDOUT: 1, Stream.STDERR: 2}


class RecordedOutput:
    """Byte for byte into files and pipes. A terminal gets what is harmless to it, as when attached.

    A context manager: after a full-screen program the terminal is given back.
    """

    def __init__(self, *, tty: bool) -> None:
        """`tty`: the output was written to a terminal."""
        self._tty = tty
        self._filters: dict[Stream, OutputFilter] = {}
        for stream, fd in _FDS.items():
            if os.isatty(fd):
                from moat.session.terminal.filter import OutputFilter  # noqa: PLC0415  for terminals alone

                self._filters[stream] = OutputFilter()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._tty and Stream.STDOUT in self._filters:
            from moat.wire.terminal_reset import (  # noqa: PLC0415  for terminals alone
                CANCEL,
                reset_sequence,
            )

            write_all(_FDS[Stream.STDOUT], CANCEL + reset_sequence(alternate=True))

    def write(self, stream: Stream, data: bytes) -> None:
        if stream in self._filters:
            data = self._filters[stream].feed(data)
        write_all(_FDS[stream], data)
