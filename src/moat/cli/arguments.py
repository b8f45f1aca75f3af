"""Arguments and options that several commands have."""

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
    """A run, by its id, the unique beginning of one, or its name. Completed from the store."""

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
            return []  # a completion has no place for an error; the command will report it
        references = [reference for run in runs for reference in (run.name, run.id)]
        # Ids only once one has been begun: nobody chooses among them.
        offered = references if incomplete else references[::2]
        return [CompletionItem(each) for each in offered if each.startswith(incomplete)]


class HostGlob(click.ParamType[str]):
    """A pattern of hosts for SQLite's GLOB. A pattern that no host could match is refused."""

    name = "glob"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not value:
            self.fail("no host is empty: leave out the option to get all hosts", param, ctx)
        if "[" in re.sub(r"\[\^?+\]?+[^]]*\]", "", value):
            self.fail(f"{value!r} has a [ without its ]", param, ctx)
        return value


always_option = click.option(
    "--always",
    is_flag=True,
    help="Apply the rule to later runs of the same folder, too (see moat policy forget).",
)


def run_argument(*, required: bool = False) -> Callable[[Any], Any]:
    return click.argument(
        "run", type=RunReference(), required=required, metavar="RUN" if required else "[RUN]"
    )


class WithCommand(click.Command):
    """A command that takes another program's command line, after the first `--`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        cut = args.index("--") if "--" in args else len(args)
        ctx.meta[_COMMAND] = tuple(args[cut + 1 :])
        return super().parse_args(ctx, args[:cut])


_COMMAND: Final = "moat.command"


def split_at_dashes(
    ctx: click.Context, before: tuple[str, ...]
) -> tuple[str | None, tuple[str, ...]]:
    """Return the one argument that may come before `--`, and the command after it."""
    if len(before) > 1:
        raise UsageError(
            f"one argument is expected before --, not {' '.join(before)!r}",
            f"Write a command after --: {ctx.command_path} -- {' '.join(before)}",
        )
    return (before[0] if before else None), ctx.meta[_COMMAND]


def find(store: Store, reference: str | None) -> Run:
    """Find a run; without a reference, the newest that has not ended, or else the newest."""
    return store.newest_active() if reference is None else store.find(reference)


def supervisor_of(store: Store, run: Run) -> SupervisorClient:
    from moat.client.connect.supervisor_client import (  # noqa: PLC0415  ended runs need none
        SupervisorClient,
    )

    return SupervisorClient(store.home, store.folder(run.id))


def signal_number(text: str) -> int:
    """Return the number of a signal such as `TERM`, `SIGTERM` or `15`. Raise `UsageError`."""
    import signal  # noqa: PLC0415  two commands need it

    name = text.upper().removeprefix("SIG")
    try:
        return int(text) if text.isdigit() else int(signal.Signals[f"SIG{name}"])
    except (KeyError, ValueError):
        raise UsageError(f"there is no signal {text!r}", "Write it like TERM, INT or 15") from None
