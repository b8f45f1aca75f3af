"""The start of the process that submits a run's checkpoints to witnesses (`client.witness`)."""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from typing import TYPE_CHECKING, Final

from moat.runs import unwitnessed

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger(__name__)

EVERY_S: Final = 60.0
"""The time between two submissions of a run at least; a run has more checkpoints than anybody needs."""
_PROGRAM: Final = "moat.client.witness"


class WitnessStarter:
    """Starts a process once there is something to submit, if the run is queued for witnesses."""

    def __init__(self, home: Path, run_id: str) -> None:
        self._home, self._run_id = home, run_id
        self._mark = unwitnessed.mark_path(home, run_id)
        self._started: float | None = None

    def signed(self, *, last: bool = False) -> None:
        """Note that there is a new checkpoint, the `last` one or not."""
        now = time.monotonic()
        if self._started is not None and now - self._started < EVERY_S and not last:
            return  # the next one will do
        if self._mark.exists():
            self._started = now
            try:
                self._spawn()
            except OSError as exc:  # it stays in the queue
                log.error("witnesses are not asked: %s", exc.strerror)  # noqa: TRY400

    def _spawn(self) -> None:
        null = (os.devnull, os.O_RDWR, 0)
        os.posix_spawn(
            sys.executable,
            [sys.executable, "-I", "-m", _PROGRAM, str(self._home), self._run_id],
            dict(os.environ),
            file_actions=[(os.POSIX_SPAWN_OPEN, fd, *null) for fd in (0, 1, 2)],
            setsid=True,
            setsigmask=(),
            setsigdef=(signal.SIGCHLD, signal.SIGPIPE, signal.SIGHUP, signal.SIGINT),
        )
