"""`moat`: it finds the command, and turns every error into a line or two and an exit code."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any, Final

import click

from moat.cli.stdio import discard
from moat.errors import EXIT_FAILURE, EXIT_USAGE, MoatError, OutputError
from moat.printable import without_controls

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moat.client.connect.standby import Standby

# name: (module, one line for `moat --help`). A module is loaded when it is used, so that no command
# pays for the imports of another.
COMMANDS: Final = {
    "run": ("run", "Start a run: a command in a sandbox over a project."),
    "attach": ("attach", "Attach this terminal to a run."),
    "list": ("list", "List runs."),
    "stop": ("stop", "Stop a run: ask it to end, then kill it."),
    "kill": ("kill", "Kill a run at once, or send it a signal."),
    "destroy": ("destroy", "Remove runs and everything recorded of them."),
    "wait": ("wait", "Wait until a run ends, is quiet or shows a text."),
    "logs": ("logs", "Print the output of a run."),
    "diff": ("diff", "Print what a run has changed in its workspace."),
    "events": ("events", "Print what has happened to a run."),
    "trace": ("trace", "Print what went over a run's network."),
    "allow": ("allow", "Allow a running run to reach a host."),
    "deny": ("deny", "Deny a running run a host."),
    "policy": ("policy", "Show what a run may reach, and why."),
    "replay": ("replay", "Play back the output of a run."),
    "screen": ("screen", "Print the screen of a run."),
    "send": ("send", "Type into a run."),
    "exec": ("exec", "Run another command in the sandbox of a run."),
    "inspect": ("inspect", "Print the details of a run as JSON."),
    "detach": ("detach", "Detach everybody from a run."),
    "trust": ("trust", "Agree to what a project's agent.yaml opens."),
    "config": ("config", "Check agent.yaml, or print its JSON schema."),
    "doctor": ("doctor", "Check what this machine needs for sandboxes."),
    "completion": ("completion", "Print a completion script for a shell."),
    "version": ("version", "Print the version."),
}
ALIASES: Final = {"ls": "list", "ps": "list", "rm": "destroy"}


class _Commands(click.Group):
    """A group that knows its commands by name, and loads one when it is used."""

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
            if error.ctx is None and name is not None:  # an option that lacks its value
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
    moat run -i -- claude     an agent works on ./ in a sandbox
    Ctrl-/ d                  walk away: the run goes on
    moat attach               come back: the same screen
    """  # noqa: D301  a backspace tells click not to wrap


def run(arguments: Sequence[str] | None = None, *, supervisor: Standby | None = None) -> int:
    """Carry out `moat ARGUMENTS`, and return its exit code. Errors are printed nowhere else.

    `supervisor` is on standby for the run that the arguments start.
    """
    try:
        code = _carry_out(arguments, supervisor)
        sys.stdout.flush()  # here, where a failure can still be reported
    except (click.Abort, KeyboardInterrupt):
        return 130
    except BrokenPipeError:  # nobody reads our output any more
        discard(1)
        return 141
    except OutputError as error:
        _flush_what_can_be()
        return _report(error.summary, error.hint, error.exit_code)
    return code


def _carry_out(arguments: Sequence[str] | None, supervisor: Standby | None) -> int:
    try:
        code = moat.main(arguments, prog_name="moat", standalone_mode=False, obj=supervisor)
        return code if isinstance(code, int) else 0
    except (click.Abort, KeyboardInterrupt, BrokenPipeError, OutputError):
        raise
    except MoatError as error:
        return _report(error.summary, error.hint, error.exit_code)
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx is not None else "moat"
        return _report(error.format_message(), f"See: {command} --help", EXIT_USAGE)
    except click.exceptions.Exit as exit_:
        return exit_.exit_code
    except Exception as error:  # noqa: BLE001  the root: a line for the user, the rest in a file
        return _internal(error)


def _flush_what_can_be() -> None:
    try:
        sys.stdout.flush()
    except (OSError, OutputError):
        discard(1)


def _report(summary: str, hint: str | None, code: int) -> int:
    # An error may quote a project's file, and so a hostile program.
    lines = [f"moat: {without_controls(summary)}\n"]
    lines += [f"      {without_controls(hint)}\n"] if hint else []
    try:
        sys.stderr.write("".join(lines))
    except (OSError, OutputError):
        discard(2)  # the exit code still says that it failed
    return code


def _internal(error: Exception) -> int:
    import tempfile  # noqa: PLC0415  rarely needed
    import traceback  # noqa: PLC0415

    with tempfile.NamedTemporaryFile(
        "w", prefix="moat-error-", suffix=".txt", delete=False, encoding="utf-8"
    ) as file:
        file.write("".join(traceback.format_exception(error)))
    return _report(
        f"internal error: {error!r}", f"Please report it, and attach {file.name}", EXIT_FAILURE
    )
