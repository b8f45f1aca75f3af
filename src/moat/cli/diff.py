"""`moat diff [RUN] [--since SNAPSHOT] [--trust] [-- PATH...]`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from moat.cli.arguments import WithCommand, split_at_dashes
from moat.cli.diff_output import Form, form_options, print_changes
from moat.cli.found import find
from moat.cli.trust_report import print_trust_report
from moat.errors import UsageError
from moat.runs.store import Store

if TYPE_CHECKING:
    from moat.paths import RunFolder


@click.command("diff", cls=WithCommand)
@click.argument("before", nargs=-1, metavar="[RUN] [-- PATH...]")
@click.option(
    "--since",
    metavar="SNAPSHOT",
    help="Print what has changed from this snapshot of the run until now.",
)
@form_options
@click.option("--trust", is_flag=True, help="Print what programs on the host may obey, instead.")
@click.pass_context
def command(
    ctx: click.Context,
    before: tuple[str, ...],
    *,
    since: str | None,
    trust: bool,
    **form: Any,
) -> None:
    """Print all that a run has changed in its workspace, up to its end, as git diff would.

    The run's start is recorded outside the workspace. So nothing that a run does to a repository hides
    anything: ignored and untracked files, nested repositories, .git itself, flags in the index and
    forged times all count. While the run is alive the difference is up to now.

    With --since, the difference begins at a snapshot of the run (see moat snapshot) and ends now, even
    if the run has ended.

    Folders that tools fill, such as node_modules, .venv and .git/objects, are summed in a line; name one
    as PATH to list what is in it. Lines that begin with # say what a patch can't: git apply and patch
    skip them. On a terminal, control characters are made visible.

    The keys of --json: workspace, notes, and changes (with path, before, after, generated and late);
    before and after are null, or have kind, mode, size, sha256, target and kept.

    With --trust, each line has a path, what was done about it, the program that obeys it, and why that
    matters. docs/protected-paths.md lists the paths that are looked at. The keys of --json are then
    findings (with root, path, treatment, done, program and reason) and more (the number of findings
    that were not kept). A treatment is quarantined, cleared, left or unchecked.
    """
    from moat.workspace.frozen_changes import changes_of  # noqa: PLC0415  loads slowly

    reference, paths = split_at_dashes(ctx, before, paths=True)
    if since is not None and "@" in since:
        reference, since = _run_of(reference, since)
    with Store() as store:
        run = find(store, reference)
        folder = store.folder(run.id)
        if trust:
            if since is not None:
                raise UsageError("--trust is about the whole run", "Leave out --since")
            print_trust_report(run, folder, as_json=form["as_json"])
        elif since is not None:
            _print_since(folder, since, Form(paths, **form))
        else:
            with changes_of(folder, ended=run.ended) as (changes, pack):
                print_changes(changes, pack, pack, Form(paths, **form))


def _run_of(reference: str | None, since: str) -> tuple[str | None, str]:
    """Return the run and the name of a snapshot that is written RUN@NAME."""
    from moat.workspace.history.reference import parse  # noqa: PLC0415  for --since alone

    run, name = parse(since)
    if None not in {run, reference} and run != reference:
        raise UsageError(f"{since} is no snapshot of {reference}", "Name one run")
    return reference or run, name


def _print_since(folder: RunFolder, name: str, form: Form) -> None:
    from moat.workspace.history.difference import difference  # noqa: PLC0415  for this alone
    from moat.workspace.history.history import History  # noqa: PLC0415
    from moat.workspace.history.reference import Fixed, choose  # noqa: PLC0415

    history = History(folder)
    history.wait()
    since = choose(history.heads(), name)
    with difference(history, since, Fixed.NOW) as found:
        print_changes(found.changes, found.before, found.after, form)
