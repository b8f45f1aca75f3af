"""`moat wait`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from moat.cli.arguments import session_argument, session_option
from moat.cli.found import find_session
from moat.client.watch.wait import (
    WaitResult,
    wait_for_exit,
    wait_for_idle,
    wait_for_input,
    wait_for_text,
)
from moat.errors import RunNotActiveError, UsageError
from moat.paths import MAIN_SESSION
from moat.runs import session_records
from moat.runs.store import Store
from moat.spec.units import parse_duration

if TYPE_CHECKING:
    from moat.runs.store import Run

TIMED_OUT = 124
"""The exit code of timeout(1)."""


@click.command("wait")
@session_argument()
@session_option
@click.option(
    "--exit", "for_exit", is_flag=True, help="Wait until the run has ended (the default)."
)
@click.option(
    "--for",
    "wanted",
    type=click.Choice(["input", "exit"]),
    help="Wait until it waits for its user, and print for what; or --exit.",
)
@click.option("--idle", metavar="DURATION", help="Wait until it has written nothing for this long.")
@click.option("--text", metavar="REGEX", help="Wait until its screen, or its output, matches.")
@click.option("--timeout", metavar="DURATION", help="Give up after this time, with exit code 124.")
def command(  # noqa: PLR0913  an option each
    run: str | None,
    *,
    session: str | None,
    for_exit: bool,
    wanted: str | None,
    idle: str | None,
    text: str | None,
    timeout: str | None,
) -> int:
    """Wait until a run has ended and print its exit code, or wait for something else.

    With --for input that is the moment at which the run waits for its user, and what is printed is
    for what: permission, question, error or done of an agent that Moat knows, and attention where any
    other command has rung the bell or shown a notification. What holds already counts.

    If the run ends before it did what is waited for, the exit code is 1.
    """
    if sum(map(bool, (for_exit, wanted, idle is not None, text is not None))) > 1:
        raise UsageError("--exit, --for, --idle and --text exclude each other")
    patience = None if timeout is None else parse_duration(timeout)
    with Store() as store:
        found, name = find_session(store, run, session)
        if text is not None:
            result = wait_for_text(store, found, text, patience, name)
        elif idle is not None:
            result = wait_for_idle(store, found, parse_duration(idle), patience, name)
        elif wanted == "input":
            if name != MAIN_SESSION:
                raise UsageError(
                    "--for input is about a run's own command", "Leave the session out"
                )
            result, waits_for = wait_for_input(store, found, patience)
            if result is WaitResult.INPUT:
                sys.stdout.write(f"{waits_for}\n")
        else:
            result = wait_for_exit(store, found, patience, name)
            if result is WaitResult.EXIT:
                sys.stdout.write(f"{_exit_code(store, store.get(found.id), name)}\n")
                return 0
    return {WaitResult.TIMEOUT: TIMED_OUT, WaitResult.EXIT: 1}.get(result, 0)


def _exit_code(store: Store, run: Run, name: str) -> int:
    session = session_records.find(store, run, name)
    if session.exit_code is None:
        raise RunNotActiveError(
            f"{session.reference} is {session.state}: its exit status is not known",
            f"See what is known: moat inspect {run.name}",
        )
    return session.exit_code
