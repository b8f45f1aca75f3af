"""`moat snapshot`: take, list and remove snapshots."""

from __future__ import annotations

import os
import sys
import time
from functools import partial
from typing import TYPE_CHECKING

import click

from moat.cli.arguments import run_argument
from moat.cli.found import find, supervisor_of
from moat.cli.output import age, print_json, print_json_array, table
from moat.cli.snapshot_diff import diff, show
from moat.cli.snapshot_restore import restore
from moat.cli.snapshot_text import HEADER, as_json, row, start_row, time_of, warnings
from moat.errors import UsageError
from moat.printable import without_controls
from moat.runs.imported import check_own
from moat.runs.store import Store

if TYPE_CHECKING:
    from moat.runs.store import Run
    from moat.workspace.history.record import Head


class _RunOrCommand(click.Group):
    """A group whose command `create` needs no name: `moat snapshot RUN`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or args[0] not in {*self.commands, "-h", "--help"}:
            args = ["create", *args]
        return super().parse_args(ctx, args)


@click.group(
    "snapshot",
    cls=_RunOrCommand,
    subcommand_metavar="[RUN [--label TEXT] | list | diff | show | restore | prune]",
)
def command() -> None:
    """Take, compare, restore and remove snapshots of the workspace of a run, also while it is at work.

    \b
    moat snapshot fix --label before-merge    prints fix@1
    moat snapshot list fix
    moat snapshot diff fix@1 [fix@2]          what has changed since
    moat snapshot show fix@1 src/main.py      a file as it was
    moat snapshot restore fix@1 [PATH...]     bring it back; the present is kept in another snapshot

    A snapshot is written RUN@NAME, where NAME is a number, a label, start, last, or end for that of the
    run's end. @NAME alone is one of the newest run. docs/snapshots.md says what is kept, and when Moat
    takes one by itself.
    """  # noqa: D301  a backspace tells click not to wrap


@command.command("create")
@run_argument()
@click.option("--label", default="", metavar="TEXT", help="A name for it.")
@click.option("--json", "shows_json", is_flag=True, help="Print its head as JSON.")
def create(run: str | None, *, label: str, shows_json: bool) -> None:
    """Take a snapshot of a run's workspace as it is now, and print its name.

    It stays until it is pruned or the run is destroyed. The keys of --json are those of moat snapshot
    list --json.
    """
    from moat.workspace.history.reference import check_label  # noqa: PLC0415  the help needs none

    if label:
        check_label(label)
    with Store() as store:
        found = find(store, run)
        head = _take(store, found, label)
    for each in warnings(head):
        sys.stderr.write(f"moat: {each}\n")
    if shows_json:
        print_json(as_json(head))
    else:
        sys.stdout.write(f"{found.name}@{head.number}\n")


def _take(store: Store, run: Run, label: str) -> Head:
    """Have the run's supervisor take a snapshot; once the run has ended, there is none."""
    from moat.workspace.history.history import History  # noqa: PLC0415  the help needs none
    from moat.workspace.history.record import ASKED  # noqa: PLC0415
    from moat.workspace.history.taking import take  # noqa: PLC0415

    check_own(run, "its workspace is not here")
    if not run.ended:
        answer = supervisor_of(store, run).post("/v1/snapshot", label=label)
        return History(store.folder(run.id)).load(answer["number"]).head
    taken = take(store.folder(run.id), store.spec(run.id).snapshots, ASKED, label)
    if taken is None:
        raise AssertionError("one that is asked for is always taken")
    return taken.head


@command.command("list")
@run_argument()
@click.option("--json", "shows_json", is_flag=True, help="Print a JSON array.")
def list_(run: str | None, *, shows_json: bool) -> None:
    """List the snapshots of a run, the oldest first.

    The keys of --json: snapshot (a number, or start), taken_at, reason (asked, detach, turn, restore or
    end), label, files, changed (paths that aren't what they were in the one before), unkept and
    too_large (changed files without their content), and complete.
    """
    from moat.workspace.history.history import History  # noqa: PLC0415  the help needs none

    with Store() as store:
        found = find(store, run)
        history = History(store.folder(found.id))
        heads, started = history.heads(), history.started_at()
    if shows_json:
        begun = [] if started is None else [{"snapshot": "start", "taken_at": time_of(started)}]
        print_json_array([*begun, *map(as_json, heads)])
        return
    since = partial(age, now=time.time())
    rows = [] if started is None else [start_row(started, since)]
    rows += [row(head, since) for head in heads]
    if rows:
        sys.stdout.write(table(HEADER, [tuple(map(without_controls, each)) for each in rows]))
    else:
        sys.stderr.write(f"moat: {found.name} has none; what it changed is in moat diff\n")


@command.command("prune")
@run_argument()
@click.option("--keep", type=click.IntRange(min=0), metavar="N", help="Keep the N newest.")
@click.option(
    "--older-than", "oldest", metavar="TIME", help="Remove those that are older: 2h, 30d."
)
@click.option("--dry-run", is_flag=True, help="List what would be removed, and remove nothing.")
@click.option("-y", "--yes", is_flag=True, help="Don't ask.")
def prune(
    run: str | None, *, keep: int | None, oldest: str | None, dry_run: bool, yes: bool
) -> None:
    """Remove snapshots of a run, those with labels as well, and print their names.

    The start stays for as long as the run is alive, or another snapshot needs it. moat destroy and
    moat prune remove the snapshots of a run with the run.
    """
    from moat.runs import lock  # noqa: PLC0415  the help needs none
    from moat.spec.units import parse_duration  # noqa: PLC0415
    from moat.workspace.history.history import History  # noqa: PLC0415
    from moat.workspace.history.retention import beyond  # noqa: PLC0415

    if keep is None and oldest is None:
        raise UsageError(
            "it isn't said which snapshots to remove", "Give --keep N, --older-than TIME"
        )
    limit = None if oldest is None else parse_duration(oldest)
    with Store() as store:
        found = find(store, run)
        folder = store.folder(found.id)
        history = History(folder)
        heads = history.heads()
        going = beyond(heads, len(heads) if keep is None else keep, limit, time.time_ns())
        names = "".join(f"{found.name}@{number}\n" for number in going)
        if going and not dry_run:
            if not yes:
                _ask(names, len(going))
            with lock.locked(folder.recorder_lock):
                history.remove(going)
    sys.stdout.write(names)
    if not going:
        sys.stderr.write("moat: there is nothing to remove\n")


def _ask(names: str, count: int) -> None:
    """Ask whether snapshots may be removed. Raises `UsageError` where nobody can answer."""
    if not (os.isatty(0) and os.isatty(2)):
        raise UsageError(
            f"{count} snapshots would be removed, and there is no terminal to ask on",
            "Look: moat snapshot prune --dry-run; remove them: moat snapshot prune --yes",
        )
    sys.stderr.write(names)
    click.confirm(f"Remove these {count} snapshots?", err=True, abort=True)


for _each in (diff, show, restore):
    command.add_command(_each)
