"""Writing to our own standard output and error."""

from __future__ import annotations

import os
import select

from moat.errors import OutputError


def write_all(fd: int, data: bytes | memoryview) -> None:
    """Raises `BrokenPipeError` when nobody reads any more, `OutputError` for all else."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except BlockingIOError:
            # Somebody who shares the terminal or pipe with us made it non-blocking.
            waiting = select.poll()
            waiting.register(fd, select.POLLOUT)
            waiting.poll()
        except BrokenPipeError:
            raise
        except OSError as exc:
            raise OutputError.because(exc) from exc
