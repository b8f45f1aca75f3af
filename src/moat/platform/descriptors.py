"""The standard descriptors: 0, 1 and 2."""

from __future__ import annotations

import os


def open_missing() -> None:
    """Open `/dev/null` in the place of each standard descriptor that is closed.

    The next file to be opened would get its number, and then the output. Standard output is opened for
    reading, so that writing there fails.
    """
    for fd, mode in enumerate((os.O_RDONLY, os.O_RDONLY, os.O_WRONLY)):
        try:
            os.fstat(fd)
        except OSError:
            os.set_inheritable(os.open(os.devnull, mode), True)
