"""The difference between two states of a workspace: the start, a snapshot, or what is there now."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from moat.errors import MoatError
from moat.workspace.comparison import Live, Recorded, compare
from moat.workspace.contents import MAX_CHANGES_PACK, Pack
from moat.workspace.history.reference import Fixed
from moat.workspace.manifest import trusted
from moat.workspace.walk import take_manifest

if TYPE_CHECKING:
    from collections.abc import Generator

    from moat.workspace.changes import Changes
    from moat.workspace.contents import ContentReader
    from moat.workspace.history.history import History
    from moat.workspace.history.reference import State


class Difference(NamedTuple):
    """Changes, and where the contents of their two sides are."""

    changes: Changes
    before: ContentReader
    after: ContentReader


@contextmanager
def difference(history: History, before: State, after: State) -> Generator[Difference]:
    """Yield the changes that lead from one state to a later one. Raises `MoatError`."""
    was = history.manifest(before)
    with history.contents() as recorded:
        if after is not Fixed.NOW:
            changes = compare(was, history.manifest(after), Recorded())
            yield Difference(changes, recorded, recorded)
            return
        if not Path(was.root).is_dir():
            raise MoatError(f"the workspace {was.root} is gone", "Compare two snapshots of it")
        now = take_manifest(Path(was.root), trusted(was), hidden=was.hidden)
        with tempfile.TemporaryFile() as file:
            new = Pack(file, MAX_CHANGES_PACK)
            yield Difference(compare(was, now, Live(was.root, new)), recorded, new)
