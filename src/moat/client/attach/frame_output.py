"""The program's output that comes in frames, written to our own standard output and error."""

from __future__ import annotations

import signal
from typing import Final

from moat.client.attach.endings import OutputClosedError, WriteInterruptedError
from moat.client.display.output import STDERR, STDOUT, ProgramOutput, write_all
from moat.wire.frames import FrameType

_FDS: Final[dict[int, int]] = {FrameType.STDOUT: STDOUT, FrameType.STDERR: STDERR}


class FrameOutput:
    """Writes output, and knows how far it has been written.

    `on_screen` output comes from a supervisor that paints a terminal, and has been filtered there.
    """

    def __init__(self, offsets: dict[int, int], *, on_screen: bool) -> None:
        """`offsets`, of stdout and stderr, move along."""
        self._offsets = offsets
        self._on_screen = on_screen
        self._output = ProgramOutput()
        self._writing = False

    def write(self, kind: int, data: bytes) -> None:
        """Write the payload of a frame. Raise `OutputClosedError` where nobody reads any more."""
        fd = _FDS[kind]
        self._writing = True
        try:
            if self._on_screen:
                write_all(fd, data)
            else:
                self._output.write(fd, data)
        except BrokenPipeError as exc:
            raise OutputClosedError from exc
        finally:
            self._writing = False
        self._offsets[fd] += len(data)

    def interrupt(self, number: int) -> None:
        """Handle a signal: raise `WriteInterruptedError` from a write that a SIGTERM would wait for."""
        if self._writing and number in (signal.SIGTERM, signal.SIGHUP):
            raise WriteInterruptedError
