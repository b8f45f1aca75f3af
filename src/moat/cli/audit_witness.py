"""`moat audit witness`."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import click

from moat.cli.arguments import run_argument
from moat.cli.audit_text import witness_line
from moat.cli.found import find
from moat.cli.grant import refuse_inside_run
from moat.errors import MoatError, UsageError
from moat.printable import without_controls
from moat.runs import unwitnessed
from moat.runs.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from moat.client.witness import Submitted


@click.command("witness")
@run_argument()
@click.option(
    "--log-list", "lists", is_flag=True, help="Print what a witness needs to know the log of RUN."
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
@click.pass_context
def command(ctx: click.Context, run: str | None, *, lists: bool, as_json: bool) -> None:
    """Submit the newest checkpoint of a run to the witnesses of config.yaml, now.

    Runs do that by themselves, at most once a minute and at their end. A witness must know a log before
    it signs for it: --log-list prints its origin and key as a list of logs (logs/v0), which litewitness
    reads by witnessctl pull-logs. With --log-list and without RUN it has all runs.

    The exit code is 1 if a witness has not seen all of the log. The keys of --json: url, key, seen (the
    number of entries), at and problem (or null).
    """
    refuse_inside_run()
    with Store() as store:
        if lists:
            runs = store.ids() if run is None else [find(store, run).id]
            sys.stdout.write(_log_list(store.home, runs))
            return
        found = find(store, run)
        from moat.client.witness import run_once  # noqa: PLC0415  loads slowly
        from moat.config import settings  # noqa: PLC0415

        witnesses = settings.load(store.home).witnesses
        if not witnesses:
            raise UsageError(
                "there are no witnesses",
                "Name them in config.yaml: audit.witness, with url and key",
            )
        unwitnessed.mark(store.home, found.id)
        done = run_once(store.home, found.id, witnesses)
    if not done:
        raise MoatError(
            f"nothing of {found.name} was submitted",
            "Its audit log has not begun, or another process is submitting it",
        )
    _print(done, as_json=as_json)
    seen = all(each.attempt.size and not each.attempt.problem for each in done)
    ctx.exit(0 if seen else 1)


def _print(done: Iterable[Submitted], *, as_json: bool) -> None:
    if as_json:
        rows = [
            {
                "url": each.witness.url,
                "key": each.witness.key,
                "seen": each.attempt.size,
                "at": each.attempt.at,
                "problem": each.attempt.problem or None,
            }
            for each in done
        ]
        sys.stdout.write(json.dumps(rows) + "\n")
        return
    for each in done:
        sys.stdout.write(without_controls(witness_line(each.witness.key, each.attempt)) + "\n")


def _log_list(home: Path, runs: Iterable[str]) -> str:
    """Return the list of logs with the key that signs now, which is made where there is none."""
    from moat.audit.checkpoint import verifier_key  # noqa: PLC0415  loads slowly
    from moat.audit.signing_key import SigningKeys  # noqa: PLC0415

    public = SigningKeys(home).current().public
    lines = [f"vkey {verifier_key(run, public)}" for run in sorted(runs)]
    return "\n".join(["logs/v0", "", *lines, ""])
