"""`moat send`."""

from __future__ import annotations

import base64
import os

import click

from moat.cli.arguments import RunReference, supervisor_of
from moat.client.keyboard.key_names import encode_key
from moat.errors import RunNotActiveError, UsageError
from moat.runs.store import Store

PIECE = 1 << 20


@click.command("send")
@click.argument("run", type=RunReference(), metavar="RUN")
@click.argument("text", required=False)
@click.option(
    "-k", "--key", "keys", multiple=True, help="Send a key: Enter, Tab, Esc, Up, C-c, F5, ..."
)
@click.option("--stdin", "from_stdin", is_flag=True, help="Send standard input instead.")
def command(run: str, text: str | None, keys: tuple[str, ...], *, from_stdin: bool) -> None:
    """Type TEXT, then the keys, into a run, and wait until its terminal or pipe has taken them."""
    if from_stdin == (text is not None or bool(keys)):
        raise UsageError("nothing to send, or two things", "Give TEXT and keys, or --stdin")
    data = (text or "").encode() + b"".join(encode_key(key) for key in keys)
    with Store() as store:
        found = store.find(run)
        if found.ended:
            raise RunNotActiveError(f"run {found.name} is {found.state}: nobody reads input there")
        supervisor = supervisor_of(store, found)
        # Each piece as it comes, not only full ones: somebody may be typing into our pipe.
        pieces = iter(lambda: os.read(0, PIECE), b"") if from_stdin else iter([data])
        for piece in pieces:
            supervisor.post("/v1/send", data=base64.b64encode(piece).decode())
