"""`moat snapshot diff` and `moat snapshot show`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from moat.cli.arguments import WithCommand, split_at_dashes
from moat.cli.diff_output import Form, form_options, print_changes
from moat.cli.snapshot_found import SnapshotReference, snapshot_of
from moat.cli.snapshot_text import is_harmless
from moat.errors import MoatError, StoreError, UsageError
from moat.runs.store import Store
from moat.workspace.history.difference import difference
from moat.workspace.history.reference import Fixed
from moat.workspace.manifest import is_file, is_folder
from moat.workspace.patch import quoted

if TYPE_CHECKING:
    from moat.cli.snapshot_found import Found
    from moat.workspace.history.reference import State


@click.command("diff", cls=WithCommand)
@click.argument("snapshot", type=SnapshotReference(), metavar="SNAPSHOT")
@click.argument(
    "later", type=SnapshotReference(), required=False, metavar="[SNAPSHOT] [-- PATH...]"
)
@form_options
@click.pass_context
def diff(ctx: click.Context, snapshot: str, later: str | None, **form: Any) -> None:
    """Print what has changed from a snapshot to another one of the run, or until now.

    \b
    moat snapshot diff fix@start fix@2 --stat
    moat snapshot diff fix@2 -- src

    The patch, its notes and the keys of --json are those of moat diff.
    """  # noqa: D301  a backspace tells click not to wrap
    _, paths = split_at_dashes(ctx, ())
    with Store() as store:
        found = snapshot_of(store, snapshot)
        end = _later(store, found, later)
        with difference(found.history, found.state, end) as between:
            print_changes(between.changes, between.before, between.after, Form(paths, **form))


def _later(store: Store, found: Found, text: str | None) -> State:
    """Return the state with which one is compared."""
    if text is None or text == Fixed.NOW:
        return Fixed.NOW
    if text.startswith("@"):
        text = f"{found.run.id}{text}"
    other = snapshot_of(store, text)
    if other.run.id != found.run.id:
        raise UsageError(
            f"{other.run.name} is another run than {found.run.name}",
            "Name two snapshots of one run",
        )
    return other.state


@click.command("show")
@click.argument("snapshot", type=SnapshotReference(), metavar="SNAPSHOT")
@click.argument("path", metavar="PATH")
def show(snapshot: str, path: str) -> None:
    """Print a file as it was in a snapshot, byte for byte; of a folder, the names in it.

    PATH is relative to the workspace. What a terminal would obey is printed to a file or a pipe only.
    """
    with Store() as store:
        found = snapshot_of(store, snapshot)
        content = _content(found, path.removeprefix("./").rstrip("/"))
    if sys.stdout.isatty() and not is_harmless(content):
        raise UsageError(
            f"{quoted(path)} is no plain text: a terminal might obey it",
            f"Write it to a file: moat snapshot show {snapshot} PATH > FILE",
        )
    sys.stdout.flush()
    sys.stdout.buffer.write(content)


def _content(found: Found, path: str) -> bytes:
    manifest = found.history.manifest(found.state)
    if path in {"", "."} or path in manifest.folders:
        names = manifest.folders["" if path == "." else path].entries
        return b"".join(f"{quoted(name)}\n".encode() for name in sorted(names))
    above, _, name = path.rpartition("/")
    folder = manifest.folders.get(above)
    status = None if folder is None else folder.entries.get(name)
    if folder is None or status is None:
        raise UsageError(
            f"{quoted(path)} is not in the snapshot",
            f"List it: moat snapshot show {found.run.name}@{found.name} .",
        )
    if name in folder.targets:
        raise UsageError(
            f"{quoted(path)} is a symbolic link to {quoted(folder.targets[name])}", "Name a file"
        )
    if is_folder(status) or not is_file(status):
        raise UsageError(f"{quoted(path)} is no file", "Name a file")
    kept = folder.contents.get(name)
    try:
        with found.history.contents() as contents:
            data = None if kept is None else contents.read(kept)
    except ValueError as exc:
        raise StoreError(f"the record of {quoted(path)} can't be used: {exc}") from exc
    if data is None:
        raise MoatError(
            f"the content of {quoted(path)} is not in the snapshot",
            "It was too large, in a folder that tools fill, or had no room (docs/snapshots.md)",
        )
    return data
