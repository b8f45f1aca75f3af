"""`moat wait`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from moat.cli.arguments import find, run_argument
from moat.client.watch import wait as waiting
from moat.errors import RunNotActiveError, UsageError
from moat.runs.store import Store
from moat.spec.units import parse_duration

if TYPE_CHECKING:
    from moat.runs.store import Run

TIMED_OUT = 124
"""As timeout(1)."""


@click.command("wait")
@run_argument()
@click.option("--exit", "for_exit", is_flag=True, help="For the end (the default).")
@click.option("--idle", metavar="DURATION", help="Until it has written nothing for so long.")
@click.option("--text", metavar="REGEX", help="Until its screen (or output) shows this.")
@click.option("--timeout", metavar="DURATION", help="Give up after so long, with exit code 124.")
def command(
    run: str | None, *, for_exit: bool, idle: str | None, text: str | None, timeout: str | None
) -> int:
    """Wait for something to happen in a run.

    For its end, the run's exit code is printed. Waiting for quiet or text fails (1) when the run ends
    before.
    """
    if sum((for_exit, idle is not None, text is not None)) > 1:
        raise UsageError("--exit, --idle and --text exclude each other")
    patience = None if timeout is None else parse_duration(timeout)
    with Store() as store:
        found = find(store, run)
        if text is not None:
            happened = waiting.wait_for_text(store, found, text, patience)
        elif idle is not None:
            happened = waiting.wait_for_idle(store, found, parse_duration(idle), patience)
        else:
            happened = waiting.wait_for_exit(store, found, patience)
            if happened is waiting.WaitResult.EXIT:
                sys.stdout.write(f"{_exit_code(store.get(found.id))}\n")
                return 0
    return {waiting.WaitResult.TIMEOUT: TIMED_OUT, waiting.WaitResult.EXIT: 1}.get(happened, 0)


def _exit_code(run: Run) -> int:
    if run.exit_code is None:
        raise RunNotActiveError(
            f"run {run.name} is {run.state}: its exit status is not known",
            f"What is known: moat inspect {run.name}",
        )
    return run.exit_code
