"""`moat agents`."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from moat.cli.arguments import ListOrCommand
from moat.cli.output import print_json, print_json_array, table
from moat.errors import UsageError

if TYPE_CHECKING:
    from moat.agents.agent import Agent


@click.group("agents", cls=ListOrCommand, subcommand_metavar="[list | info | check | schema]")
def command() -> None:
    """List the agents that Moat knows, show what it knows of one, or check them.

    Each is a command: moat claude. A file of yours in $MOAT_HOME/agents adds one, or replaces one that
    comes with Moat.
    """


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def list_(*, as_json: bool) -> None:
    """List the agents."""
    from moat.agents import catalog  # noqa: PLC0415  loads YAML

    known = catalog.AGENTS.all()
    if as_json:
        print_json_array(_as_dict(each) for each in known)
        return
    rows = [
        (each.id, each.title, "yes" if _is_installed(each) else "no", each.tested or "never")
        for each in known
    ]
    sys.stdout.write(table(("AGENT", "TITLE", "INSTALLED", "TESTED"), rows))


@command.command("info")
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def info(name: str, *, as_json: bool) -> None:
    """Show what Moat knows of one agent."""
    from moat.agents import catalog  # noqa: PLC0415  as above

    agent = catalog.find(name)
    if as_json:
        print_json(_as_dict(agent))
        return
    rows = (
        ("title", agent.title),
        ("command", " ".join(agent.command)),
        ("installed by", agent.install),
        ("logged in by", ", ".join(f"moat grant {each.provider}" for each in agent.logins)),
        ("lasts", ", ".join(f"~/{each}" for each in agent.state)),
        ("never lasts", ", ".join(f"~/{each}" for each in agent.credentials)),
        ("files", ", ".join(dict.fromkeys(each.path for each in agent.files))),
        ("reads its guide at", f"~/{agent.guide}" if agent.guide else ""),
        ("variables", ", ".join(agent.env)),
        ("tested with", agent.tested or "nothing: Moat's tests have never run it"),
        ("notes", agent.notes),
    )
    sys.stdout.write("".join(f"{name + ':':20}{text}\n" for name, text in rows if text))


@command.command("check")
@click.argument("names", nargs=-1, metavar="[NAME]...")
def check(names: tuple[str, ...]) -> int:
    """Check that agents can be started: their files, programs and logins.

    Without names, all agents are checked. The exit code is 1 if one of those that are named, or one of
    your own files, has a fault.
    """
    from moat.agents import catalog  # noqa: PLC0415  as above

    known = [catalog.find(each) for each in names] or catalog.AGENTS.all()
    faults = 0
    for agent in known:
        fault = _fault(agent)
        counts = fault and (names or not agent.builtin)
        faults += bool(counts)
        untested = "" if agent.tested else " (Moat's tests have never run it)"
        sys.stdout.write(f"{agent.id}: {fault or 'ready'}{untested}\n")
    return 1 if faults else 0


@command.command("schema")
def schema() -> None:
    """Print the JSON schema of an agent's file, for editors to check and complete it."""
    from moat.agents.fields import FIELDS  # noqa: PLC0415  a listing needs none of it
    from moat.config.fields import schema as schema_of  # noqa: PLC0415

    print_json(schema_of("agent", FIELDS))


def _is_installed(agent: Agent) -> bool:
    from moat.agents.launch import require_program  # noqa: PLC0415  as above

    try:
        require_program(agent, os.environ.get("PATH", os.defpath))
    except UsageError:
        return False
    return True


def _fault(agent: Agent) -> str:
    """Return what stands in the way of a start, with the remedy; nothing if it can start."""
    from moat.agents.launch import require_program  # noqa: PLC0415  as above
    from moat.credentials.credential import CredentialKey  # noqa: PLC0415  a listing needs none of it
    from moat.credentials.vault import Vault  # noqa: PLC0415
    from moat.paths import moat_home  # noqa: PLC0415
    from moat.providers import catalog as providers  # noqa: PLC0415

    try:
        require_program(agent, os.environ.get("PATH", os.defpath))
        ways = [providers.find(each.provider).id for each in agent.logins]
    except UsageError as error:
        return f"{error.summary}. {error.hint}"
    vault = Vault(moat_home())
    if ways and not any(vault.file(CredentialKey(provider=each)).exists() for each in ways):
        return f"no credential is granted. Grant one: moat grant {' or '.join(ways)}"
    return ""


def _as_dict(agent: Agent) -> dict[str, object]:
    return {
        "name": agent.id,
        "title": agent.title,
        "command": agent.command,
        "install": agent.install,
        "installed": _is_installed(agent),
        "tested": agent.tested,
        "logins": [each.provider for each in agent.logins],
        "state": agent.state,
        "credentials": agent.credentials,
        "guide": agent.guide,
        "variables": dict(agent.env),
        "own": not agent.builtin,
    }
