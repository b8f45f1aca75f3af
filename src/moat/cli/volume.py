"""`moat volume`."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from moat.agents import kept_files
from moat.cli.output import amount, print_json_array, table
from moat.errors import UsageError
from moat.paths import moat_home
from moat.printable import without_controls
from moat.runs.store import Store
from moat.runs.volumes import remove, users, volumes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moat.runs.project_folders import ProjectFolder


@click.group("volume", subcommand_metavar="list | rm | prune")
def command() -> None:
    """List or remove volumes: folders that last from run to run, for the runs of one project.

    A run has them by moat run --volume NAME:PATH, or by volumes: in agent.yaml. Runs have written them,
    so the host obeys nothing in there.
    """


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def list_(*, as_json: bool) -> None:
    """List the volumes of all projects."""
    found = volumes(moat_home())
    if as_json:
        print_json_array(
            {
                "name": each.name,
                "project": each.project,
                "bytes": _size(each),
                "folder": str(each.path),
            }
            for each in found
        )
    elif not found:
        sys.stdout.write("No volumes. Make one: moat run --volume NAME:PATH -- COMMAND\n")
    else:
        sys.stdout.write(_listing(found))


@command.command("rm")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option(
    "-C",
    "--project",
    type=click.Path(),
    metavar="PATH",
    default=".",
    help="The project folder (default: here).",
)
def rm(names: tuple[str, ...], *, project: str) -> None:
    """Remove volumes of a project, and all that is in them."""
    place = os.path.realpath(project)
    with Store() as store:
        known = {each.name: each for each in volumes(store.home) if each.project == place}
        for name in names:
            if name not in known:
                raise UsageError(f"there is no volume {name} of {place}", "See: moat volume list")
        for name in dict.fromkeys(names):
            remove(store, known[name])


@command.command("prune")
@click.option("-y", "--yes", is_flag=True, help="Don't ask.")
def prune(*, yes: bool) -> None:
    """Remove the volumes that no run has, not even one that has ended (see moat list -a)."""
    with Store() as store:
        runs = store.all()
        unused = [each for each in volumes(store.home) if not any(users(store, runs, each))]
        if not unused:
            sys.stderr.write("moat: there is nothing to remove\n")
            return
        if not yes:
            _ask(unused)
        for each in unused:
            remove(store, each)
            sys.stdout.write(f"{each.name}\n")


def _ask(unused: Sequence[ProjectFolder]) -> None:
    """Ask whether volumes may be removed. Raises `UsageError` where nobody can answer."""
    if not (os.isatty(0) and os.isatty(2)):
        raise UsageError(
            f"{len(unused)} volumes would be removed, and there is no terminal to ask on",
            "Look: moat volume list; remove them: moat volume prune --yes",
        )
    sys.stderr.write(_listing(unused))
    click.confirm("Remove these volumes and all that is in them?", err=True, abort=True)


def _listing(found: Sequence[ProjectFolder]) -> str:
    rows = [(each.name, amount(_size(each)), without_controls(each.project)) for each in found]
    return table(("NAME", "SIZE", "PROJECT"), rows)


def _size(volume: ProjectFolder) -> int:
    """Return the bytes of a volume's files."""
    return sum(each.status.st_size for each in kept_files.walk(volume.path) if not each.is_folder)
