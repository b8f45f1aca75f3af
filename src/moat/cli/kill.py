"""`moat kill`."""

from __future__ import annotations

import sys

import click

from moat.cli.arguments import session_argument, session_option, signal_number
from moat.cli.found import find_session, supervisor_of
from moat.errors import RunNotActiveError, UsageError
from moat.paths import MAIN_SESSION
from moat.runs.store import Store


@click.command("kill")
@session_argument(running=True)
@session_option
@click.option(
    "-f",
    "--force",
    is_flag=True,
    help="End the run also where its supervisor does not answer, which is replaced.",
)
@click.option(
    "-s", "--signal", "signal_name", help="Send the command this signal, and nothing more."
)
def command(run: str | None, *, session: str | None, force: bool, signal_name: str | None) -> None:
    """Kill a run at once (SIGKILL to everything in its sandbox), or send its command a signal.

    With RUN/SESSION, the command of a moat exec is killed alone.
    """
    number = None if signal_name is None else signal_number(signal_name)
    with Store() as store:
        found, name = find_session(store, run, session)
        if found.ended:
            raise RunNotActiveError(f"run {found.name} is {found.state} already")
        if force and (number is not None or name != MAIN_SESSION):
            raise UsageError("--force kills a whole run", "Leave out the session and the signal")
        if force:
            from moat.client import force as by_force  # noqa: PLC0415  rarely needed

            by_force.kill(store, found)
        elif number is None:
            supervisor_of(store, found).post("/v1/kill", session=name)
        else:
            supervisor_of(store, found).post("/v1/signal", signal=number, session=name)
        sys.stdout.write(found.name if name == MAIN_SESSION else f"{found.name}/{name}")
        sys.stdout.write("\n")
