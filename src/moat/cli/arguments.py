"""What several commands take: the store, and RUN."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import click

from moat.errors import MoatError, UsageError
from moat.runs.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable

    from click.shell_completion import CompletionItem

    from moat.client.connect.supervisor_client import SupervisorClient
    from moat.runs.store import Run


class RunReference(click.ParamType[str]):
    """An id, the unique beginning of one, or a name; completed from the store."""

    name = "run"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem  # noqa: PLC0415  for completion alone

        del ctx, param
        try:
            with Store() as store:
                runs = store.all()
        except MoatError:
            return []  # a completion has no place for an error; the command will say it
        references = [reference for run in runs for reference in (run.name, run.id)]
        # Ids only for those who have begun to type one: nobody chooses among them.
        offered = references if incomplete else references[::2]
        return [CompletionItem(each) for each in offered if each.startswith(incomplete)]


class HostGlob(click.ParamType[str]):
    """A pattern for hosts, as SQLite's GLOB takes it; not one that no host could match."""

    name = "glob"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not value:
            self.fail("no host is empty: leave the option out for all of them", param, ctx)
        if "[" in re.sub(r"\[\^?+\]?+[^]]*\]", "", value):
            self.fail(f"{value!r} has a [ without its ]", param, ctx)
        return value


always_option = click.option(
    "--always",
    is_flag=True,
    help="For later runs of the same folder, too, until moat policy forget.",
)


def run_argument(*, required: bool = False) -> Callable[[Any], Any]:
    return click.argument(
        "run", type=RunReference(), required=required, metavar="RUN" if required else "[RUN]"
    )


class WithCommand(click.Command):
    """A command of ours that is given another program's: all that stands behind the first `--`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        cut = args.index("--") if "--" in args else len(args)
        ctx.meta[_COMMAND] = tuple(args[cut + 1 :])
        return super().parse_args(ctx, args[:cut])


_COMMAND: Final = "moat.command"


def words_of(ctx: click.Context, before: tuple[str, ...]) -> tuple[str | None, tuple[str, ...]]:
    """The one word that may stand before `--`, and the command behind it."""
    if len(before) > 1:
        raise UsageError(
            f"one word is expected before --, not {' '.join(before)!r}",
            f"A command goes behind --: {ctx.command_path} -- {' '.join(before)}",
        )
    return (before[0] if before else None), ctx.meta[_COMMAND]


def find(store: Store, reference: str | None) -> Run:
    """The run that is meant: where none is named, the newest that has not ended, else the newest."""
    return store.newest_active() if reference is None else store.find(reference)


def ask(store: Store, run: Run) -> SupervisorClient:
    from moat.client.connect.supervisor_client import SupervisorClient  # noqa: PLC0415  commands of ended runs need none

    return SupervisorClient(store.home, store.folder(run.id))


def signal_number(text: str) -> int:
    """`TERM`, `SIGTERM` or `15`."""
    import signal  # noqa: PLC0415  two commands need it

    name = text.upper().removeprefix("SIG")
    try:
        return int(text) if text.isdigit() else int(signal.Signals[f"SIG{name}"])
    except (KeyError, ValueError):
        raise UsageError(f"there is no signal {text!r}", "Name it like TERM, INT or 15") from None
