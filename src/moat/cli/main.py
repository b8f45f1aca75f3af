"""`moat`: finds the command, and turns every error into a line or two and an exit code."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any, Final

import click

from moat.cli.stdio import discard
from moat.errors import EXIT_FAILURE, EXIT_USAGE, MoatError, OutputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moat.client.connect.standby import Standby

# name: (module, one line for `moat --help`). The modules are loaded when used, so that no command
# pays for another's imports.
COMMANDS: Final = {
    "run": ("run", "Start a run: a command in a sandbox over a project."),
    "attach": ("attach", "Watch a run, from any terminal."),
    "list": ("list", "List runs."),
    "stop": ("stop", "Ask a run to end, then make it."),
    "kill": ("kill", "End a run at once."),
    "destroy": ("destroy", "Remove runs and all that is kept of them."),
    "wait": ("wait", "Wait for a run's end, quiet or text."),
    "logs": ("logs", "Print what a run has written."),
    "events": ("events", "Print what has happened to a run."),
    "trace": ("trace", "Print what went over a run's network."),
    "allow": ("allow", "Allow a running run what it may not reach."),
    "deny": ("deny", "Deny a running run what it may reach."),
    "policy": ("policy", "Show what a run may reach, and why."),
    "replay": ("replay", "Play a run's output back in its time."),
    "screen": ("screen", "Print what a run's terminal shows."),
    "send": ("send", "Type into a run."),
    "exec": ("exec", "Run a further command in a run's sandbox."),
    "inspect": ("inspect", "Print all that is known of a run, as JSON."),
    "detach": ("detach", "Put off everybody who watches a run."),
    "config": ("config", "Check agent.yaml, print its JSON schema."),
    "doctor": ("doctor", "Tell what this machine lacks."),
    "completion": ("completion", "Print a shell's completion script."),
    "version": ("version", "Print the version."),
}
ALIASES: Final = {"ls": "list", "ps": "list", "rm": "destroy"}


class _Commands(click.Group):
    """A group that knows its commands by name and loads one when it is needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        name = ALIASES.get(cmd_name, cmd_name)
        if name not in COMMANDS:
            return None
        module = importlib.import_module(f"moat.cli.{COMMANDS[name][0]}")
        return module.command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            name = ctx.invoked_subcommand
            if error.ctx is None and name is not None:  # of an option that lacks its value
                error.ctx = click.Context(self, ctx, name)
            raise

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(None, "--version", package_name="moat", message="moat %(version)s")
def moat() -> None:
    """Run AI coding agents in sealed runs that outlive everything but their own command.

    \b
    moat run -i -- claude     the agent works on ./ in a sandbox
    Ctrl-/ d                  walk away; the run goes on
    moat attach               come back: the same screen
    """  # noqa: D301  a backspace tells click not to wrap


def run(arguments: Sequence[str] | None = None, *, supervisor: Standby | None = None) -> int:
    """The exit code of `moat ARGUMENTS`. The only place that prints errors.

    `supervisor` waits for the run that the arguments start.
    """
    try:
        code = _carry_out(arguments, supervisor)
        sys.stdout.flush()  # here, where it can be told what happens
    except (click.Abort, KeyboardInterrupt):
        return 130
    except BrokenPipeError:  # nobody reads us any more
        discard(1)
        return 141
    except OutputError as error:
        _flush_what_can_be()
        return _say(error.summary, error.hint, error.exit_code)
    return code


def _carry_out(arguments: Sequence[str] | None, supervisor: Standby | None) -> int:
    try:
        code = moat.main(arguments, prog_name="moat", standalone_mode=False, obj=supervisor)
        return code if isinstance(code, int) else 0
    except (click.Abort, KeyboardInterrupt, BrokenPipeError, OutputError):
        raise
    except MoatError as error:
        return _say(error.summary, error.hint, error.exit_code)
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx is not None else "moat"
        return _say(error.format_message(), f"See: {command} --help", EXIT_USAGE)
    except click.exceptions.Exit as exit_:
        return exit_.exit_code
    except Exception as error:  # noqa: BLE001  the root: recorded in a file, told in a line
        return _internal(error)


def _flush_what_can_be() -> None:
    try:
        sys.stdout.flush()
    except (OSError, OutputError):
        discard(1)


def _say(summary: str, hint: str | None, code: int) -> int:
    try:
        sys.stderr.write(f"moat: {summary}\n" + (f"      {hint}\n" if hint else ""))
    except (OSError, OutputError):
        discard(2)  # whoever can't be told still gets the code
    return code


def _internal(error: Exception) -> int:
    import tempfile  # noqa: PLC0415  rarely needed
    import traceback  # noqa: PLC0415

    with tempfile.NamedTemporaryFile(
        "w", prefix="moat-error-", suffix=".txt", delete=False, encoding="utf-8"
    ) as file:
        file.write("".join(traceback.format_exception(error)))
    return _say(f"internal error: {error!r}", f"Please report it with {file.name}", EXIT_FAILURE)
