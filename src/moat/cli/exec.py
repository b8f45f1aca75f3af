"""`moat exec [RUN] -- COMMAND...`."""

from __future__ import annotations

import os
import sys

import click

from moat.cli.arguments import BeforeCommand, RunReference, WithCommand, split_at_dashes
from moat.cli.found import find, supervisor_of
from moat.client.attach.attach import AttachOptions, attach
from moat.config import settings as user_settings
from moat.config.environment import parse_env
from moat.errors import RunNotActiveError, UsageError
from moat.keyboard.key_names import parse_escape_prefix
from moat.runs.store import Store
from moat.spec import TerminalSize


@click.command("exec", cls=WithCommand)
@click.argument(
    "before",
    nargs=-1,
    type=BeforeCommand(RunReference(running=True)),
    metavar="[RUN] -- COMMAND...",
)
@click.option("-i", "--interactive", is_flag=True, help="Connect standard input.")
@click.option("-t", "--tty", is_flag=True, help="Give the command a TTY.")
@click.option(
    "-d",
    "--detach",
    is_flag=True,
    help="Start it in the background, and print the name of its session.",
)
@click.option(
    "-e",
    "--env",
    multiple=True,
    metavar="NAME[=VALUE]",
    help="Set a variable of the command; without =VALUE, take it from here.",
)
@click.option(
    "-w", "--workdir", metavar="PATH", help="Working directory of the command (default: the run's)."
)
@click.option(
    "--escape-keys", help="Prefix of the keys d, k, s, a and ? (default: ctrl-/; '' for none)."
)
@click.pass_context
def command(  # noqa: PLR0913  an option each
    ctx: click.Context,
    before: tuple[str, ...],
    *,
    interactive: bool,
    tty: bool,
    detach: bool,
    env: tuple[str, ...],
    workdir: str | None,
    escape_keys: str | None,
) -> int:
    """Run another command in the sandbox of a run. The exit code is that of the command."""
    reference, command_line = split_at_dashes(ctx, before)
    if not command_line:
        raise UsageError("there is no command to run", "Give one: moat exec RUN -- COMMAND")
    if tty and not detach and not (os.isatty(1) and (os.isatty(0) or not interactive)):
        raise UsageError("-t needs a terminal, and this is none", "Leave out -t")
    with Store() as store:
        settings = user_settings.load(store.home)
        prefix = parse_escape_prefix(settings.escape_keys if escape_keys is None else escape_keys)
        run = find(store, reference)
        if run.ended:
            raise RunNotActiveError(f"run {run.name} is {run.state}: its sandbox is gone")
        size = _size() if tty and os.isatty(1) else TerminalSize()
        started = supervisor_of(store, run).post(
            "/v1/exec",
            command=list(command_line),
            tty=tty,
            interactive=interactive,
            env=parse_env(env, os.environ),
            workdir=workdir,
            columns=size.columns,
            rows=size.rows,
        )
        if detach:
            sys.stdout.write(f"{started['session']}\n")
            return 0
        options = AttachOptions(
            session=started["session"],
            interactive=interactive,
            tty=tty,
            escape_prefix=prefix,
            fresh=True,
            interrupt_window=settings.interrupt_window,
            prefix_timeout=settings.prefix_timeout,
            status_row=settings.status_row,
        )
        return attach(store, run, options)


def _size() -> TerminalSize:
    from moat.client.attach.terminal import LocalTerminal  # noqa: PLC0415

    return LocalTerminal(0 if os.isatty(0) else 1, 1).size()
