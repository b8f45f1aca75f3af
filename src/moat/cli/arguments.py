"""What several commands take: the store, and RUN."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from moat.errors import MoatError, UsageError
from moat.runs.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable

    from moat.client.supervised import Supervised
    from moat.runs.store import Run


class RunReference(click.ParamType[str]):
    """An id, the unique beginning of one, or a name; completed from the store."""

    name = "run"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        del ctx, param
        try:
            with Store() as store:
                runs = store.all()
        except MoatError:
            return []  # a completion has no place for an error; the command will say it
        return [CompletionItem(run.name) for run in runs if run.name.startswith(incomplete)]


def run_argument(*, required: bool = False) -> Callable[[Any], Any]:
    return click.argument(
        "run", type=RunReference(), required=required, metavar="RUN" if required else "[RUN]"
    )


def find(store: Store, reference: str | None) -> Run:
    """The run that is meant: where none is named, the newest that has not ended, else the newest."""
    return store.newest_active() if reference is None else store.find(reference)


def ask(store: Store, run: Run) -> Supervised:
    from moat.client.supervised import Supervised  # noqa: PLC0415  commands of ended runs need none

    return Supervised(store.home, store.folder(run.id))


def signal_number(text: str) -> int:
    """`TERM`, `SIGTERM` or `15`."""
    import signal  # noqa: PLC0415  two commands need it

    name = text.upper().removeprefix("SIG")
    try:
        return int(text) if text.isdigit() else int(signal.Signals[f"SIG{name}"])
    except (KeyError, ValueError):
        raise UsageError(f"there is no signal {text!r}", "Name it like TERM, INT or 15") from None
