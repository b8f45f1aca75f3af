"""`moat limit [RUN] [KEY=VALUE]...`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

import click

from moat.cli.arguments import run_argument
from moat.cli.found import find, supervisor_of
from moat.cli.output import print_json, table
from moat.client.display.spending import read_spending
from moat.config.budget import AMOUNTS, assignments
from moat.errors import RunNotActiveError, UsageError
from moat.runs.store import Store
from moat.spec.budget import BUDGET_LIMITS, in_words

if TYPE_CHECKING:
    from collections.abc import Iterable

    from moat.runs.store import Run

_NONE: Final = "none"


@click.command("limit")
@run_argument()
@click.argument("changes", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(run: str | None, *, changes: tuple[str, ...], as_json: bool) -> None:
    """Show what a run has used up of its limits, or change limits of a run that lives.

    KEY is requests, bytes_out, tokens or cost (US dollars); VALUE is an amount, or none. Requests that
    wait because a limit is used up go on at once if it is raised.

    The cost is computed from list prices, and from those in your settings. Models without a price are
    counted by tokens; toward a limit of cost, they count at the highest price in the list.

    \b
    moat limit fix                        what it has used up
    moat limit fix tokens=5m cost=20      from now on
    moat limit fix requests=none
    """  # noqa: D301  a backspace tells click not to wrap
    if run is not None and "=" in run:
        run, changes = None, (run, *changes)
    amounts = _amounts(changes)
    with Store() as store:
        found = find(store, run)
        known = _change(store, found, amounts) if amounts else _known(store, found)
    if as_json:
        print_json(known)
    else:
        sys.stdout.write(render(known))


def _amounts(changes: Iterable[str]) -> dict[str, Any]:
    """Return new limits by name. Raises `UsageError`."""
    given = assignments(changes)
    if "on_limit" in given:
        raise UsageError(
            "on_limit can't be changed while a run lives", "Give it at the start: moat run --limit"
        )
    return {name: None if text == _NONE else AMOUNTS[name](text) for name, text in given.items()}


def _known(store: Store, run: Run) -> dict[str, Any]:
    if not run.ended:
        try:
            return supervisor_of(store, run).get("/v1/limits")
        except RunNotActiveError:
            pass  # it has ended meanwhile
    return read_spending(store.folder(run.id), store.spec(run.id).budget)


def _change(store: Store, run: Run, amounts: dict[str, Any]) -> dict[str, Any]:
    if run.ended:
        raise RunNotActiveError(
            f"run {run.name} is {run.state}: it uses up nothing any more",
            "For the next run: moat run --limit KEY=VALUE, or limits in agent.yaml",
        )
    return supervisor_of(store, run).post("/v1/limits", **amounts)


def render(known: dict[str, Any]) -> str:
    """Return the table of what was used up, and what follows."""
    spent, limits = known["spent"], known["limits"]
    rows = [
        (
            name,
            in_words(name, spent[name]).partition(" ")[0],
            "-" if limits[name] is None else in_words(name, limits[name]).partition(" ")[0],
        )
        for name in BUDGET_LIMITS
    ]
    text = table(("LIMIT", "USED", "OF"), rows)
    if spent["unpriced_tokens"]:
        text += f"{spent['unpriced_tokens']:,} tokens are of models without a price\n"
    if any(limits[name] is not None for name in BUDGET_LIMITS):
        text += f"{_CONSEQUENCES[known['on_limit']]}\n"
    return text


_CONSEQUENCES: Final = {
    "ask": "When a limit is used up, requests wait for your answer",
    "deny": "When a limit is used up, every request is denied",
    "stop": "When a limit is used up, the run is stopped",
}
