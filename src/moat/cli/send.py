"""`moat send`."""

from __future__ import annotations

import click

from moat.cli.arguments import KeyName, session_argument, session_option
from moat.cli.plain.send import carry_out


@click.command("send")
@session_argument(required=True, running=True)
@click.argument("text", required=False)
@click.option(
    "-k",
    "--key",
    "keys",
    type=KeyName(),
    multiple=True,
    help="Send a key: Enter, Tab, Esc, Up, C-c, F5, ...",
)
@session_option
@click.option("--stdin", "from_stdin", is_flag=True, help="Send standard input instead.")
def command(
    run: str,
    text: str | None,
    *,
    keys: tuple[str, ...],
    session: str | None,
    from_stdin: bool,
) -> None:
    """Type TEXT, then the keys, into a run, and wait until its terminal or pipe has taken them."""
    carry_out(run=run, text=text, keys=keys, session=session, from_stdin=from_stdin)
