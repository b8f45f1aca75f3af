"""`moat list`."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from moat.cli.output import age, colours, print_json_array, table
from moat.errors import MoatError
from moat.runs.store import Store

if TYPE_CHECKING:
    from collections.abc import Generator

    from moat.runs.store import Run


@click.command("list")
@click.option("-a", "--all", "everything", is_flag=True, help="Ended runs, too.")
@click.option("--json", "as_json", is_flag=True, help="An array of objects.")
@click.option("--watch", is_flag=True, help="Draw anew at every change, until Ctrl-C.")
def command(*, everything: bool, as_json: bool, watch: bool) -> None:
    """List the runs that have not ended, newest first."""
    with Store() as store:
        if watch:
            _watch(store, everything=everything)
        runs = current(store, everything=everything)
        if as_json:
            print_json_array(run.as_json() for run in runs)
        else:
            sys.stdout.write(draw(runs))


def current(store: Store, *, everything: bool) -> list[Run]:
    """The rows as they are true now: a run whose supervisor is gone gets one that looks after it."""
    known = store.all(ended=everything)
    orphans = {run.id: _look_after(store, run) for run in known if _is_orphan(store, run)}
    if not orphans:
        return known
    fresh = {run.id: run for run in store.all()}
    runs = [fresh.get(run.id, run) for run in known]
    return [
        replace(run, error=orphans[run.id]) if orphans.get(run.id) else run
        for run in runs
        if everything or not run.ended
    ]


def _is_orphan(store: Store, run: Run) -> bool:
    if run.ended:
        return False
    from moat.client.connect.launch import is_supervised  # noqa: PLC0415  a list of ended runs needs none

    return not is_supervised(store.folder(run.id))


def _look_after(store: Store, run: Run) -> str | None:
    """Starts a supervisor, which finds out what is left of the run; what went wrong, if anything."""
    from moat.cli.arguments import ask  # noqa: PLC0415

    try:
        ask(store, run).get("/v1/run", until="started")
    except MoatError as error:
        return None if error.code == "run_not_active" else error.summary
    return None


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
        # Behind name and id, which may be the same word.
        start = len(lines[number].split("  ", 1)[0])
        before, rest = lines[number][:start], lines[number][start:]
        state = str(run.state)
        lines[number] = before + rest.replace(state, drawn.get(state, state), 1)
    return head + "".join(lines)


def _state(run: Run) -> str:
    return f"{run.state} ({run.exit_code})" if run.exit_code is not None else str(run.state)


def shortened(text: str, width: int = 60) -> str:
    """One line of it, of at most `width` characters."""
    text = text if len(text) <= width else text[: width - 1] + "…"
    if text.isprintable():
        return text
    # A command may hold anything, a terminal's control characters too.
    return "".join(each if each.isprintable() else " " for each in text)


def _watch(store: Store, *, everything: bool) -> None:
    from moat.platform.inotify import FolderWatch  # noqa: PLC0415

    with FolderWatch(store.home) as changes:
        while True:
            sys.stdout.write("\x1b[H\x1b[2J" + draw(current(store, everything=everything)))
            sys.stdout.flush()
            changes.drain()
