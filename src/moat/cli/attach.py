"""`moat attach [RUN]`."""

from __future__ import annotations

import click

from moat.cli.arguments import session_argument, session_option
from moat.cli.plain.attach import carry_out


class _Spellings(click.Command):
    """Accepts `-i=false` and `--interactive=false`, the spelling of Moat's first version."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        spellings = {
            f"{option}={value}": flag
            for option in ("-i", "--interactive")
            for value, flag in (("false", "--no-interactive"), ("true", "--interactive"))
        }
        return super().parse_args(ctx, [spellings.get(each, each) for each in args])


@click.command("attach", cls=_Spellings)
@session_argument(running=True)
@session_option
@click.option(
    "--read-only", is_flag=True, help="Watch only: nothing that you type reaches the run."
)
@click.option(
    "-i/",
    "--interactive/--no-interactive",
    "interactive",
    default=None,
    help="Connect standard input, or don't (default: as the run was started).",
)
@click.option(
    "--escape-keys", help="Prefix of the keys d, k, s, a and ? (default: ctrl-/; '' for none)."
)
def command(
    run: str | None,
    *,
    session: str | None,
    read_only: bool,
    interactive: bool | None,
    escape_keys: str | None,
) -> int:
    """Attach this terminal to a run (default: the newest), as if you had never left.

    RUN/SESSION is the session of a moat exec, such as my-run/exec-1.

    Ctrl-/ d detaches, Ctrl-/ ? lists the other escape keys. The exit code is that of the run's command,
    or 0 after detaching.
    """
    return carry_out(
        run=run,
        session=session,
        read_only=read_only,
        interactive=interactive,
        escape_keys=escape_keys,
    )
