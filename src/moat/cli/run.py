"""`moat run [PATH] [-- COMMAND...]`."""

from __future__ import annotations

import os
import sys

import click

from moat.cli.arguments import ask
from moat.client.attach import AttachOptions, attach
from moat.client.keys import parse_escape_keys
from moat.config import settings as user_settings
from moat.config.compile import Surroundings, Wishes, compile_spec
from moat.errors import UsageError
from moat.runs.store import Run, Store
from moat.spec import RunSpec, TerminalSize

SHELLS = frozenset(
    ("bash", "dash", "fish", "ipython", "irb", "node", "python", "python3", "sh", "sqlite3", "zsh")
)


@click.command("run", context_settings={"ignore_unknown_options": False})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[PATH] [-- COMMAND...]")
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
@click.pass_context
def command(
    ctx: click.Context,
    arguments: tuple[str, ...],
    *,
    detach: bool,
    escape_keys: str | None,
    **given: object,
) -> int:
    r"""Start a run: COMMAND in a sandbox over the project in PATH (default: here).

    The sandbox has the project at /workspace, a private home, the host's programs read-only, and no
    network. The run goes on when you detach, close the terminal or log out.

    \b
    moat run -i -- bash                 a shell; Ctrl-/ d detaches
    moat run -d -n build ~/app -- make  in the background
    moat run                            what agent.yaml says
    """
    path, words = split(arguments, sys.argv)
    if os.environ.get("MOAT_RUN"):
        raise UsageError("this is inside a run already", "Start runs from outside")
    del ctx
    with Store() as store:
        settings = user_settings.load(store.home)
        keys = parse_escape_keys(settings.escape_keys if escape_keys is None else escape_keys)
        spec = compile_spec(
            Wishes(path=path, command=words, **given),  # pyright: ignore[reportArgumentType]  click checked the options' types
            settings,
            _surroundings(store),
        )
        _hint(spec, detach=detach)
        run = store.create(spec)
        if detach:
            return _leave(store, run)
        options = AttachOptions(
            escape_keys=keys, fresh=True, interrupt_window=settings.interrupt_window
        )
        return attach(store, run, options)


def split(
    arguments: tuple[str, ...], typed: list[str], default: str = "."
) -> tuple[str, tuple[str, ...]]:
    """What stands before `--`, one word at most, and the command behind it."""
    behind = len(typed) - typed.index("--") - 1 if "--" in typed else 0
    cut = len(arguments) - min(behind, len(arguments))
    before, words = arguments[:cut], arguments[cut:]
    if len(before) > 1:
        raise UsageError(
            f"one word is expected before --, not {' '.join(before)!r}",
            f"A command goes behind --, as in: -- {' '.join(before)}",
        )
    return (before[0] if before else default), words


def _surroundings(store: Store) -> Surroundings:
    stdin, stdout = os.isatty(0), os.isatty(1)
    size = TerminalSize()
    if stdout:
        from moat.client.terminal import LocalTerminal  # noqa: PLC0415

        size = LocalTerminal(0 if stdin else 1, 1).size()
    names = frozenset(run.name for run in store.all())
    return Surroundings(stdin, stdout, size, names)


def _hint(spec: RunSpec, *, detach: bool) -> None:
    """A shell without input ends at once, or waits for ever: most likely -i was forgotten."""
    program = os.path.basename(spec.command[0])  # noqa: PTH119
    if (
        len(spec.command) == 1
        and program in SHELLS
        and not spec.interactive
        and not detach
        and os.isatty(0)
    ):
        sys.stderr.write(
            f"moat: {program} gets no input; to type into it: moat run -i -- {program}\n"
        )


def _leave(store: Store, run: Run) -> int:
    """Waits until the command has begun, so that a start that fails is said here."""
    ask(store, run).get("/v1/run", until="started")
    sys.stdout.write(f"{run.name}\n")
    return 0
