"""`moat trust`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from moat.cli.output import table
from moat.config import agent_file, consent
from moat.config import settings as user_settings
from moat.config.openings import changes, nearest, shown
from moat.errors import UsageError
from moat.paths import moat_home
from moat.printable import without_controls
from moat.runs import consents
from moat.runs.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterable

    from moat.config.agent_file import Project
    from moat.config.openings import Lines


@click.command("trust")
@click.argument("path", type=click.Path(file_okay=False, path_type=Path), default=".")
@click.option("--show", is_flag=True, help="Show what the file opens, and what of it is new.")
@click.option("--forget", is_flag=True, help="Forget what you have agreed to for this folder.")
@click.option(
    "--list", "everywhere", is_flag=True, help="List the folders for which you have agreed."
)
def command(path: Path, *, show: bool, forget: bool, everywhere: bool) -> None:
    """Agree to all that the agent.yaml of the project folder PATH (default: here) opens now.

    What a project's file opens (its command, variables and mounts, and what it makes reachable) holds
    only if you have agreed to exactly that, in this folder. If it opens more later, you are asked again.
    What it restricts needs no consent.
    """
    if show + forget + everywhere > 1:
        raise UsageError("--show, --forget and --list exclude each other", "Give one of them")
    if everywhere:
        _list()
    elif forget:
        _forget(path)
    elif show:
        _show(_project(path))
    else:
        _agree(_project(path))


def note_open_question(project: Project) -> None:
    """Say on stderr if a run would ask about the project. Raises `UsageError` if it would not start."""
    settings = user_settings.load(moat_home())
    question = consent.open_question(project, settings.trust_project, moat_home())
    if question is not None:
        count = consent.counted(question.change)
        look = without_controls(question.how_to_look)
        sys.stderr.write(f"moat: it opens {count} that you have not agreed to: {look}\n")


def _agree(project: Project) -> None:
    if os.environ.get("MOAT_RUN"):
        raise UsageError("this command runs inside a run", "Agree outside")
    lines = project.openings
    with Store() as store:
        if not lines:
            _say(f"{project.file} opens nothing, so it needs no consent")
            return
        # Where the settings let no project open anything, consent would have no effect.
        consent.open_question(project, user_settings.load(store.home).trust_project, store.home)
        consents.agree(store.home, project.folder, lines)
    _say(f"agreed to {project.file}:")
    _print(f"  {shown(line)}" for line in lines)


def _show(project: Project) -> None:
    lines = project.openings
    if not lines:
        _say(f"{project.file} opens nothing, so it needs no consent")
        return
    agreed = _nearest(project, lines)
    change = changes(agreed, lines)
    state = f"{consent.counted(change)} not agreed to" if change else "agreed to"
    _say(f"{project.file} ({state}):")
    new = frozenset(change.opened)
    _print(f"{'+' if line in new else ' '} {shown(line)}" for line in lines)
    _print(f"- {shown(line)}" for line in change.lifted)


def _nearest(project: Project, lines: Lines) -> Lines:
    known = consents.agreements(moat_home(), project.folder)
    return nearest((each.lines for each in known), lines)


def _forget(path: Path) -> None:
    folder = path.resolve()
    with Store() as store:
        forgotten = consents.forget(store.home, folder)
    if not forgotten:
        raise UsageError(f"nothing was agreed to for {folder}", "See: moat trust --list")
    _say(f"forgotten: what you have agreed to for {folder}")


def _list() -> None:
    rows = [
        (without_controls(folder), str(sum(line.opens for line in each.lines)), each.at)
        for folder, agreements in consents.all_agreements(moat_home()).items()
        for each in agreements
    ]
    sys.stdout.write(table(("FOLDER", "OPENS", "AGREED"), rows))


def _project(path: Path) -> Project:
    project = agent_file.project_in(path)
    if project.file is None:
        raise UsageError(f"there is no agent.yaml in {path}", "Name a project's folder")
    return project


def _say(text: str) -> None:
    sys.stdout.write(f"{without_controls(text)}\n")


def _print(lines: Iterable[str]) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))
