"""`moat diff [RUN] [--trust] [-- PATH...]`."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import click

from moat.cli.arguments import WithCommand, split_at_dashes
from moat.cli.diff_text import painted, shown, stat_lines, summaries
from moat.cli.found import find
from moat.cli.path_limits import is_chosen, is_listed
from moat.cli.trust_report import print_trust_report
from moat.runs.store import Store
from moat.workspace.patch import kind_of, patch, quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from moat.workspace.changes import Change, Changes, Side
    from moat.workspace.contents import Pack


@click.command("diff", cls=WithCommand)
@click.argument("before", nargs=-1, metavar="[RUN] [-- PATH...]")
@click.option("--stat", "as_stat", is_flag=True, help="Print the number of changed lines per file.")
@click.option("--name-only", is_flag=True, help="Print the names of changed files alone.")
@click.option("--trust", is_flag=True, help="Print what programs on the host may obey, instead.")
@click.option("--json", "as_json", is_flag=True, help="Print the changed files as a JSON object.")
@click.pass_context
def command(
    ctx: click.Context,
    before: tuple[str, ...],
    *,
    as_stat: bool,
    name_only: bool,
    trust: bool,
    as_json: bool,
) -> None:
    """Print all that a run has changed in its workspace, up to its end, as git diff would.

    The run's start is recorded outside the workspace. So nothing that a run does to a repository hides
    anything: ignored and untracked files, nested repositories, .git itself, flags in the index and
    forged times all count. While the run is alive the difference is up to now.

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

    reference, paths = split_at_dashes(ctx, before)
    with Store() as store:
        run = find(store, reference)
        if trust:
            print_trust_report(run, store.folder(run.id), as_json=as_json)
            return
        with changes_of(store.folder(run.id), ended=run.ended) as (changes, pack):
            chosen = [change for change in changes.changes if is_chosen(change.path, paths)]
            listed = [change for change in chosen if is_listed(change, paths)]
            if as_json:
                # ASCII, for a path needn't be valid Unicode.
                sys.stdout.write(json.dumps(_as_json(changes, chosen), indent=2) + "\n")
            elif name_only:
                _print(f"{quoted(change.path)}\n".encode() for change in listed)
            else:
                _print(f"# {note}\n".encode(errors="replace") for note in changes.notes)
                _print(summaries([change for change in chosen if not is_listed(change, paths)]))
                contents = ((change, *_contents(change, pack)) for change in listed)
                if as_stat:
                    _print(stat_lines(contents))
                else:
                    for change, old, new in contents:
                        _print(patch(change, old, new))


def _contents(change: Change, pack: Pack) -> tuple[bytes | None, bytes | None]:
    return _content(change.before, pack), _content(change.after, pack)


def _content(side: Side | None, pack: Pack) -> bytes | None:
    if side is None or side.content is None:
        return None
    return pack.read(side.content)


def _print(lines: Iterable[bytes]) -> None:
    """Print lines as they are into a file or pipe, and as text that can do no harm on a terminal."""
    if sys.stdout.isatty():
        sys.stdout.writelines(painted(shown(line)) for line in _single(lines))
        return
    sys.stdout.flush()
    sys.stdout.buffer.writelines(lines)


def _single(lines: Iterable[bytes]) -> Iterator[bytes]:
    for line in lines:
        yield from line.splitlines(keepends=True)


def _as_json(changes: Changes, chosen: list[Change]) -> dict[str, Any]:
    return {
        "workspace": changes.root,
        "notes": changes.notes,
        "changes": [
            {
                "path": change.path,
                "before": _side_as_json(change.before),
                "after": _side_as_json(change.after),
                "generated": change.generated,
                "late": change.late,
            }
            for change in chosen
        ],
    }


def _side_as_json(side: Side | None) -> dict[str, Any] | None:
    if side is None:
        return None
    return {
        "kind": kind_of(side.mode),
        "mode": f"{side.mode & 0o7777:04o}",
        "size": side.size,
        "sha256": side.digest,
        "target": side.target,
        "kept": side.content is not None and side.offset >= 0,
    }
