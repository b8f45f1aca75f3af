"""`moat attach [RUN]`."""

from __future__ import annotations

import os

import click

from moat.cli.arguments import find, run_argument
from moat.client.attach.attach import AttachOptions, attach
from moat.client.keyboard.key_names import parse_escape_prefix
from moat.config import settings as user_settings
from moat.errors import UsageError
from moat.runs.store import Store


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
@run_argument()
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
    "--escape-keys", help="Prefix of the escape keys d, k, s and ? (default: ctrl-/; '' for none)."
)
def command(
    run: str | None, *, read_only: bool, interactive: bool | None, escape_keys: str | None
) -> int:
    """Attach this terminal to a run (default: the newest), as if you had never left.

    Ctrl-/ d detaches, Ctrl-/ ? lists the other escape keys. The exit code is that of the run's command,
    or 0 after detaching.
    """
    with Store() as store:
        settings = user_settings.load(store.home)
        prefix = parse_escape_prefix(settings.escape_keys if escape_keys is None else escape_keys)
        found = find(store, run)
        if os.environ.get("MOAT_RUN") == found.id:
            raise UsageError("this command runs inside that run", "Attach to it from outside")
        options = AttachOptions(
            escape_prefix=prefix,
            read_only=read_only,
            interactive=interactive,
            interrupt_window=settings.interrupt_window,
            prefix_timeout=settings.prefix_timeout,
            status_row=settings.status_row,
        )
        return attach(store, found, options)
