"""`moat status`."""

from __future__ import annotations

from typing import Any

import click

from moat.cli.plain.status import carry_out


@click.command("status")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option(
    "--full",
    "everything",
    is_flag=True,
    help="Measure everything on the disk, which may take a while: worktrees, and what runs are writing.",
)
def command(**given: Any) -> None:
    """Show the store at a glance: runs by state, disk space, the vault.

    Of the disk, journals are the output of runs, records what went over their networks and what happened
    to them, and private their homes and what is kept of their workspaces. What runs take is measured at
    their ends. "At least" says that there was more than could be measured in a moment.

    Images of Docker and Podman, and the key of the vault, are not looked at: see moat doctor.
    """
    carry_out(**given)
