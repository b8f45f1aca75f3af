"""The snapshot that an argument names."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import click

from moat.cli.found import find
from moat.errors import MoatError
from moat.runs.imported import check_own
from moat.runs.store import Store
from moat.workspace.history.history import History
from moat.workspace.history.reference import Fixed, choose, parse

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from moat.runs.store import Run
    from moat.workspace.history.reference import State


class Found(NamedTuple):
    """A state of a run's workspace."""

    run: Run
    history: History
    state: State

    @property
    def name(self) -> str:
        """Its name, as messages and the audit log say it."""
        return str(self.state) if isinstance(self.state, Fixed) else str(self.state.number)


class SnapshotReference(click.ParamType[str]):
    """A snapshot, as `RUN@NAME`. Completed from the store."""

    name = "snapshot"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem  # noqa: PLC0415  for completion alone

        del ctx, param
        run, at, _ = incomplete.partition("@")
        try:
            with Store() as store:
                if not at:
                    offered = [f"{each.name}@" for each in store.all()]
                else:
                    heads = History(store.folder(find(store, run or None).id)).heads()
                    names = [str(Fixed.START), *(str(head.number) for head in heads)]
                    names += [head.label for head in heads if head.label]
                    offered = [f"{run}@{name}" for name in names]
        except MoatError:
            return []  # a completion has no place for an error; the command will report it
        return [CompletionItem(each) for each in offered if each.startswith(incomplete)]


def snapshot_of(store: Store, text: str) -> Found:
    """Find a snapshot. Raises `MoatError` where there is none of that name."""
    reference = parse(text)
    run = find(store, reference.run)
    check_own(run, "it has no snapshots here")
    history = History(store.folder(run.id))
    history.wait()
    return Found(run, history, choose(history.heads(), reference.name))
