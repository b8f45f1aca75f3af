"""The commands of agents, such as `moat claude`."""

from __future__ import annotations

from copy import copy
from typing import Any

import click

from moat.agents import catalog
from moat.cli import run
from moat.cli.arguments import WithCommand, split_at_dashes
from moat.cli.plain.agent import carry_out
from moat.errors import UsageError

_NOT_FOR_AGENTS = frozenset(("before", "interactive", "tty"))


def command_of(name: str) -> click.Command:
    """Return the command of an agent. Raises `UsageError` for a file of the user's that isn't valid."""
    agent = catalog.find(name)
    shared = [_shared(each) for each in run.command.params if each.name not in _NOT_FOR_AGENTS]

    @click.pass_context
    def callback(
        ctx: click.Context,
        before: tuple[str, ...],
        *,
        asks: bool,
        yolo: bool,
        **given: Any,
    ) -> int:
        prompt, words = split_at_dashes(ctx, before)
        if asks and yolo:
            raise UsageError("--ask and --yolo exclude each other", "Give one of them")
        return carry_out(
            agent=name, supervisor=ctx.obj, prompt=prompt, command=words, asks=asks, **given
        )

    return WithCommand(
        name,
        callback=callback,
        params=[*_own_options(agent.title), *shared],
        help=_help(name, agent.title),
    )


def _shared(option: click.Parameter) -> click.Parameter:
    """Return an option of `moat run` without its short form where agents have another of that letter."""
    if option.name != "publish":
        return option
    long = copy(option)
    long.opts = [each for each in option.opts if each.startswith("--")]
    return long


def _own_options(title: str) -> list[click.Parameter]:
    return [
        click.Argument(["before"], nargs=-1, metavar="[PROMPT] [-- WORDS...]"),
        click.Option(
            ["-p", "--print", "print_mode"],
            is_flag=True,
            help="Print the answer to one prompt, and end; standard input is part of the prompt.",
        ),
        click.Option(
            ["-c", "--continue", "goes_on"],
            is_flag=True,
            help="Go on with the newest session of this project.",
        ),
        click.Option(
            ["-r", "--resume"],
            metavar="RUN|ID",
            help="Go on with the session of an ended run, or with one by the agent's own name for it.",
        ),
        click.Option(
            ["--yolo"], is_flag=True, help=f"Let {title} act without asking (the default)."
        ),
        click.Option(["--ask", "asks"], is_flag=True, help=f"Have {title} ask before it acts."),
        click.Option(
            ["--fresh"],
            is_flag=True,
            help="Start without what earlier runs have kept, and keep nothing.",
        ),
        click.Option(
            ["-C", "--project", "path"],
            type=click.Path(),
            metavar="PATH",
            help="The project folder (default: here).",
        ),
    ]


def _help(name: str, title: str) -> str:
    return f"""Start {title} in a run, with what it has kept of this project: settings, sessions.

    It uses a credential of the vault that it never holds; at the first start you are offered to grant
    one. It asks nothing about trust, themes or updates, and acts without asking, for it is in a sandbox.
    All options of moat run hold. WORDS go to {name} as they are.

    \b
    moat {name}                        Ctrl-/ d detaches; moat attach comes back
    moat {name} "fix the failing test"
    moat {name} --continue             the newest session of this project
    moat {name} -p "what is this?"     one answer, without a terminal
    moat {name} -d "add a changelog"   in the background
    """
