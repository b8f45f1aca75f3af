"""Bringing a workspace back to a snapshot, after the present was recorded in another one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from moat.workspace.comparison import Recorded, compare
from moat.workspace.history.protection import Protection
from moat.workspace.history.restore_plan import plan
from moat.workspace.history.taking import look
from moat.workspace.protected_paths import find_protected_paths, table_with
from moat.workspace.restoring import Restored, restore

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from moat.spec import RunSpec
    from moat.workspace.changes import Change
    from moat.workspace.history.history import History
    from moat.workspace.history.record import Head
    from moat.workspace.history.reference import State
    from moat.workspace.manifest import Manifest

_PROTECTED = "programs on this machine obey it, and the run may have written that (--protected)"


class Restoration:
    """A restore to one state, limited to the changes that a user means."""

    def __init__(
        self,
        history: History,
        spec: RunSpec,
        wanted: State,
        is_meant: Callable[[Change], bool],
        *,
        protected: bool,
    ) -> None:
        """With `protected`, paths that the host obeys come back as the run wrote them, too."""
        self._history = history
        self._spec = spec
        self._start = history.start()
        self._wanted = history.manifest(wanted)
        self._is_meant = is_meant
        self._all = protected or spec.writable_git
        self.notes: list[str] = []
        """Sentences about what could not be compared."""

    @property
    def root(self) -> Path:
        return Path(self._wanted.root)

    def preview(self) -> list[Restored]:
        """Return what would become of each path, and do nothing."""
        return list(self._carry_out(look(self._history), None, dry_run=True))

    def carry_out(self, before: Head, agreed: Collection[str] | None) -> list[Restored]:
        """Restore, and return what became of each path.

        `before` is the snapshot of what is replaced. Only paths that the user has `agreed` to are
        changed; `None` means all.
        """
        return list(self._carry_out(self._history.manifest(before), agreed, dry_run=False))

    def _carry_out(
        self, present: Manifest, agreed: Collection[str] | None, *, dry_run: bool
    ) -> Iterator[Restored]:
        compared = compare(self._wanted, present, Recorded())
        self.notes = compared.notes
        obeys = self._obeys(present)
        found = plan(
            compared.changes, self._wanted, self._start, obeys=obeys, is_meant=self._is_meant
        )
        undone = [each for each in found.undone if agreed is None or each.path in agreed]
        yield from (Restored(path, removed=False, left=_PROTECTED) for path in found.protected)
        with self._history.contents() as contents:
            yield from restore(
                self.root, undone, contents, folders=self._wanted.folders.keys(), dry_run=dry_run
            )

    def _obeys(self, present: Manifest) -> Callable[[str], bool]:
        if self._all:
            return lambda _: False
        states = (self._start, self._wanted, present)
        table = table_with(self._spec.protected_paths)
        found = find_protected_paths(self.root, rows=self._spec.protected_paths)
        named = (*self._spec.trusted_files, *map(str, found.obeyed))
        return Protection(table, named, states).obeys
