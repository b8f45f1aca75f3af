"""`moat run [PATH] [-- COMMAND...]`."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from moat.cli.arguments import WithCommand, ask, words_of
from moat.client.keyboard.key_names import parse_escape_prefix
from moat.config import settings as user_settings
from moat.config.compile import HostContext, RunOptions, create_run
from moat.errors import MoatError, RunNotFoundError, UsageError
from moat.runs import lock
from moat.runs.states import State
from moat.runs.store import Run, Store
from moat.spec import TerminalSize

if TYPE_CHECKING:
    from moat.client.connect.standby import Standby

SHELLS = frozenset(
    ("bash", "dash", "fish", "ipython", "irb", "node", "python", "python3", "sh", "sqlite3", "zsh")
)


@click.command("run", cls=WithCommand)
@click.argument("before", nargs=-1, type=click.Path(), metavar="[PATH] [-- COMMAND...]")
@click.option("-n", "--name", help="Name of the run.")
@click.option(
    "-i",
    "--interactive",
    is_flag=True,
    default=None,
    help="Connect standard input; with a terminal, as a TTY.",
)
@click.option("-t", "--tty", is_flag=True, help="Give the command a TTY for its output.")
@click.option("-d", "--detach", is_flag=True, help="Start, print the name, and leave.")
@click.option(
    "-e",
    "--env",
    multiple=True,
    metavar="NAME[=VALUE]",
    help="Variable of the command; without a value, the caller's.",
)
@click.option(
    "-m",
    "--mount",
    "mounts",
    multiple=True,
    metavar="SRC:DST[:ro|rw]",
    help="Show a host path in the sandbox.",
)
@click.option(
    "-w", "--workdir", metavar="PATH", help="Where the command starts; relative to /workspace."
)
@click.option("--keep", is_flag=True, help="Keep the sandbox's home and /tmp after the end.")
@click.option("--engine", help="What makes the sandbox: bubblewrap.")
@click.option(
    "--escape-keys", help="Prefix of the keys d (detach), k (stop), ?; default ctrl-/, '' is off."
)
@click.option("--memory", help="Bound of memory, e.g. 2g.")
@click.option(
    "--cpus", type=click.FloatRange(min=0, min_open=True), help="Bound of CPU seconds per second."
)
@click.option("--pids", type=click.IntRange(min=1), help="Bound of processes and threads.")
@click.option("--timeout", metavar="DURATION", help="Stop the run after so long, e.g. 30m.")
@click.option(
    "--writable-git",
    is_flag=True,
    help="Let the sandbox write .git/config, .git/hooks and agent.yaml.",
)
@click.option(
    "--network-policy",
    type=click.Choice(("permissive", "strict", "ask")),
    help="What becomes of requests that no rule is for; wins over agent.yaml and settings.",
)
@click.option(
    "--allow",
    multiple=True,
    metavar="HOST[:PORT]",
    help="Allow a host to this run, whatever the rules say.",
)
@click.option(
    "--deny",
    multiple=True,
    metavar="HOST[:PORT]",
    help="Deny a host to this run, whatever else allows it.",
)
@click.pass_context
def command(
    ctx: click.Context,
    before: tuple[str, ...],
    *,
    detach: bool,
    escape_keys: str | None,
    **given: object,
) -> int:
    """Start a run: COMMAND in a sandbox over the project in PATH (default: here).

    The sandbox has the project at /workspace, a private home, the host's programs read-only, and no way
    to the network but Moat's own proxy. The run goes on when you detach, close the terminal or log out.

    \b
    moat run -i -- bash                 a shell; Ctrl-/ d detaches
    moat run -d -n build ~/app -- make  in the background
    moat run                            what agent.yaml says
    """  # noqa: D301  a backspace tells click not to wrap
    path, words = words_of(ctx, before)
    if os.environ.get("MOAT_RUN"):
        raise UsageError("this is inside a run already", "Start runs from outside")
    with Store() as store:
        settings = user_settings.load(store.home)
        prefix = parse_escape_prefix(settings.escape_keys if escape_keys is None else escape_keys)
        run_options = RunOptions(path=path or ".", command=words, **given)  # pyright: ignore[reportArgumentType]  click checked the options' types
        supervisor: Standby | None = ctx.obj
        run = create_run(store, run_options, settings, _host_context(supervisor, detach=detach))
        if supervisor is not None:
            supervisor.go()
        from moat.client.attach.attach import AttachOptions, attach  # noqa: PLC0415  loads meanwhile

        if supervisor is not None:
            supervisor.wait()
        options = AttachOptions(
            escape_prefix=prefix, fresh=True, interrupt_window=settings.interrupt_window
        )
        try:
            if detach:
                return _leave(store, run)
            _hint(run)
            return attach(store, run, options)
        except MoatError:
            _discard(store, run)
            raise


def _host_context(supervisor: Standby | None, *, detach: bool) -> HostContext:
    stdin, stdout = os.isatty(0), os.isatty(1)
    size = TerminalSize()
    if stdout:
        from moat.client.attach.terminal import LocalTerminal  # noqa: PLC0415

        size = LocalTerminal(0 if stdin else 1, 1).size()
    run_id = None if supervisor is None else supervisor.run_id
    return HostContext(stdin, stdout, size, detached=detach, run_id=run_id)


def _hint(run: Run) -> None:
    """A shell without input ends at once, or waits for ever: most likely -i was forgotten."""
    program = os.path.basename(run.command[0])  # noqa: PTH119
    if len(run.command) == 1 and program in SHELLS and not run.interactive and os.isatty(0):
        sys.stderr.write(
            f"moat: {program} gets no input; to type into it: moat run -i -- {program}\n"
        )


def _discard(store: Store, run: Run) -> None:
    """Of a run that never began, nothing remains when we say so."""
    with suppress(FileNotFoundError, RunNotFoundError):  # its supervisor has removed it
        try:
            state = store.get(run.id).state
        except RunNotFoundError:
            state = State.FAILED
        if state is State.CREATED:
            _remove_unless_supervised(store, run)
        elif state is State.FAILED:
            lock.wait_until_free(store.folder(run.id).supervisor_lock)


def _remove_unless_supervised(store: Store, run: Run) -> None:
    held = lock.try_lock(store.folder(run.id).supervisor_lock)
    if held is None:
        return
    try:
        if store.get(run.id).state is State.CREATED:
            store.remove(run.id)
    finally:
        os.close(held)


def _leave(store: Store, run: Run) -> int:
    """Waits until the command has begun, so that a start that fails is said here."""
    ask(store, run).get("/v1/run", until="started")
    sys.stdout.write(f"{run.name}\n")
    return 0
