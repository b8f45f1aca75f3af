"""`moat events [RUN]`."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING

import click

from moat.cli.arguments import run_argument
from moat.cli.event_text import describe
from moat.cli.found import find
from moat.printable import without_controls
from moat.runs.event_reader import EventReader
from moat.runs.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from moat.cli.event_text import Event


@click.command("events")
@run_argument()
@click.option("-f", "--follow", "follows", is_flag=True, help="Go on with events as they happen.")
@click.option("-n", "--tail", "last", type=click.IntRange(min=0), help="Only the last N events.")
@click.option("--since", metavar="TIME", help="Only from TIME on: 10m (ago), or an RFC 3339 time.")
@click.option("--event", "kinds", multiple=True, metavar="KIND", help="Only events of this kind.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
def command(
    run: str | None,
    *,
    follows: bool,
    last: int | None,
    since: str | None,
    kinds: tuple[str, ...],
    as_json: bool,
) -> None:
    """Print what has happened to a run, oldest first.

    Events are changes of its state, supervisors that start or adopt it, viewers that come and go,
    commands of moat exec, input by moat send, signals, changes of its policy, questions to you,
    changes of what the run waits for, denials, credentials that go to a server, secrets that a command
    gets, sessions that a granted ssh key has authenticated, faults, entries that the record of the
    network dropped, what was quarantined in the workspace, and what was left behind there for
    programs to obey. Each tells who did it, where somebody did: the user id and process id at the
    other end.

    The keys of --json: time (RFC 3339), event (the kind), and what belongs to the kind. Further keys
    and kinds may come.
    """
    with Store() as store:
        found = find(store, run)
        reader = EventReader(store.folder(found.id).events)
        chosen = _filter(kinds, since)
        write = _write_json if as_json else _write_lines
        events = [event for event in reader.read() if chosen(event)]
        write(events if last is None else events[max(0, len(events) - last) :])
        if follows:
            from moat.client.watch.follow import follow  # noqa: PLC0415  for -f alone

            for _ in follow(store, found):
                write(event for event in reader.read() if chosen(event))


def _filter(kinds: tuple[str, ...], since: str | None) -> Callable[[Event], bool]:
    # RFC 3339 in UTC with milliseconds, so times compare as text.
    earliest = "" if since is None else _timestamp(since)

    def chosen(event: Event) -> bool:
        return event["time"] >= earliest and (not kinds or event["event"] in kinds)

    return chosen


def _timestamp(since: str) -> str:
    from moat.cli.plain.logs import moment_of, timestamp  # noqa: PLC0415  for --since alone

    return timestamp(moment_of(since, time.time())).decode().strip()


def _write_json(events: Iterable[Event]) -> None:
    for event in events:
        sys.stdout.write(json.dumps(event) + "\n")
    sys.stdout.flush()


def _write_lines(events: Iterable[Event]) -> None:
    for event in events:
        sys.stdout.write(
            f"{event['time']}  {event['event']:<18}  {without_controls(describe(event))}\n"
        )
    sys.stdout.flush()
