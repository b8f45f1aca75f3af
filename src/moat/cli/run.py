"""`moat run [PATH] [-- COMMAND...]`."""

from __future__ import annotations

from typing import Any

import click

from moat.cli.arguments import BeforeCommand, WithCommand, split_at_dashes
from moat.cli.plain.run import carry_out


@click.command("run", cls=WithCommand)
@click.argument(
    "before", nargs=-1, type=BeforeCommand(click.Path()), metavar="[PATH] [-- COMMAND...]"
)
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
    "--volume",
    "volumes",
    multiple=True,
    metavar="NAME:PATH[:ro]",
    help="Mount a folder that lasts from run to run, for the runs of this project (see moat volume).",
)
@click.option(
    "-w",
    "--workdir",
    metavar="PATH",
    help="Working directory of the command, relative to /workspace.",
)
@click.option("--keep", is_flag=True, help="Keep the sandbox's home folder and /tmp after the end.")
@click.option(
    "--rm",
    is_flag=True,
    help="Remove the run and its record at the end, unless something was quarantined.",
)
@click.option(
    "--worktree",
    metavar="BRANCH",
    help="Work on a branch in a worktree of its own, outside the project folder (see moat worktree).",
)
@click.option(
    "--copy/--no-copy",
    default=None,
    help="Work on a copy of the project folder, in the store; moat apply takes its changes over.",
)
@click.option("--engine", help="Engine that makes the sandbox: bubblewrap, docker or podman.")
@click.option(
    "--image", metavar="REF", help="Image of the container; without --engine, docker makes it."
)
@click.option(
    "--service",
    "services",
    multiple=True,
    metavar="[NAME=]KIND[@VERSION]",
    help="Have a service beside the command, such as postgres@17 (see moat service); by docker, unless"
    " --engine says podman.",
)
@click.option(
    "--dep",
    "dependencies",
    multiple=True,
    metavar="NAME[@VERSION]|KIND:NAME",
    help="Have something in the image, which is made once for it (see moat deps); by docker, unless"
    " --engine says podman.",
)
@click.option(
    "--rebuild", is_flag=True, help="Make the image of the dependencies anew, with newer packages."
)
@click.option(
    "--escape-keys", help="Prefix of the keys d, k, s, a and ? (default: ctrl-/; '' for none)."
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
    "--limit",
    "limits",
    multiple=True,
    metavar="KEY=VALUE",
    help="Limit what the run uses up in all: requests=500, bytes_out=100m, tokens=2m or cost=5 (US"
    " dollars). on_limit=deny (default), ask or stop says what follows (see moat limit).",
)
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
    "--host-port",
    "host_ports",
    multiple=True,
    metavar="[NAME:]PORT",
    help="Let the run reach a port of this machine's loopback, as host.moat:PORT.",
)
@click.option(
    "-p",
    "--publish",
    multiple=True,
    metavar="[NAME=][HOST:]PORT[:PORT]",
    help="Publish a port of the run on this machine; the last one is the run's, the one before it is"
    " this machine's (default: a free one, for you alone; see moat port).",
)
@click.option(
    "--grant",
    "grants",
    multiple=True,
    metavar="PROVIDER[:SCOPE][@PROFILE]",
    help="Let the run use a credential of the vault that it never holds (see moat grant).",
)
@click.option(
    "--profile",
    default="default",
    envvar="MOAT_PROFILE",
    metavar="NAME",
    help="Profile of grants that name none (default: $MOAT_PROFILE, or else default).",
)
@click.option(
    "--trust-project",
    is_flag=True,
    help="Agree, for this run, to what the project's agent.yaml opens (see moat trust), but not to"
    " grants, secrets and variables of yours.",
)
@click.pass_context
def command(
    ctx: click.Context,
    before: tuple[str, ...],
    *,
    detach: bool,
    escape_keys: str | None,
    **given: Any,
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
    moat run -p 3000 -- npm run dev     moat open shows it in the browser
    moat run -it --grant claude --grant github -- claude
    """  # noqa: D301  a backspace tells click not to wrap
    path, command_line = split_at_dashes(ctx, before)
    return carry_out(
        supervisor=ctx.obj,
        path=path,
        command=command_line,
        detach=detach,
        escape_keys=escape_keys,
        **given,
    )
