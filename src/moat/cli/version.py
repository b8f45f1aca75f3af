"""`moat version`."""

from __future__ import annotations

import sys

import click

import moat


@click.command("version")
def command() -> None:
    """Print the version."""
    sys.stdout.write(f"moat {moat.__version__}\n")
