"""`moat worktree`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from moat.cli.output import print_json_array, table
from moat.config import settings
from moat.errors import UsageError
from moat.printable import without_controls
from moat.runs.store import Store

if TYPE_CHECKING:
    from moat.client.worktree import Worktree


@click.group("worktree", subcommand_metavar="list | clean")
def command() -> None:
    """List or remove the worktrees that moat run --worktree has made.

    A worktree is a folder of its own with a branch of its own, so that an agent works beside you. Take
    its work over with git, in your own folder: git merge BRANCH.
    """


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def list_(*, as_json: bool) -> None:
    """List the worktrees, and the runs that work there."""
    from moat.client.worktree import worktrees  # noqa: PLC0415  starts programs

    with Store() as store:
        found = [(each, each.user(store)) for each in worktrees(store.home)]
    if as_json:
        print_json_array(
            {
                "branch": each.branch,
                "repository": str(each.repository),
                "path": str(each.tree),
                "run": None if user is None else user.name,
            }
            for each, user in found
        )
    elif not found:
        sys.stdout.write("No worktrees. Make one: moat run --worktree BRANCH -- COMMAND\n")
    else:
        rows = [
            tuple(
                map(
                    without_controls,
                    (each.branch, user.name if user else "", str(each.repository), str(each.tree)),
                )
            )
            for each, user in found
        ]
        sys.stdout.write(table(("BRANCH", "RUN", "REPOSITORY", "PATH"), rows))


@command.command("clean")
@click.argument("branches", nargs=-1, metavar="[BRANCH]...")
@click.option("--force", is_flag=True, help="Remove changes that aren't committed, too.")
def clean(branches: tuple[str, ...], *, force: bool) -> None:
    """Remove the worktrees of these branches, or all in which nobody works. Branches stay."""
    from moat.client.worktree import remove, worktrees  # noqa: PLC0415  starts programs

    with Store() as store:
        known = worktrees(store.home)
        for name in branches:
            if all(each.branch != name for each in known):
                raise UsageError(f"there is no worktree of {name}", "See: moat worktree list")
        chosen = settings.load(store.home).programs
        refused: UsageError | None = None
        for each in known:
            if branches and each.branch not in branches:
                continue
            try:
                _refuse_used(each, store)
                remove(store, each, chosen, force=force)
            except UsageError as error:
                if branches:
                    raise
                # One with something to lose doesn't keep the others.
                refused = refused or error
        if refused is not None:
            raise refused


def _refuse_used(worktree: Worktree, store: Store) -> None:
    user = worktree.user(store)
    if user is not None:
        raise UsageError(
            f"the run {user.name} works on {worktree.branch}", f"Stop it: moat stop {user.name}"
        )
