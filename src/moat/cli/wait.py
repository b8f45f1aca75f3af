"""`moat wait`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from moat.cli.arguments import find, run_argument
from moat.client.watch.wait import WaitResult, wait_for_exit, wait_for_idle, wait_for_text
from moat.errors import RunNotActiveError, UsageError
from moat.runs.store import Store
from moat.spec.units import parse_duration

if TYPE_CHECKING:
    from moat.runs.store import Run

TIMED_OUT = 124
"""The exit code of timeout(1)."""


@click.command("wait")
@run_argument()
@click.option(
    "--exit", "for_exit", is_flag=True, help="Wait until the run has ended (the default)."
)
@click.option("--idle", metavar="DURATION", help="Wait until it has written nothing for this long.")
@click.option("--text", metavar="REGEX", help="Wait until its screen, or its output, matches.")
@click.option("--timeout", metavar="DURATION", help="Give up after this time, with exit code 124.")
def command(
    run: str | None, *, for_exit: bool, idle: str | None, text: str | None, timeout: str | None
) -> int:
    """Wait until a run has ended and print its exit code, or wait for quiet or for a text.

    If the run ends before it was quiet or showed the text, the exit code is 1.
    """
    if sum((for_exit, idle is not None, text is not None)) > 1:
        raise UsageError("--exit, --idle and --text exclude each other")
    patience = None if timeout is None else parse_duration(timeout)
    with Store() as store:
        found = find(store, run)
        if text is not None:
            result = wait_for_text(store, found, text, patience)
        elif idle is not None:
            result = wait_for_idle(store, found, parse_duration(idle), patience)
        else:
            result = wait_for_exit(store, found, patience)
            if result is WaitResult.EXIT:
                sys.stdout.write(f"{_exit_code(store.get(found.id))}\n")
                return 0
    return {WaitResult.TIMEOUT: TIMED_OUT, WaitResult.EXIT: 1}.get(result, 0)


def _exit_code(run: Run) -> int:
    if run.exit_code is None:
        raise RunNotActiveError(
            f"run {run.name} is {run.state}: its exit status is not known",
            f"See what is known: moat inspect {run.name}",
        )
    return run.exit_code
