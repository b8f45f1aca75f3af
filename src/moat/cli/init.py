"""`moat init`."""

from __future__ import annotations

import os
from pathlib import Path

import click

from moat.errors import UsageError


@click.command("init")
@click.argument("path", type=click.Path(path_type=Path), default=".")
@click.option("-y", "--yes", is_flag=True, help="Write it without asking.")
@click.option(
    "--print", "prints", is_flag=True, help="Print the file as it would be, and write nothing."
)
@click.option(
    "--dependencies",
    "images",
    is_flag=True,
    help="Have runs made from an image with what the project uses (see moat deps), and not with this"
    " machine's programs.",
)
def command(path: Path, *, yes: bool, prints: bool, images: bool) -> None:
    """Propose an agent.yaml for the project folder PATH (default: here).

    Files that say what the project needs are read: versions, lock files, Dockerfile, devcontainer.json,
    those of Compose and of CI. Nothing in them is executed. You see the difference before it is written,
    and a line's comment names the file that it comes from. What is in agent.yaml already stays as it is.
    """
    if yes and prints:
        raise UsageError("--yes and --print exclude each other", "Give one of them")
    if not (yes or prints or (os.isatty(0) and os.isatty(2))):
        raise UsageError(
            "there is no terminal to ask you on",
            "Give --print to see the file, or --yes to write it",
        )
    from moat.cli.proposed_file import propose_file  # noqa: PLC0415  not for the help

    propose_file(path.resolve(), yes=yes, prints=prints, images=images)
