"""Stopping as a job of the shell does, with the terminal as it was before."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from moat.client.attach.terminal import LocalTerminal


def suspend(terminal: LocalTerminal | None, *, raw: bool) -> None:
    """Stop this process until it is continued. In the background, taking the terminal stops it again."""
    if terminal is not None:
        terminal.restore()
    # Not SIGTSTP: that is handled by the caller.
    os.kill(os.getpid(), signal.SIGSTOP)
    if terminal is not None:
        terminal.take(raw=raw)


def come_to_foreground(terminal: LocalTerminal, *, raw: bool) -> bool:
    """Stop until the shell continues us in the foreground; return `False` where it doesn't.

    The kernel does the same to whoever reads a terminal in the background.
    """
    if not terminal.in_foreground():
        os.kill(0, signal.SIGTTIN)
    if not terminal.in_foreground():
        return False  # the signal is ignored, or nobody could continue us
    terminal.take(raw=raw)
    return True
