"""`moat list`."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any, Final

from moat.cli.output import age, colours, fitted_table, json_array, table, terminal_columns
from moat.cli.published import place
from moat.client.watch.run_list import RunList
from moat.columns import fitted
from moat.errors import UsageError
from moat.runs.store import Run, Store

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping, Sequence

    from moat.cli.run_filters import RunFilters
    from moat.cli.template import Template
    from moat.runs.session_records import Session
    from moat.spec import RunId

_CLEAR: Final = "\x1b[H\x1b[2J"
_HEADER: Final = ("NAME", "ID", "STATE", "WAITS FOR", "CREATED", "VIEWERS", "PORTS", "COMMAND")
_OPTIONAL: Final = ("WAITS FOR", "PORTS")
"""Columns that are there where some run has something in them."""
_LOOPBACK: Final = "127.0.0.1:"
_DROPPABLE: Final = ("VIEWERS", "ID", "CREATED")
"""Columns that a narrow terminal doesn't show, in the order in which they go."""


def carry_out(  # noqa: PLR0913  an option each
    *,
    everything: bool = False,
    as_json: bool = False,
    watch: bool = False,
    sessions: bool = False,
    filters: tuple[str, ...] = (),
    fields: str = "",
    template: str | None = None,
) -> None:
    if as_json + (template is not None) + watch > 1:
        raise UsageError("--json, --format and --watch exclude each other", "Give one of them")
    chosen, form = _filters(filters), _form(template)
    everything = everything or (chosen is not None and chosen.about_ended)
    with Store() as store:
        listing = RunList(store, ended=everything)

        def read(runs: list[Run]) -> list[Run]:
            return runs if chosen is None else chosen.select(runs)

        def text(runs: list[Run]) -> str:
            shown = {run.id: _sessions(store, run, ended=everything) for run in runs if sessions}
            return draw(runs, shown, terminal_columns()) + halves(store, runs)

        if watch:
            for runs in listing.watch():
                sys.stdout.write(_CLEAR + text(read(runs)))
                sys.stdout.flush()
            return
        runs = read(listing.read())
        if not as_json and form is None:
            sys.stdout.write(text(runs))
            return
        rows = [_as_json(store, run, sessions=sessions) for run in runs]
        sys.stdout.write(_array(rows, fields) if form is None else form.lines(rows))
        sys.stderr.write(halves(store, runs))


def _filters(texts: Sequence[str]) -> RunFilters | None:
    if not texts:
        return None
    from moat.cli.run_filters import RunFilters  # noqa: PLC0415  for --filter alone

    return RunFilters(texts, time.time())


def _form(template: str | None) -> Template | None:
    if template is None:
        return None
    from moat.cli.template import Template  # noqa: PLC0415  for --format alone

    return Template.parse(template)


def _array(rows: Sequence[Mapping[str, Any]], fields: str) -> str:
    """Return a JSON array of the rows with these fields, which commas separate; all without any."""
    if not fields:
        return json_array(rows)
    from moat.cli.template import chosen  # noqa: PLC0415  for fields alone

    names = [name for each in fields.split(",") if (name := each.strip())]
    return json_array(chosen(row, names) for row in rows)


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


def _as_json(store: Store, run: Run, *, sessions: bool) -> dict[str, Any]:
    if not sessions:
        return run.as_json()
    return run.as_json() | {"sessions": [each.as_json() for each in _known(store, run)]}


def _known(store: Store, run: Run) -> list[Session]:
    from moat.runs import session_records  # noqa: PLC0415  for --sessions alone

    return list(session_records.sessions(store, run))


def _sessions(store: Store, run: Run, *, ended: bool) -> list[Session]:
    """Return the sessions to list below the run's own line."""
    return [each for each in _known(store, run)[1:] if ended or not each.ended]


def draw(
    runs: list[Run],
    sessions: Mapping[RunId, Sequence[Session]] | None = None,
    columns: int | None = None,
) -> str:
    """Draw the runs, and below each the `sessions` that belong to its id.

    `columns` are those of the terminal; without one, commands are cut at a width that suits most.
    """
    if not runs:
        return "No runs. Start one: moat run -- COMMAND\n"
    now = time.time()
    rows: list[list[str]] = []
    states: list[str] = []
    for run in runs:
        rows.append(_row(run.name, run.id, run, run.created_at, now))
        states.append(str(run.state))
        for each in (sessions or {}).get(run.id, ()):
            rows.append(_row(each.reference, "", each, each.started_at, now))
            states.append(each.state)
    header = list(_HEADER)
    for name in _OPTIONAL:
        column = header.index(name)
        if not any(row[column] for row in rows):
            for row in (header, *rows):
                del row[column]
    if columns is None:
        text = table(header, [(*row[:-1], shortened(row[-1])) for row in rows])
    else:
        text = fitted_table(header, rows, columns, _DROPPABLE)
    notes = "".join(
        f"{run.name}: {shortened(note, 300)}\n"
        for run in runs
        for note in _notes(run)
        if not run.ended
    )
    return _in_colour(text, states) + notes


def _notes(run: Run) -> Generator[str]:
    if run.error:
        yield run.error
    if run.waiting:
        waiting = run.waiting.split()
        hosts = ", ".join(each for each in waiting if not each.startswith(_LIMIT))
        if hosts:
            yield f"waits for an answer: moat allow {run.name} HOST, or deny: {hosts}"
        for each in waiting:
            if each.startswith(_LIMIT):
                limit = each.removeprefix(_LIMIT)
                yield f"waits, because {each} is used up: moat limit {run.name} {limit}=AMOUNT"


_LIMIT: Final = "limits."


def _ports(run: Run) -> str:
    """Return the run's open ports, the host's first; the loopback goes without saying."""
    return ", ".join(f"{place(each).removeprefix(_LOOPBACK)}->{each['name']}" for each in run.ports)


def _row(name: str, run_id: str, what: Run | Session, began: str | None, now: float) -> list[str]:
    """Return the cells of a run, or of a session, whose class isn't loaded for a list without any."""
    began_ago = age(began, now) if began else ""
    waits_for = viewers = ports = ""
    if isinstance(what, Run):
        waits_for, viewers, ports = what.waits_for, str(what.viewers or ""), _ports(what)
    command = _one_line(" ".join(what.command))
    return [name, run_id, _state(what), waits_for, began_ago, viewers, ports, command]


def _in_colour(text: str, states: list[str]) -> str:
    drawn = colours()
    if not drawn:
        return text
    head, *lines = text.splitlines(keepends=True)
    for number, state in enumerate(states):
        # After the name and the id, which may be the same word.
        start = len(lines[number].split("  ", 1)[0])
        before, rest = lines[number][:start], lines[number][start:]
        lines[number] = before + rest.replace(state, drawn.get(state, state), 1)
    return head + "".join(lines)


def _state(what: Run | Session) -> str:
    state = f"{what.state} ({what.exit_code})" if what.exit_code is not None else str(what.state)
    return f"{state}, imported" if isinstance(what, Run) and what.imported_at else state


def shortened(text: str, columns: int = 60) -> str:
    """Cut a text to at most so many columns of printable characters."""
    return fitted(_one_line(text), columns)


def _one_line(text: str) -> str:
    # A command may contain anything, such as control characters for the terminal.
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else " " for each in text)
