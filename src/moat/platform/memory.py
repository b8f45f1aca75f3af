"""The memory of this process, kept from others (prctl(2))."""

from __future__ import annotations

import ctypes

_PR_SET_DUMPABLE = 4


def keep_private() -> None:
    """Allow no core dump of this process, and no reading or tracing by others, unless they are root's.

    It holds until the process starts another program; that one is as open as any.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_DUMPABLE)")
