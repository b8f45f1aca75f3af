"""Events in words for people. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from moat import timestamps
from moat.spec.budget import in_words

if TYPE_CHECKING:
    from collections.abc import Callable

Event = dict[str, Any]
"""An event as `moat.event_stream.as_json` makes it."""


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
    place = f"{event['host']}:{event['port']}" if event["port"] else event["host"]
    return f"{event['scheme']} {place}{times}: {event['reason']}"


def _limit(event: Event) -> str:
    if event["amount"] is None:
        return f"no limit of {event['limit']}"
    return in_words(event["limit"], event["amount"])


def _model_used(event: Event) -> str:
    times = f" ({event['requests']} times)" if event["requests"] > 1 else ""
    cost = "cost unknown" if event["cost"] is None else f"${event['cost']:.4f}"
    about = "about " if event["estimated_tokens"] else ""
    model = event["model"] or "a model"
    return f"{model} at {event['host']}{times}: {about}{event['tokens']:,} tokens, {cost}"


def _ssh_key_used(event: Event) -> str:
    return f"{event['grant']}: {event['user']} at {event['host']}, {event['key']}"


def _port_connected(event: Event) -> str:
    if not event["name"]:
        return f"{event['count']} other connections"
    times = f" ({event['count']} times)" if event["count"] > 1 else ""
    user = "" if event["uid"] is None else f" by uid {event['uid']}"
    error = f": {event['error']}" if event["error"] else ""
    return f"{event['name']} from {event['address']}{user}{times}{error}"


def _snapshot_taken(event: Event) -> str:
    label = f" {event['label']!r}" if event["label"] else ""
    unkept = f", {event['unkept']} of them without their content" if event["unkept"] else ""
    return (
        f"{event['snapshot']}{label} ({event['reason']}): {event['changed']} paths changed{unkept},"
        f" sha256 {event['digest']}"
    )


def _restore_begun(event: Event) -> str:
    return f"to {event['snapshot']}: {', '.join(event['paths']) or 'everything'}"


def _timestamp_of(seconds: float) -> str:
    return timestamps.text_of(datetime.fromtimestamp(seconds, UTC))


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
    "waiting_changed": lambda event: (
        f"waits for you: {event['waits_for']}" if event["waits_for"] else "waits no more"
    ),
    "denied": _denied,
    "limit_used_up": lambda event: f"{_limit(event)} used up: {event['on_limit']}",
    "limit_changed": lambda event: f"{_limit(event)} from now on",
    "model_used": _model_used,
    "credential_echoed": lambda event: (
        f"{event['host']}:{event['port']} sent {event['credential']} back; it was masked"
    ),
    "credential_used": lambda event: (
        f"{event['credential']} goes to {event['host']}:{event['port']}"
    ),
    "secrets_resolved": lambda event: ", ".join(event["names"]),
    "ssh_key_used": _ssh_key_used,
    "port_published": lambda event: (
        f"{event['name']}: {event['address']} port {event['host_port']} leads to port {event['port']}"
    ),
    "port_connected": _port_connected,
    "service_changed": lambda event: f"{event['name']}: {event['state']} ({event['detail']})",
    "traffic_dropped": lambda event: (
        f"{event['entries']} entries, to {_timestamp_of(event['until'])}; their sums are kept"
    ),
    "snapshot_taken": _snapshot_taken,
    "restore_begun": _restore_begun,
    "quarantined": lambda event: "; ".join(event["lines"]),
    "left_behind": lambda event: "; ".join(event["lines"]),
    "fault": lambda event: f"{event['part']}: {event['detail'] or 'works again'}",
}
