"""`moat service`."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from moat.cli.arguments import ListOrCommand
from moat.cli.output import print_json, print_json_array, table

if TYPE_CHECKING:
    from moat.services.entry import Entry


@click.group("service", cls=ListOrCommand, subcommand_metavar="[list | info]")
def command() -> None:
    """List the services that runs can have beside their command, or show one of these.

    Which ones a run has stands in agent.yaml (services:), or on the command line (moat run --service
    postgres@17). Besides these, agent.yaml can name any image. A file of yours in
    $MOAT_HOME/services adds a name, or replaces one that comes with Moat.
    """


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def list_(*, as_json: bool) -> None:
    """List the names that Moat knows."""
    from moat.services import catalog  # noqa: PLC0415  loads YAML

    known = catalog.ENTRIES.all()
    if as_json:
        print_json_array(_as_dict(each) for each in known)
        return
    rows = [(each.id, f"{each.image}:{each.default}", _ports(each), each.title) for each in known]
    sys.stdout.write(table(("NAME", "IMAGE", "PORTS", "TITLE"), rows))


@command.command("info")
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def info(name: str, *, as_json: bool) -> None:
    """Show what Moat knows of one."""
    from moat.services import catalog  # noqa: PLC0415  as above

    entry = catalog.find(name)
    if as_json:
        print_json(_as_dict(entry))
        return
    variables = ", ".join(("HOST", "PORT", *entry.variables))
    rows = (
        ("title", entry.title),
        ("image", f"{entry.image}:{entry.default}"),
        ("ports", _ports(entry)),
        ("ready when", f"it answers {entry.ready.protocol}"),
        ("data", entry.data),
        ("variables", f"MOAT_NAME_ with {variables}"),
        ("notes", entry.notes),
    )
    sys.stdout.write("".join(f"{name + ':':12}{text}\n" for name, text in rows if text))


def _ports(entry: Entry) -> str:
    return ", ".join(map(str, entry.ports))


def _as_dict(entry: Entry) -> dict[str, object]:
    fields = asdict(entry)
    return {"name": fields.pop("id"), **fields, "own": not fields.pop("builtin")}
