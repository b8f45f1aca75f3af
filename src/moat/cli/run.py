"""`moat run [PATH] [-- COMMAND...]`."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from moat.cli.arguments import WithCommand, split_at_dashes, supervisor_of
from moat.client.keyboard.key_names import parse_escape_prefix
from moat.config import settings as user_settings
from moat.config.compile import HostContext, RunOptions, create_run
from moat.errors import MoatError, RunNotFoundError, UsageError
from moat.ground.own_files import separate_own_files
from moat.runs import lock
from moat.runs.states import State
from moat.runs.store import Run, Store
from moat.spec import Limits, TerminalSize

if TYPE_CHECKING:
    from moat.client.connect.standby import Standby
    from moat.config.consent import Answer, Question

SHELLS = frozenset(
    ("bash", "dash", "fish", "ipython", "irb", "node", "python", "python3", "sh", "sqlite3", "zsh")
)


@click.command("run", cls=WithCommand)
@click.argument("before", nargs=-1, type=click.Path(), metavar="[PATH] [-- COMMAND...]")
@click.option("-n", "--name", help="Name of the run (default: a new one).")
@click.option(
    "-i",
    "--interactive",
    is_flag=True,
    default=None,
    help="Connect standard input; at a terminal, give the command a TTY, too.",
)
@click.option("-t", "--tty", is_flag=True, help="Give the command a TTY for its output.")
@click.option(
    "-d", "--detach", is_flag=True, help="Start the run in the background, and print its name."
)
@click.option(
    "-e",
    "--env",
    multiple=True,
    metavar="NAME[=VALUE]",
    help="Set a variable of the command; without =VALUE, take it from here.",
)
@click.option(
    "-m",
    "--mount",
    "mounts",
    multiple=True,
    metavar="SRC:DST[:ro|rw]",
    help="Mount a path of the host into the sandbox (default: rw).",
)
@click.option(
    "-w",
    "--workdir",
    metavar="PATH",
    help="Working directory of the command, relative to /workspace.",
)
@click.option("--keep", is_flag=True, help="Keep the sandbox's home folder and /tmp after the end.")
@click.option("--engine", help="Engine that makes the sandbox: bubblewrap.")
@click.option(
    "--escape-keys", help="Prefix of the escape keys d, k, s and ? (default: ctrl-/; '' for none)."
)
@click.option("--memory", help="Limit of memory, such as 2g.")
@click.option(
    "--cpus", type=click.FloatRange(min=0, min_open=True), help="Limit of processors, such as 1.5."
)
@click.option(
    "--pids", type=click.IntRange(min=1), help="Limit of processes and threads (default: 4096)."
)
@click.option("--timeout", metavar="DURATION", help="Stop the run after this time, such as 30m.")
@click.option(
    "--writable-git",
    is_flag=True,
    help="Protect no path: let the run change agent.yaml, git's configuration and hooks, and all "
    "other files that programs obey unasked.",
)
@click.option(
    "--network-policy",
    type=click.Choice(("permissive", "strict", "ask")),
    help="Decision about requests that no rule matches; overrides agent.yaml and settings.",
)
@click.option(
    "--allow",
    multiple=True,
    metavar="HOST[:PORT]",
    help="Allow this run to reach a host, whatever the rules say.",
)
@click.option(
    "--deny",
    multiple=True,
    metavar="HOST[:PORT]",
    help="Deny this run a host, whatever else allows it.",
)
@click.option(
    "--trust-project",
    is_flag=True,
    help="Agree, for this run, to all that the project's agent.yaml opens (see moat trust).",
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
    """Start a run: COMMAND in a sandbox over the project folder PATH (default: here).

    The sandbox has the project at /workspace, a home folder of its own, the host's programs read-only,
    and no way to the network but Moat's proxy. The run goes on when you detach, log out, or close the
    terminal.

    If the project's agent.yaml opens something that you haven't agreed to, you are asked first. Where
    there is no terminal, nothing is started and the exit code is 3 (see moat trust).

    \b
    moat run -i -- bash                 a shell; Ctrl-/ d detaches
    moat run -d -n build ~/app -- make  in the background
    moat run                            the command in agent.yaml
    """  # noqa: D301  a backspace tells click not to wrap
    path, command_line = split_at_dashes(ctx, before)
    if os.environ.get("MOAT_RUN"):
        raise UsageError("this command runs inside a run", "Start runs from outside")
    if separate_own_files():
        # This process, and the supervisor on standby, have loaded files that a run could write.
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
    with Store() as store:
        settings = user_settings.load(store.home)
        prefix = parse_escape_prefix(settings.escape_keys if escape_keys is None else escape_keys)
        run_options = RunOptions(path=path or ".", command=command_line, **given)  # pyright: ignore[reportArgumentType]  click checked the options' types
        supervisor: Standby | None = ctx.obj
        run = create_run(store, run_options, settings, _host_context(supervisor, detach=detach))
        if supervisor is not None:
            supervisor.go()
        _tell_weaknesses(store, run)
        from moat.client.attach.attach import AttachOptions, attach  # noqa: PLC0415  loads meanwhile

        if supervisor is not None:
            supervisor.wait()
        options = AttachOptions(
            escape_prefix=prefix,
            fresh=True,
            interrupt_window=settings.interrupt_window,
            prefix_timeout=settings.prefix_timeout,
            status_row=settings.status_row,
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
    ask = _ask if stdin and os.isatty(2) else None
    return HostContext(
        stdin,
        stdout,
        size,
        detached=detach,
        run_id=run_id,
        ask=ask,
        called_by=sys.argv[0],
    )


def _ask(question: Question) -> Answer:
    from moat.cli.consent import ask  # noqa: PLC0415  once for each change of a project's file

    return ask(question)


def _tell_weaknesses(store: Store, run: Run) -> None:
    """Say which limits can't be kept here, before anybody relies on them."""
    spec = store.spec(run.id)
    if spec.limits != Limits():
        from moat.engines import registry  # noqa: PLC0415  for runs with limits alone

        for line in registry.weaknesses(spec):
            sys.stderr.write(f"moat: {line}\n")


def _hint(run: Run) -> None:
    """Hint at -i, which was most likely forgotten: without input, a shell is of no use."""
    program = os.path.basename(run.command[0])  # noqa: PTH119
    if len(run.command) == 1 and program in SHELLS and not run.interactive and os.isatty(0):
        sys.stderr.write(
            f"moat: {program} gets no input; to type into it: moat run -i -- {program}\n"
        )


def _discard(store: Store, run: Run) -> None:
    """Remove a run that never began, so that nothing is left of it when its error is shown."""
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
    """Wait until the command has begun, so that a failure to start is reported here."""
    supervisor_of(store, run).get("/v1/run", until="started")
    sys.stdout.write(f"{run.name}\n")
    return 0
