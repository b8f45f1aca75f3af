"""`moat config`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from moat.cli.output import print_json
from moat.config import agent_file
from moat.config import settings as user_settings
from moat.config.fields import schema as schema_of
from moat.errors import UsageError
from moat.paths import moat_home


@click.group("config")
def command() -> None:
    """Check agent.yaml, or print its JSON schema."""


@command.command("schema")
def schema() -> None:
    """Print the JSON schema of agent.yaml, for editors to check and complete it."""
    print_json(schema_of("agent.yaml", agent_file.FIELDS))


@command.command("check")
@click.argument("path", default=".")
def check(path: str) -> None:
    """Check the agent.yaml of the project folder PATH (default: here)."""
    found = agent_file.find(Path(path))
    if found is None:
        raise UsageError(f"there is no agent.yaml in {path}")
    agent_file.load(found, narrowing=not user_settings.load(moat_home()).trust_project)
    sys.stdout.write(f"{found} is fine\n")
