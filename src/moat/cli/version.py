"""`moat version`."""

from __future__ import annotations

import sys

import click

from moat.version import __version__


@click.command("version")
def command() -> None:
    """Print the version."""
    sys.stdout.write(f"moat {__version__}\n")
