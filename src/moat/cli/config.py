"""`moat config`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from moat.cli.output import print_json
from moat.config import agent_file
from moat.config.fields import schema as schema_of
from moat.errors import UsageError


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
    """Check the agent.yaml of the project folder PATH (default: here).

    What it opens may need your consent all the same, which is said on stderr (see moat trust).
    """
    from moat.cli.trust import note_open_question  # noqa: PLC0415  not for the schema

    project = agent_file.project_in(Path(path))
    if project.file is None:
        raise UsageError(f"there is no agent.yaml in {path}")
    if wanted := project.content.get("dependencies"):
        from moat.client.images import steps_of  # noqa: PLC0415  few projects have any
        from moat.paths import moat_home  # noqa: PLC0415
        from moat.spec.dependency import Dependency  # noqa: PLC0415

        steps_of([Dependency.parse(each) for each in wanted], moat_home())
    sys.stdout.write(f"{project.file} is fine\n")
    note_open_question(project)
