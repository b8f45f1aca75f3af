"""`moat events [RUN]`."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Any, Final

import click

from moat.cli.arguments import find, run_argument
from moat.printable import without_controls
from moat.runs.event_reader import EventReader
from moat.runs.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Event = dict[str, Any]
"""An event as `moat.events.as_json` makes it."""


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
    denials, faults, entries that the record of the network dropped, what was quarantined in the
    workspace, and what was left behind there for programs to obey. Each tells who did it, where
    somebody did: the user id and process id at the other end.

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
    from moat.cli.logs import moment_of, timestamp  # noqa: PLC0415  for --since alone

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


def describe(event: Event) -> str:
    """Return what an event says besides its time and kind, on one line."""
    describe_kind = _DESCRIPTIONS.get(event["event"])
    if describe_kind is None:  # from a newer supervisor
        return ", ".join(f"{key}={event[key]}" for key in event if key not in {"time", "event"})
    return describe_kind(event) + _by(event)


def _by(event: Event) -> str:
    peer = event.get("peer")
    return "" if peer is None else f" (uid {peer['uid']}, pid {peer['pid']})"


def _state_changed(event: Event) -> str:
    code = "" if event["exit_code"] is None else f", exit code {event['exit_code']}"
    error = f": {event['error']}" if event["error"] else ""
    return f"{event['before']} -> {event['after']}{code}{error}"


def _supervisor_started(event: Event) -> str:
    how = f"adopted {', '.join(event['sessions'])}" if event["adopted"] else "starts the run"
    return f"moat {event['version']}, pid {event['pid']}: {how}"


def _viewer_attached(event: Event) -> str:
    tty = f" from {event['tty']}" if event["tty"] else ""
    return f"{event['session']}{tty}{', read-only' if event['read_only'] else ''}"


def _exec_ended(event: Event) -> str:
    error = f": {event['error']}" if event["error"] else ""
    return f"{event['session']}, exit code {event['exit_code']}{error}"


def _signal_sent(event: Event) -> str:
    return " ".join(filter(None, (event["action"], event["signal"], event["session"])))


def _denied(event: Event) -> str:
    if not event["host"]:
        return f"{event['count']} other denials"
    times = f" ({event['count']} times)" if event["count"] > 1 else ""
    return f"{event['scheme']} {event['host']}:{event['port']}{times}: {event['reason']}"


def _timestamp_of(seconds: float) -> str:
    from moat.cli.logs import timestamp  # noqa: PLC0415  for few events

    return timestamp(seconds).decode().strip()


_DESCRIPTIONS: Final[dict[str, Callable[[Event], str]]] = {
    "state_changed": _state_changed,
    "supervisor_started": _supervisor_started,
    "viewer_attached": _viewer_attached,
    "viewer_detached": lambda event: f"{event['session']}: {event['reason']}",
    "exec_started": lambda event: f"{event['session']}: {' '.join(event['command'])}",
    "exec_ended": _exec_ended,
    "input_sent": lambda event: f"{event['size']} bytes to {event['session']}",
    "signal_sent": _signal_sent,
    "policy_amended": lambda event: f"{event['verdict']} {event['rule']}",
    "question_asked": lambda event: f"{event['host']}:{event['port']} waits for an answer",
    "question_closed": lambda event: f"{event['host']}:{event['port']} waits no more",
    "denied": _denied,
    "traffic_dropped": lambda event: (
        f"{event['entries']} entries, to {_timestamp_of(event['until'])}; their sums are kept"
    ),
    "quarantined": lambda event: "; ".join(event["lines"]),
    "left_behind": lambda event: "; ".join(event["lines"]),
    "fault": lambda event: f"{event['part']}: {event['detail'] or 'works again'}",
}
