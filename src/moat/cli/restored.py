"""Text about the paths of a restore, and the question before it."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Final

import click

from moat.cli.path_limits import is_chosen, is_listed
from moat.errors import UsageError
from moat.workspace.patch import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from moat.workspace.changes import Change
    from moat.workspace.restoring import Restored

_GIT: Final = ".git"


def is_meant(change: Change, limits: tuple[str, ...]) -> bool:
    """Return whether a restore that is limited to some paths, or to none, is about this change.

    Git folders and folders that tools fill need to be named.
    """
    names_git = any(_GIT in limit.split("/") for limit in limits)
    if _GIT in change.path.split("/") and not names_git:
        return False
    return is_chosen(change.path, limits) and is_listed(change, limits)


def ask(plan: Sequence[Restored], question: str, command: str) -> None:
    """Ask whether a plan is to be carried out. Raises `UsageError` where nobody can answer."""
    if all(each.left is not None for each in plan):
        return  # it changes nothing
    if not (os.isatty(0) and os.isatty(2)):
        raise UsageError(
            "files would be replaced, and there is no terminal to ask on",
            f"Look: {command} --dry-run; do it: {command} --yes",
        )
    sys.stderr.writelines(lines(plan))
    click.confirm(question, err=True, abort=True)


def lines(done: Iterable[Restored]) -> list[str]:
    """Return a line for each path, in the order of paths."""
    return [_line(each) for each in sorted(done, key=lambda each: each.path.split("/"))]


def _line(each: Restored) -> str:
    if each.left is not None:
        return f"left      {quoted(each.path)}: {each.left}\n"
    return f"{'removed ' if each.removed else 'restored'}  {quoted(each.path)}\n"
