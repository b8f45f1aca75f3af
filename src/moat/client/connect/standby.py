"""A supervisor that loads while `moat run` still reads its command line.

Loading is half of what it takes to start a run, and on another processor it takes nobody's time. The
supervisor is told the run's id, which exists nowhere yet, and waits. When the run has been created it
gets the word, takes the launch lock and goes on as any other. When this process ends without giving
the word, for there was nothing to run, it ends too.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from moat.client.connect import launch
from moat.paths import moat_home

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Standby:
    """A supervisor that waits to be told that its run exists."""

    home: Path
    run_id: str
    _word: int
    """The pipe that the word goes into."""
    _answer: int
    """The pipe that closes when it listens, or has failed."""

    def go(self) -> None:
        """Tells it that the run exists now."""
        try:
            os.write(self._word, b"\n")
        except BrokenPipeError:
            pass  # it died while it loaded: whoever connects to the run starts another
        finally:
            os.close(self._word)

    def wait(self) -> None:
        """Until it listens. Why it does not, if so, is said by the one that is started then."""
        with os.fdopen(self._answer, "rb") as answer:
            answer.read()


def begin() -> Standby:
    home, run_id = moat_home(), os.urandom(6).hex()
    told, word = os.pipe()
    answer, answer_theirs = os.pipe()
    # The run has no folder for a log yet.
    null = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    try:
        launch.spawn(home, run_id, log=null, ready=answer_theirs, held=told)
    finally:
        for fd in (told, answer_theirs, null):
            os.close(fd)
    return Standby(home, run_id, word, answer)
