"""`moat version`."""

from __future__ import annotations

import click

from moat.cli.plain.version import carry_out


@click.command("version")
def command() -> None:
    """Print the version."""
    carry_out()
