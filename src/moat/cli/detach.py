"""`moat detach`."""

from __future__ import annotations

import sys

import click

from moat.cli.arguments import session_argument, session_option
from moat.cli.found import find_session, supervisor_of
from moat.errors import RunNotActiveError
from moat.runs.store import Store


@click.command("detach")
@session_argument(running=True)
@session_option
def command(run: str | None, *, session: str | None) -> None:
    """Detach everybody from a run (default: the newest) or a session of it. The run goes on."""
    with Store() as store:
        named = session is not None or "/" in (run or "")
        found, name = find_session(store, run, session)
        if found.ended:
            raise RunNotActiveError(f"run {found.name} is {found.state}: nobody is attached to it")
        fields = {"session": name} if named else {}
        count = supervisor_of(store, found).post("/v1/detach", **fields)["detached"]
        sys.stdout.write(f"{count} detached\n")
