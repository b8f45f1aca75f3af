"""Arguments and options that several commands have."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from moat.errors import MoatError, UsageError
from moat.runs.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable

    from click.shell_completion import CompletionItem


class RunReference(click.ParamType[str]):
    """A run, by its id, the unique beginning of one, or its name. Completed from the store."""

    name = "run"

    def __init__(self, *, running: bool = False) -> None:
        """Complete only runs that have not ended with `running`: the command needs one that lives."""
        self._running = running

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem  # noqa: PLC0415  for completion alone

        del ctx, param
        try:
            with Store() as store:
                runs = store.all(ended=not self._running)
        except MoatError:
            return []  # a completion has no place for an error; the command will report it
        references = [reference for run in runs for reference in (run.name, run.id)]
        # Ids only once one has been begun: nobody chooses among them.
        offered = references if incomplete else references[::2]
        return [CompletionItem(each) for each in offered if each.startswith(incomplete)]


class SessionReference(RunReference):
    """A session: a run, or `RUN/SESSION` for a command of `moat exec`. Completed from the store."""

    name = "session"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        if "/" not in incomplete:
            return super().shell_complete(ctx, param, incomplete)
        from click.shell_completion import CompletionItem  # noqa: PLC0415  as above

        from moat.runs import session_records  # noqa: PLC0415

        reference = incomplete.partition("/")[0]
        try:
            with Store() as store:
                found = list(session_records.sessions(store, store.find(reference)))
        except MoatError:
            return []  # as above
        names = [f"{reference}/{each.name}" for each in found]
        return [CompletionItem(name) for name in names if name.startswith(incomplete)]


class KeyName(click.ParamType[str]):
    """The name of a key, as `moat send` takes it."""

    name = "key"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem  # noqa: PLC0415  as above

        from moat.keyboard.key_names import NAMES  # noqa: PLC0415

        del ctx, param
        begun = incomplete.lower()
        return [CompletionItem(name.capitalize()) for name in NAMES if name.startswith(begun)]


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


def run_argument(*, required: bool = False, running: bool = False) -> Callable[[Any], Any]:
    return click.argument(
        "run",
        type=RunReference(running=running),
        required=required,
        metavar="RUN" if required else "[RUN]",
    )


def session_argument(*, required: bool = False, running: bool = False) -> Callable[[Any], Any]:
    metavar = "RUN[/SESSION]" if required else "[RUN[/SESSION]]"
    return click.argument(
        "run", type=SessionReference(running=running), required=required, metavar=metavar
    )


session_option = click.option(
    "--session", metavar="SESSION", help="A session of the run, as RUN/SESSION: exec-1, exec-2, ..."
)


output_option = click.option(
    "-o",
    "--output",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="Where to write it.",
)


class ListOrCommand(click.Group):
    """A group whose command `list` needs no name, as in `moat agents`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or args[0] not in {*self.commands, "-h", "--help"}:
            args = ["list", *args]
        return super().parse_args(ctx, args)


class WithCommand(click.Command):
    """A command that takes another program's command line, after the first `--`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        cut = args.index("--") if "--" in args else len(args)
        ctx.meta[_COMMAND] = tuple(args[cut + 1 :])
        ctx.meta[_HAS_DASHES] = cut < len(args)
        return super().parse_args(ctx, args[:cut])


_COMMAND: Final = "moat.command"
_HAS_DASHES: Final = "moat.has_dashes"


class BeforeCommand(click.ParamType[str]):
    """The argument before `--` of a `WithCommand`. Completes the command line behind it as well."""

    def __init__(self, before: click.ParamType[str]) -> None:
        self.name = before.name
        self._before = before

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem  # noqa: PLC0415  for completion alone

        if not ctx.meta[_HAS_DASHES]:
            return self._before.shell_complete(ctx, param, incomplete)
        if ctx.meta[_COMMAND] or "/" in incomplete:
            return [CompletionItem(incomplete, type="file")]
        return [CompletionItem(each) for each in _programs() if each.startswith(incomplete)]


def _programs() -> list[str]:
    """Return the names of the programs on the PATH, most of which a sandbox has too."""
    names: set[str] = set()
    for folder in os.get_exec_path():
        with suppress(OSError), os.scandir(folder) as entries:
            names |= {each.name for each in entries if each.is_file() and os.access(each, os.X_OK)}
    return sorted(names)


def split_at_dashes(
    ctx: click.Context, before: tuple[str, ...], *, paths: bool = False
) -> tuple[str | None, tuple[str, ...]]:
    """Return the one argument that may come before `--`, and what comes after it.

    That is a command, or some `paths`. Raises `UsageError` where more comes before.
    """
    if len(before) > 1:
        first, *rest = before
        advice = (
            f"Write paths after --: {ctx.command_path} {first} -- {' '.join(rest)}"
            if paths
            else f"Write a command after --: {ctx.command_path} -- {' '.join(before)}"
        )
        raise UsageError(f"one argument is expected before --, not {' '.join(before)!r}", advice)
    return (before[0] if before else None), ctx.meta[_COMMAND]


def signal_number(text: str) -> int:
    """Return the number of a signal such as `TERM`, `SIGTERM` or `15`. Raise `UsageError`."""
    import signal  # noqa: PLC0415  two commands need it

    name = text.upper().removeprefix("SIG")
    try:
        return int(text) if text.isdigit() else int(signal.Signals[f"SIG{name}"])
    except (KeyError, ValueError):
        raise UsageError(f"there is no signal {text!r}", "Write it like TERM, INT or 15") from None
