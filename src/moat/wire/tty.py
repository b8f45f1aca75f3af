"""Line disciplines as both sides of an attach handle them: raw, remembered, given back."""

from __future__ import annotations

import errno
import os
import signal
import termios
from typing import Any, Final, cast

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
# What a terminal says whose window was closed, or whose line broke.
_GONE: Final = (errno.EIO, errno.ENXIO, errno.ENODEV)


def raw(attributes: Attributes) -> Attributes:
    """A copy as cfmakeraw(3) makes it: every key arrives, nothing is echoed or changed."""
    changed = _copy(attributes)
    changed[IFLAG] &= ~_INPUT
    changed[OFLAG] &= ~termios.OPOST
    changed[LFLAG] &= ~_LOCAL
    changed[CFLAG] = changed[CFLAG] & ~(termios.CSIZE | termios.PARENB) | termios.CS8
    changed[CC][termios.VMIN], changed[CC][termios.VTIME] = 1, 0
    return changed


def unbuffered(attributes: Attributes) -> Attributes:
    """A copy in which keys arrive one by one and unseen; Ctrl-C and newlines stay what they are."""
    changed = _copy(attributes)
    changed[LFLAG] &= ~(termios.ECHO | termios.ICANON)
    changed[CC][termios.VMIN], changed[CC][termios.VTIME] = 1, 0
    return changed


def encode(attributes: Attributes) -> list[Any]:
    """As JSON has it: control characters become numbers."""
    characters = [each if isinstance(each, int) else each[0] for each in attributes[CC]]
    return [*attributes[:CC], characters]


def decode(given: object) -> Attributes:
    """Raises `ValueError` for anything that `encode` has not made."""
    fields = cast("list[Any]", given) if isinstance(given, list) else []
    if len(fields) != CC + 1 or not isinstance(fields[CC], list):
        raise ValueError("not the attributes of a terminal")
    numbers, characters = fields[:CC], cast("list[int]", fields[CC])
    if not all(isinstance(each, int) for each in (*numbers, *characters)):
        raise ValueError("not the attributes of a terminal")
    canonical = numbers[LFLAG] & termios.ICANON
    # VMIN and VTIME are numbers where line input is off, and characters where it is on.
    counts = () if canonical else (termios.VMIN, termios.VTIME)
    return [
        *numbers,
        [
            int(each) if position in counts else bytes([each])
            for position, each in enumerate(characters)
        ],
    ]


def give_back(fd: int, taken: Attributes, saved: Attributes) -> None:
    """Restores our own terminal, from wherever we are.

    TCSANOW: to wait until output has drained would be for ever on a terminal that is stopped. Not
    from the background over what another has set since: a shell took the terminal then, and
    restores itself what it lent. A terminal that was hung up needs nothing any more.
    """
    # Else the kernel stops whoever changes a terminal from the background.
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
    """Whether we are in the foreground; also where the terminal does not control jobs of ours."""
    try:
        return os.tcgetpgrp(fd) == os.getpgrp()
    except OSError:
        return True


def restore_if_still_raw(fd: int, raw_attributes: Attributes, saved: Attributes) -> None:
    """Gives a dead client's terminal back, unless a shell has taken it and set it up already.

    For a process that the terminal does not control. Raises `OSError`, where the terminal is gone or
    `saved` is nonsense, too.
    """
    try:
        if termios.tcgetattr(fd) == raw_attributes:
            termios.tcsetattr(fd, termios.TCSANOW, saved)
    except (termios.error, TypeError, OverflowError) as exc:
        raise OSError(*exc.args) from exc


def _copy(attributes: Attributes) -> Attributes:
    return [*attributes[:CC], list(attributes[CC])]
