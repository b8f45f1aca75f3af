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
    """`-i=false` and `--interactive=false` are the original's spelling of `--no-interactive`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        spelt = {
            f"{option}={value}": meant
            for option in ("-i", "--interactive")
            for value, meant in (("false", "--no-interactive"), ("true", "--interactive"))
        }
        return super().parse_args(ctx, [spelt.get(each, each) for each in args])


@click.command("attach", cls=_Spellings)
@run_argument()
@click.option("--read-only", is_flag=True, help="Watch, and type nothing.")
@click.option(
    "-i/",
    "--interactive/--no-interactive",
    "interactive",
    default=None,
    help="Whether standard input goes to the run; default: as it was started.",
)
@click.option("--escape-keys", help="Prefix of the keys d (detach), k (stop), ?; '' is off.")
def command(
    run: str | None, *, read_only: bool, interactive: bool | None, escape_keys: str | None
) -> int:
    """Show a run (default: the newest) on this terminal, as if you had never left.

    Ctrl-/ d detaches, Ctrl-/ ? lists the other keys. The exit code is the run's; 0 after detaching.
    """
    with Store() as store:
        settings = user_settings.load(store.home)
        prefix = parse_escape_prefix(settings.escape_keys if escape_keys is None else escape_keys)
        found = find(store, run)
        if os.environ.get("MOAT_RUN") == found.id:
            raise UsageError("this is inside that run", "Attach to it from outside")
        options = AttachOptions(
            escape_prefix=prefix,
            read_only=read_only,
            interactive=interactive,
            interrupt_window=settings.interrupt_window,
        )
        return attach(store, found, options)
