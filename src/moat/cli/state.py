"""`moat state`."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from moat.agents import state as agent_state
from moat.cli.arguments import ListOrCommand
from moat.cli.output import age, amount, print_json_array, table
from moat.errors import MoatError, UsageError
from moat.paths import moat_home
from moat.printable import without_controls
from moat.runs.store import Store
from moat.timestamps import text_of

if TYPE_CHECKING:
    from moat.agents.state import AgentState

_project = click.option(
    "-C",
    "--project",
    type=click.Path(),
    metavar="PATH",
    default=".",
    help="The project folder (default: here).",
)
_agent = click.argument("agent", metavar="AGENT")


@click.group("state", cls=ListOrCommand, subcommand_metavar="[list | show | rm | export]")
def command() -> None:
    """Show, export or remove what agents keep from run to run, for each project and agent.

    These are an agent's settings, sessions and memories, and the history of shells. The credentials that
    a run is granted are not among them. Runs have written them, so the host obeys nothing in there.
    """


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def list_(*, as_json: bool) -> None:
    """List what agents have kept of all projects."""
    found = agent_state.states(moat_home())
    if as_json:
        print_json_array(_as_dict(each) for each in found)
    elif not found:
        sys.stdout.write("Nothing was kept yet. Start an agent: moat claude\n")
    else:
        now = time.time()
        rows = [
            (each.agent, amount(each.size), age(_time(each), now), without_controls(each.project))
            for each in found
        ]
        sys.stdout.write(table(("AGENT", "SIZE", "CHANGED", "PROJECT"), rows))


@command.command("show")
@_agent
@_project
def show(agent: str, *, project: str) -> None:
    """List the files that AGENT has kept of the project."""
    found = _find(agent, project)
    for path in sorted(found.paths()):
        sys.stdout.write(f"{without_controls(path)}\n")


@command.command("rm")
@_agent
@_project
def rm(agent: str, *, project: str) -> None:
    """Remove what AGENT has kept of the project. The project itself isn't touched."""
    found = _find(agent, project)
    _refuse_used(found)
    try:
        found.remove()
    except OSError as exc:
        raise MoatError(f"{found.folder} can't be removed: {exc.strerror}") from exc


@command.command("export")
@_agent
@_project
@click.option("-o", "--output", metavar="FILE", help="The archive (default: standard output).")
def export(agent: str, *, project: str, output: str | None) -> None:
    """Write what AGENT has kept of the project as a tar archive.

    Logins are left out, and so are symbolic links.
    """
    from moat.agents import catalog  # noqa: PLC0415  a listing needs no YAML

    found = _find(agent, project)
    path = catalog.AGENTS.path_of(agent)
    without = () if path is None else catalog.AGENTS.load(path).credentials
    if output is None:
        if os.isatty(1):
            raise UsageError("an archive doesn't belong on a terminal", "Name a file: -o FILE")
        found.export(sys.stdout.buffer, without)
        return
    try:
        with open(output, "xb") as file:  # noqa: PTH123  as the user wrote it
            found.export(file, without)
    except OSError as exc:
        raise UsageError(f"{output} can't be written: {exc.strerror}", "Name another") from exc


def _find(agent: str, project: str) -> AgentState:
    path = os.path.realpath(project)
    for each in agent_state.states(moat_home()):
        if (each.project, each.agent) == (path, agent):
            return each
    raise UsageError(f"{agent} has kept nothing of {path}", "See: moat state list")


def _refuse_used(found: AgentState) -> None:
    """Raise `UsageError` while a run uses it."""
    with Store() as store:
        for run in store.all(ended=False):
            setup = store.spec(run.id).agent
            if setup is not None and Path(setup.state or "/") == found.folder:
                raise UsageError(
                    f"the run {run.name} uses it", f"Stop it first: moat stop {run.name}"
                )


def _time(state: AgentState) -> str:
    from datetime import UTC, datetime  # noqa: PLC0415  for a listing alone

    return text_of(datetime.fromtimestamp(state.changed, UTC))


def _as_dict(state: AgentState) -> dict[str, object]:
    return {
        "agent": state.agent,
        "project": state.project,
        "bytes": state.size,
        "changed_at": _time(state),
        "folder": str(state.folder),
    }
