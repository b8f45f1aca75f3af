"""Signals as something to wait for."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any, Final, Self

if TYPE_CHECKING:
    from collections.abc import Callable


class Signals:
    """The signals that mean something to a viewer, as a descriptor that is readable when one came.

    A context manager: the handlers before it are set again at its end.
    """

    HANDLED: Final = (
        signal.SIGINT,
        signal.SIGTERM,
        signal.SIGHUP,
        signal.SIGWINCH,
        signal.SIGTSTP,
    )

    def __init__(self, on_signal: Callable[[int], None]) -> None:
        """Call `on_signal` from the handler itself, between any two instructions."""
        self._on_signal = on_signal
        self._handlers: dict[int, Any] = {}
        self.fd = -1

    def __enter__(self) -> Self:
        self.fd, self._write = os.pipe()
        os.set_blocking(self.fd, False)
        os.set_blocking(self._write, False)
        self._wakeup = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        for number in self.HANDLED:
            self._handlers[number] = signal.signal(
                number, lambda number, _frame: self._on_signal(number)
            )
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._wakeup)
        os.close(self.fd)
        os.close(self._write)

    def take(self) -> bytes:
        """Return the numbers of the signals that have come, a byte each."""
        try:
            return os.read(self.fd, 4096)
        except BlockingIOError:
            return b""
