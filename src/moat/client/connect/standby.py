"""A supervisor that loads while `moat run` still reads its command line.

Loading is half of the time that it takes to start a run, and on another processor it costs nobody
anything. The supervisor is given the id of a run that doesn't exist yet, loads, and waits. Once the run
has been created it is sent a byte, takes the launch lock and goes on like any other. Where this process
ends without sending it, since there was nothing to run, the supervisor ends too.

This module is imported before all others and imports next to nothing, not even `typing`.
"""

from __future__ import annotations

import os
import select

from moat.client.connect.spawn import spawn
from moat.home import home_path
from moat.wire import spare

# Whoever connects says that it hangs.
START_MS = 30_000


class Standby:
    """A supervisor that waits for its run to exist."""

    def __init__(self, run_id: str, go: int, ready: int) -> None:
        """`go` is the writing end of a pipe: a byte there says that the run exists.

        `ready` is the reading end of a pipe that closes when the supervisor listens, or has failed.
        """
        self.run_id = run_id
        self._go = go
        self._ready = ready

    def go(self, *, leave_spare: bool = False) -> None:
        """Tell the supervisor that the run exists now, and whether to leave a spare behind."""
        try:
            os.write(self._go, spare.GO_AND_LEAVE_ONE if leave_spare else spare.GO)
        except BrokenPipeError:
            pass  # it died while it loaded: whoever connects to the run starts another
        finally:
            os.close(self._go)

    def wait(self) -> None:
        """Wait until the supervisor listens, or has failed; for a while, since it may hang.

        The reason of a failure is ignored: whoever connects starts another supervisor, which gives it.
        """
        with os.fdopen(self._ready, "rb") as ready:
            waiting = select.poll()
            waiting.register(ready, select.POLLIN)
            if waiting.poll(START_MS):
                ready.read()


def begin() -> Standby:
    """Start a supervisor for a run with a new id."""
    run_id = os.urandom(6).hex()
    go_read, go = os.pipe()
    ready, ready_write = os.pipe()
    # The run has no folder for a log yet.
    null = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    try:
        spawn(home_path(), run_id, log=null, ready=ready_write, held=go_read)
    finally:
        for fd in (go_read, ready_write, null):
            os.close(fd)
    return Standby(run_id, go, ready)
