"""Line disciplines (termios(3)): made raw, and given back."""

from __future__ import annotations

import errno
import os
import signal
import termios
from typing import Any, Final

# The indices of what tcgetattr returns.
IFLAG, OFLAG, CFLAG, LFLAG, ISPEED, OSPEED, CC = range(7)

Attributes = list[Any]

_INPUT: Final = (
    termios.IGNBRK | termios.BRKINT | termios.PARMRK | termios.ISTRIP
    | termios.INLCR | termios.IGNCR | termios.ICRNL | termios.IXON
)  # fmt: skip
_LOCAL: Final = (
    termios.ECHO | termios.ECHONL | termios.ICANON | termios.ISIG | termios.IEXTEN
)  # fmt: skip
# The errors of a terminal whose window was closed, or whose line broke.
_GONE: Final = (errno.EIO, errno.ENXIO, errno.ENODEV)


def raw(attributes: Attributes) -> Attributes:
    """Return a copy as cfmakeraw(3) makes it: every key arrives, nothing is echoed or changed."""
    changed = _copy(attributes)
    changed[IFLAG] &= ~_INPUT
    changed[OFLAG] &= ~termios.OPOST
    changed[LFLAG] &= ~_LOCAL
    changed[CFLAG] = changed[CFLAG] & ~(termios.CSIZE | termios.PARENB) | termios.CS8
    changed[CC][termios.VMIN], changed[CC][termios.VTIME] = 1, 0
    return changed


def unbuffered(attributes: Attributes) -> Attributes:
    """Return a copy with which keys arrive one by one, without echo; Ctrl-C is still a signal."""
    changed = _copy(attributes)
    changed[LFLAG] &= ~(termios.ECHO | termios.ICANON)
    changed[CC][termios.VMIN], changed[CC][termios.VTIME] = 1, 0
    return changed


def give_back(fd: int, taken: Attributes, saved: Attributes) -> None:
    """Restore the controlling terminal of this process from `taken` to `saved`.

    At once (TCSANOW): a terminal whose output is stopped would never drain. A process in the
    background leaves alone what another has set since: a shell has taken the terminal by then, and
    restores what it lent. A terminal that was hung up needs nothing.
    """
    # The kernel would stop a background process for changing a terminal.
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTOU})
    try:
        if _is_ours(fd) or termios.tcgetattr(fd) == taken:
            termios.tcsetattr(fd, termios.TCSANOW, saved)
    except termios.error as exc:
        if exc.args[0] not in _GONE:
            raise
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def _is_ours(fd: int) -> bool:
    """Tell whether this process is in the foreground, or the terminal has no job control over it."""
    try:
        return os.tcgetpgrp(fd) == os.getpgrp()
    except OSError:
        return True


def restore_if_still_raw(fd: int, raw_attributes: Attributes, saved: Attributes) -> None:
    """Restore the terminal of a client that died, unless a shell has taken it and set it up already.

    For a process that the terminal does not control. Raise `OSError` where the terminal is gone, and
    where `saved` makes no sense.
    """
    try:
        if termios.tcgetattr(fd) == raw_attributes:
            termios.tcsetattr(fd, termios.TCSANOW, saved)
    except (termios.error, TypeError, OverflowError) as exc:
        raise OSError(*exc.args) from exc


def _copy(attributes: Attributes) -> Attributes:
    return [*attributes[:CC], list(attributes[CC])]
