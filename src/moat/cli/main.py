"""`moat` and its commands: one is loaded when it is used."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

import click

from moat.cli.outcome import outcome
from moat.cli.plain import command_line
from moat.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moat.client.connect.standby import Standby

# name: (module, one line for `moat --help`). A module is loaded when it is used, so that no command
# pays for the imports of another.
COMMANDS: Final = {
    "run": ("run", "Start a run: a command in a sandbox over a project."),
    "claude": ("agent", "Start Claude Code in a run, at home in this project."),
    "codex": ("agent", "Start Codex the same way."),
    "gemini": ("agent", "Start Gemini CLI the same way."),
    "opencode": ("agent", "Start OpenCode the same way."),
    "copilot": ("agent", "Start GitHub Copilot CLI the same way."),
    "pi": ("agent", "Start Pi the same way."),
    "aider": ("agent", "Start Aider the same way."),
    "goose": ("agent", "Start Goose the same way."),
    "amp": ("agent", "Start Amp the same way."),
    "attach": ("attach", "Attach this terminal to a run."),
    "list": ("list", "List runs."),
    "top": ("top", "Show all runs in a table that lives, and attach from it."),
    "web": ("web", "Serve a page with all runs, for your browser."),
    "status": ("status", "Show the store at a glance: runs, disk space, the vault."),
    "metrics": ("metrics", "Print metrics of all runs, as Prometheus reads them."),
    "stop": ("stop", "Stop a run: ask it to end, then kill it."),
    "kill": ("kill", "Kill a run at once, or send it a signal."),
    "destroy": ("destroy", "Remove runs and everything recorded of them."),
    "prune": ("prune", "Remove all runs that have ended, or some of them."),
    "wait": ("wait", "Wait until a run ends, is quiet or shows a text."),
    "logs": ("logs", "Print the output of a run."),
    "diff": ("diff", "Print what a run has changed in its workspace."),
    "apply": ("apply", "Put what a run changed in its copy into the workspace itself."),
    "restore": ("restore", "Bring the workspace back to what it was when a run started."),
    "snapshot": ("snapshot", "Take, compare and restore snapshots of a run's workspace."),
    "events": ("events", "Print what has happened to a run."),
    "audit": ("audit", "Show a run's signed log, verify it, or hand it to somebody else."),
    "export": ("export", "Write a run, or its output or requests, into a file."),
    "import": ("import_run", "Put an exported run into this store, to look at it."),
    "report": ("report", "Write a report of a run as one HTML page."),
    "trace": ("trace", "Print what went over a run's network."),
    "allow": ("allow", "Allow a running run to reach a host."),
    "deny": ("deny", "Deny a running run a host."),
    "limit": ("limit", "Show what a run has used up of its limits, or change them."),
    "port": ("port", "List the published ports of a run."),
    "open": ("open", "Open a published port of a run in the browser."),
    "router": ("router", "Start, stop or show what serves ports by host name."),
    "trust-ca": ("trust_ca", "Explain how to trust the router's certificates."),
    "policy": ("policy", "Show what a run may reach, and why."),
    "replay": ("replay", "Play back the output of a run."),
    "screen": ("screen", "Print the screen of a run."),
    "send": ("send", "Type into a run."),
    "exec": ("exec", "Run another command in the sandbox of a run."),
    "inspect": ("inspect", "Print the details of a run as JSON."),
    "detach": ("detach", "Detach everybody from a run."),
    "grant": ("grant", "Put a credential into the vault, for runs that never hold it."),
    "revoke": ("revoke", "Remove credentials from the vault."),
    "vault": ("vault", "Renew the vault's key, back it up, restore it."),
    "agents": ("agents", "List the agents that Moat knows, or check them."),
    "state": ("state", "Show, export or remove what agents keep from run to run."),
    "volume": ("volume", "List or remove the volumes of projects."),
    "deps": ("deps", "List what images can be made of, and those that were made."),
    "service": ("service", "List the services that runs can have beside their command."),
    "worktree": ("worktree", "List or remove the worktrees of runs."),
    "init": ("init", "Propose an agent.yaml for a project, by what is in it."),
    "trust": ("trust", "Agree to what a project's agent.yaml opens."),
    "config": ("config", "Check agent.yaml, or print its JSON schema."),
    "doctor": ("doctor", "Check what this machine needs for sandboxes."),
    "completion": ("completion", "Print a completion script for a shell."),
    "version": ("version", "Print the version."),
}
_AGENT: Final = "agent"
"""The module of every agent's command; those in `$MOAT_HOME/agents` are commands, too."""
ALIASES: Final = {**command_line.ALIASES, "rm": "destroy"}


class _Commands(click.Group):
    """A group that knows its commands by name, and loads one when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        name = ALIASES.get(cmd_name, cmd_name)
        if name in COMMANDS and COMMANDS[name][0] != _AGENT:
            module = importlib.import_module(f"moat.cli.{COMMANDS[name][0]}")
            return module.command
        from moat.agents.catalog import AGENTS  # noqa: PLC0415  loads YAML

        if AGENTS.path_of(name) is None:
            return None
        from moat.cli.agent import command_of  # noqa: PLC0415  as above

        return command_of(name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError:
            raise self._unknown(args[0]) from None

    def _unknown(self, name: str) -> UsageError:
        """Return the error for a word that is no command, with one that is spelt like it."""
        import difflib  # noqa: PLC0415  for a mistake alone

        near = difflib.get_close_matches(name, [*COMMANDS, *ALIASES], n=1)
        hint = (
            f"Did you mean: moat {ALIASES.get(near[0], near[0])}?" if near else "See: moat --help"
        )
        return UsageError(f"there is no command {name!r}", hint)

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
    moat claude               an agent works on ./ in a sandbox
    Ctrl-/ d                  walk away: the run goes on
    moat attach               come back: the same screen
    """  # noqa: D301  a backspace tells click not to wrap


def run(arguments: Sequence[str] | None = None, *, supervisor: Standby | None = None) -> int:
    """Carry out `moat ARGUMENTS`, and return its exit code.

    `supervisor` is on standby for the run that the arguments start.
    """
    return outcome(lambda: _carry_out(arguments, supervisor))


def _carry_out(arguments: Sequence[str] | None, supervisor: Standby | None) -> object:
    try:
        return moat.main(arguments, prog_name="moat", standalone_mode=False, obj=supervisor)
    except click.Abort:
        raise KeyboardInterrupt from None
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx is not None else "moat"
        raise UsageError(error.format_message(), f"See: {command} --help") from None
    except click.exceptions.Exit as exit_:
        return exit_.exit_code
