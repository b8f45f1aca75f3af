"""`moat list`."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Final

import click

from moat.cli.output import age, colours, print_json_array, table
from moat.client.watch.run_list import RunList
from moat.runs.store import Store

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    from moat.runs.store import Run

_CLEAR: Final = "\x1b[H\x1b[2J"


@click.command("list")
@click.option("-a", "--all", "everything", is_flag=True, help="List runs that have ended, too.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
@click.option("--watch", is_flag=True, help="Draw the list again at every change, until Ctrl-C.")
def command(*, everything: bool, as_json: bool, watch: bool) -> None:
    """List the runs that have not ended, newest first."""
    with Store() as store:
        listing = RunList(store, ended=everything)
        if watch:
            for runs in listing.watch():
                sys.stdout.write(_CLEAR + draw(runs) + halves(store, runs))
                sys.stdout.flush()
        elif as_json:
            runs = listing.read()
            print_json_array(run.as_json() for run in runs)
            sys.stderr.write(halves(store, runs))
        else:
            runs = listing.read()
            sys.stdout.write(draw(runs) + halves(store, runs))


def halves(store: Store, runs: Iterable[Run]) -> str:
    """Return a line for each run without its folder, and for each folder without its run."""
    gone = (
        f"{run.name}: its folder is gone. Remove it: moat destroy {run.name}\n"
        for run in store.without_folder(runs)
    )
    loose = (
        f"{run_id}: this folder is in no index. Remove it: moat destroy {run_id}, "
        "or enter it: moat doctor --rebuild-index\n"
        for run_id in store.without_row()
    )
    return "".join((*gone, *loose))


def draw(runs: list[Run]) -> str:
    if not runs:
        return "No runs. Start one: moat run -- COMMAND\n"
    now = time.time()
    rows = [
        (
            run.name,
            run.id,
            _state(run),
            age(run.created_at, now),
            str(run.viewers) if run.viewers else "",
            shortened(" ".join(run.command)),
        )
        for run in runs
    ]
    text = table(("NAME", "ID", "STATE", "CREATED", "VIEWERS", "COMMAND"), rows)
    notes = "".join(
        f"{run.name}: {shortened(note, 300)}\n"
        for run in runs
        for note in _notes(run)
        if not run.ended
    )
    return _in_colour(text, runs) + notes


def _notes(run: Run) -> Generator[str]:
    if run.error:
        yield run.error
    if run.waiting:
        hosts = run.waiting.replace(" ", ", ")
        yield f"waits for an answer: moat allow {run.name} HOST, or deny: {hosts}"


def _in_colour(text: str, runs: list[Run]) -> str:
    drawn = colours()
    if not drawn:
        return text
    head, *lines = text.splitlines(keepends=True)
    for number, run in enumerate(runs):
        # After the name and the id, which may be the same word.
        start = len(lines[number].split("  ", 1)[0])
        before, rest = lines[number][:start], lines[number][start:]
        state = str(run.state)
        lines[number] = before + rest.replace(state, drawn.get(state, state), 1)
    return head + "".join(lines)


def _state(run: Run) -> str:
    return f"{run.state} ({run.exit_code})" if run.exit_code is not None else str(run.state)


def shortened(text: str, width: int = 60) -> str:
    """Cut a text to at most `width` printable characters."""
    text = text if len(text) <= width else text[: width - 1] + "…"
    if text.isprintable():
        return text
    # A command may contain anything, such as control characters for the terminal.
    return "".join(each if each.isprintable() else " " for each in text)
