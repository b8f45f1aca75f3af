"""`moat apply [RUN] [-- PATH...]`."""

from __future__ import annotations

import os
import shlex
import sys
from typing import TYPE_CHECKING

import click

from moat.cli.arguments import WithCommand, split_at_dashes
from moat.cli.diff_text import shown, stat_lines
from moat.cli.found import find
from moat.cli.path_limits import is_chosen, is_listed
from moat.errors import UsageError
from moat.runs.imported import check_own
from moat.runs.store import Store
from moat.workspace.apply_plan import Plan, Verdict, leads_out
from moat.workspace.patch import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from moat.runs.store import Run
    from moat.workspace.apply_plan import Step
    from moat.workspace.changes import Change
    from moat.workspace.contents import Pack


@click.command("apply", cls=WithCommand)
@click.argument("before", nargs=-1, metavar="[RUN] [-- PATH...]")
@click.option("--dry-run", is_flag=True, help="List what would be done, and do nothing.")
@click.option("--force", is_flag=True, help="Replace what was changed in the workspace since.")
@click.option(
    "--trust",
    is_flag=True,
    help="Take over files, too, that programs of this machine obey unasked (docs/protected-paths.md).",
)
@click.option("-y", "--yes", is_flag=True, help="Don't ask.")
@click.pass_context
def command(
    ctx: click.Context,
    before: tuple[str, ...],
    *,
    dry_run: bool,
    force: bool,
    trust: bool,
    yes: bool,
) -> None:
    """Put what a run changed in its copy into the workspace that was copied, or the PATHs of it.

    A run has a copy if it was started with --copy, or if your configuration says so. If one of the
    files was changed in the workspace since it was copied, nothing is done, and the exit code is 2.
    Files that programs obey unasked, such as .envrc, are held back and named, and the exit code is
    then 1. A file is replaced in one step, and no symbolic link is followed.

    Git folders are left to git: you are told how to fetch the run's commits. Folders that tools fill,
    such as node_modules and .venv, are left alone unless a PATH names them.
    """
    from moat.workspace.applying import Application  # noqa: PLC0415  loads slowly
    from moat.workspace.frozen_changes import changes_of  # noqa: PLC0415
    from moat.workspace.held_paths import ObeyedPaths  # noqa: PLC0415

    reference, limits = split_at_dashes(ctx, before, paths=True)
    with Store() as store:
        run = find(store, reference)
        check_own(run, "nothing of it is put into a workspace here")
        spec, folder = store.spec(run.id), store.folder(run.id)
        _check(run, has_copy=bool(spec.copy))
        with (
            changes_of(folder, ended=True) as (changes, pack),
            Application(spec, folder, changes.changes) as application,
        ):
            sys.stderr.writelines(f"moat: {note}\n" for note in changes.notes)
            chosen = [each for each in application.changes if _is_meant(each, limits)]
            _refuse_unknown(limits, chosen, run)
            hold = _trusted if trust else ObeyedPaths(spec).obeyed_by
            plan = application.plan(chosen, hold, force=force)
            todo = plan.in_order()
            _refuse_conflicts(plan)
            _print(_held_lines(plan))
            if any(hold(step.change) for step in plan.having(Verdict.HELD)):
                sys.stderr.write(f"moat: once you have looked at them: {_with_trust(run)}\n")
            if dry_run:
                _print(map(_line, todo))
            elif todo:
                if not yes:
                    _ask(plan, pack, spec.workspace)
                for change in application.carry_out(plan, force=force):
                    _print([_line(change)])
            else:
                sys.stderr.write("moat: there is nothing to apply\n")
            if application.has_commits():
                is_clean = not folder.workspace_snapshot.exists()
                _tell_of_commits(spec.workspace, spec.copy, is_clean=is_clean)
    if plan.having(Verdict.HELD):
        ctx.exit(1)


