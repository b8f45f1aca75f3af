"""Signals as something to wait for."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any, Final, Self

if TYPE_CHECKING:
    from collections.abc import Callable


class Signals:
    """The signals that mean something to a viewer, as a readable descriptor."""

    HANDLED: Final = (
        signal.SIGINT,
        signal.SIGTERM,
        signal.SIGHUP,
        signal.SIGWINCH,
        signal.SIGTSTP,
    )

    def __init__(self, noticed: Callable[[int], None]) -> None:
        self._noticed = noticed
        self._before: dict[int, Any] = {}
        self.fd = -1

    def __enter__(self) -> Self:
        self.fd, self._write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._wakeup = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        for number in self.HANDLED:
            self._before[number] = signal.signal(number, lambda got, _frame: self._noticed(got))
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._wakeup)
        os.close(self.fd)
        os.close(self._write)

    def arrived(self) -> bytes:
        try:
            return os.read(self.fd, 4096)
        except BlockingIOError:
            return b""
