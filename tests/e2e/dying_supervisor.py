"""`moat`, the first supervisor of which kills itself at a moment that the test has chosen.

    python dying_supervisor.py "MOMENT" MARKER ARGUMENTS...

runs `moat ARGUMENTS...`. A moment is "before X", "during X" or "after X". X is a step of the state
table (`command_started`: around its being written) or something that the shim is told (`launch`;
"during": it was sent, the answer may be there or not). MARKER is made when it dies, and keeps the
next ones alive.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from moat.client.connect import spawn
from moat.engines.under_shim.shim_client import ShimLink
from moat.supervisor.state import RunState

SUPERVISOR = "--supervisor"


def main() -> None:
    moment, marker, *arguments = sys.argv[1:]
    if arguments[0] == SUPERVISOR:
        home, run = arguments[-2:]
        sys.argv[1:] = [home, run]
        mortal(moment, Path(marker))
        runpy.run_module("moat.supervisor", run_name="__main__")
        return
    starter = Path(f"{marker}.starter")
    starter.write_text(
        f'#!/bin/sh\nexec {sys.executable} {__file__} "{moment}" {marker} {SUPERVISOR} "$@"\n'
    )
    starter.chmod(0o700)
    spawn.sys = SimpleNamespace(executable=str(starter))  # pyright: ignore[reportAttributeAccessIssue]
    sys.argv[1:] = arguments
    runpy.run_module("moat", run_name="__main__")


def mortal(moment: str, marker: Path) -> None:
    def reached(now: str) -> None:
        if now == moment:
            die()

    def die() -> None:
        try:
            marker.touch(exist_ok=False)
        except FileExistsError:
            return
        os.kill(os.getpid(), signal.SIGKILL)

    advance, call = RunState.advance, ShimLink.call

    def mortal_advance(self: RunState, happened: Any, **also: object) -> None:
        reached(f"before {happened}")
        advance(self, happened, **also)
        reached(f"after {happened}")

    async def mortal_call(self: ShimLink, do: str, fds: Any = (), **fields: object) -> Any:
        reached(f"before {do}")
        if moment == f"during {do}":
            self._loop.call_soon(die)  # pyright: ignore[reportPrivateUsage]
        answer = await call(self, do, fds, **fields)
        reached(f"after {do}")
        return answer

    RunState.advance, ShimLink.call = mortal_advance, mortal_call


main()
