"""Changes of a workspace, printed as the options of a command want them."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from moat.cli.diff_text import painted, shown, stat_lines, summaries
from moat.cli.path_limits import is_chosen, is_listed
from moat.errors import StoreError
from moat.workspace.manifest import NOT_KEPT
from moat.workspace.patch import kind_of, patch, quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from moat.workspace.changes import Change, Changes, Side
    from moat.workspace.contents import ContentReader


def form_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options `--stat`, `--name-only` and `--json`; see `Form`."""
    for option in (
        click.option(
            "--json", "as_json", is_flag=True, help="Print the changed files as a JSON object."
        ),
        click.option("--name-only", is_flag=True, help="Print the names of changed files alone."),
        click.option(
            "--stat", "as_stat", is_flag=True, help="Print the number of changed lines per file."
        ),
    ):
        function = option(function)
    return function


@dataclass(frozen=True, slots=True)
class Form:
    """The form in which changes are printed, and the paths that they are limited to."""

    paths: tuple[str, ...] = ()
    as_stat: bool = False
    name_only: bool = False
    as_json: bool = False


def print_changes(
    changes: Changes, before: ContentReader, after: ContentReader, form: Form
) -> None:
    """Print changes; the contents of their sides are in `before` and `after`."""
    chosen = [change for change in changes.changes if is_chosen(change.path, form.paths)]
    listed = [change for change in chosen if is_listed(change, form.paths)]
    if form.as_json:
        # ASCII, for a path needn't be valid Unicode.
        sys.stdout.write(json.dumps(_as_json(changes, chosen), indent=2) + "\n")
        return
    if form.name_only:
        _print(f"{quoted(change.path)}\n".encode() for change in listed)
        return
    _print(f"# {note}\n".encode(errors="replace") for note in changes.notes)
    _print(summaries([change for change in chosen if not is_listed(change, form.paths)]))
    contents = (
        (change, _content(change, change.before, before), _content(change, change.after, after))
        for change in listed
    )
    if form.as_stat:
        _print(stat_lines(contents))
    else:
        for change, old, new in contents:
            _print(patch(change, old, new))


def _content(change: Change, side: Side | None, reader: ContentReader) -> bytes | None:
    if side is None or side.content is None:
        return None
    try:
        return reader.read(side.content)
    except ValueError as exc:
        raise StoreError(
            f"the record of {quoted(change.path)} can't be used: {exc}",
            "Print the changes without their contents: --name-only, --json",
        ) from exc


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
        "kept": side.content is not None and side.offset != NOT_KEPT,
    }