def _check(run: Run, *, has_copy: bool) -> None:
    """Raise `UsageError` for a run that has nothing to apply, or not yet."""
    if not has_copy:
        raise UsageError(
            f"run {run.name} had no copy: it worked on the workspace itself",
            f"See what it changed there: moat diff {run.name}",
        )
    if not run.ended:
        raise UsageError(
            f"run {run.name} is still at work in its copy", f"End it first: moat stop {run.name}"
        )


def _trusted(change: Change) -> str:
    del change
    return ""


def _is_meant(change: Change, limits: tuple[str, ...]) -> bool:
    return is_chosen(change.path, limits) and is_listed(change, limits)


def _refuse_unknown(limits: Iterable[str], chosen: Sequence[Change], run: Run) -> None:
    """Raise `UsageError` for a PATH at which there is no change that could be applied."""
    for limit in limits:
        if not any(is_chosen(each.path, (limit,)) for each in chosen):
            raise UsageError(
                f"run {run.name} has changed nothing at {quoted(limit)} that can be applied",
                f"Name paths of the workspace, as in: moat diff --stat {run.name}",
            )


def _refuse_conflicts(plan: Plan) -> None:
    conflicts = plan.having(Verdict.CONFLICT)
    if not conflicts:
        return
    sys.stderr.writelines(
        f"conflict  {quoted(each.change.path)}: {each.reason}\n" for each in conflicts
    )
    count = "1 file" if len(conflicts) == 1 else f"{len(conflicts)} files"
    raise UsageError(
        f"nothing was applied: {count} in the workspace were changed since they were copied",
        "Name the other files as PATHs, or have these replaced: moat apply --force",
    )


def _with_trust(run: Run) -> str:
    return f"moat diff {run.name} -- PATH, then moat apply --trust {run.name}"


def _held_lines(plan: Plan) -> Iterator[str]:
    for each in plan.having(Verdict.HELD):
        yield f"held      {quoted(each.change.path)}: {each.reason}\n"


def _ask(plan: Plan, pack: Pack, workspace: str) -> None:
    """Show what is to be applied, and ask. Raises `UsageError` where nobody can answer."""
    if not (os.isatty(0) and os.isatty(2)):
        raise UsageError(
            "files would be changed, and there is no terminal to ask on",
            "Look: moat apply --dry-run; do it: moat apply --yes",
        )
    steps = plan.having(Verdict.APPLY)
    contents = ((each.change, *_contents(each, pack)) for each in steps)
    sys.stderr.writelines(shown(line) for line in stat_lines(contents))
    click.confirm(f"Change these files in {quoted(workspace)}?", err=True, abort=True)


def _contents(step: Step, pack: Pack) -> tuple[bytes | None, bytes | None]:
    before, after = (
        None if side is None or side.content is None else pack.read(side.content)
        for side in (step.change.before, step.change.after)
    )
    return before, after


def _print(lines: Iterable[str]) -> None:
    sys.stdout.writelines(lines)


def _line(change: Change) -> str:
    after, name = change.after, quoted(change.path)
    if after is None:
        return f"removed   {name}\n"
    if after.target is not None and leads_out(change.path, after.target):
        return f"applied   {name}: leads out of the workspace, to {quoted(after.target)}\n"
    return f"applied   {name}\n"


def _tell_of_commits(workspace: str, copy: str, *, is_clean: bool) -> None:
    """Say how the run's commits are fetched, unless git would obey what the run has left there."""
    if not is_clean:
        sys.stderr.write(f"moat: use no git in {shlex.quote(copy)}: it could not be cleaned up\n")
        return
    if not os.path.lexists(f"{workspace}/.git"):
        sys.stderr.write(f"moat: the run has made a repository, which is in {shlex.quote(copy)}\n")
        return
    command = shlex.join(["git", "-C", workspace, "fetch", copy, "HEAD"])
    sys.stderr.write(f"moat: the run has made commits; git fetches them: {command}\n")
