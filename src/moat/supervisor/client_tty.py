"""A client's terminal, as far as it is ours."""

from __future__ import annotations

import logging
import os
import termios
from typing import Any

from moat.wire import tty

log = logging.getLogger(__name__)


class PassedTerminal:
    """The client's terminal, opened anew so that our O_NONBLOCK is nobody else's."""

    def __init__(self, passed: int) -> None:
        """Raises `OSError` where the terminal can't be opened by name (after `su`, say)."""
        flags = os.O_RDWR | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        self.fd = os.open(f"/proc/self/fd/{passed}", flags)
        self._raw = termios.tcgetattr(self.fd)

    def give_back(self, saved: list[Any], last_words: bytes) -> None:
        """For a client that died: modes off, echo on, unless somebody has taken it over already."""
        self.say(last_words)
        try:
            tty.restore_if_still_raw(self.fd, self._raw, saved)
        except OSError as exc:
            log.info("terminal not given back: %s", exc)  # closed with its window

    def say(self, data: bytes) -> None:
        """Last words. Where the terminal is full, what it has not shown yet gives way to them."""
        try:
            if self.write(data) < len(data):
                termios.tcflush(self.fd, termios.TCOFLUSH)
                self.write(data)
        except (OSError, termios.error) as exc:
            log.info("terminal not reset: %s", exc)

    def write(self, data: bytes) -> int:
        """As much as goes now: in a flood, or where nobody reads, perhaps nothing."""
        try:
            return os.write(self.fd, data)
        except BlockingIOError:
            return 0

    def close(self) -> None:
        os.close(self.fd)
