"""Snapshots as text. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from moat import timestamps

if TYPE_CHECKING:
    from collections.abc import Callable

    from moat.workspace.history.record import Head

HEADER = ("SNAPSHOT", "TAKEN", "WHY", "CHANGED", "LABEL")
_NS = 1_000_000_000


def time_of(taken_at: int) -> str:
    """Return a time in nanoseconds as RFC 3339 in UTC."""
    return timestamps.text_of(datetime.fromtimestamp(taken_at / _NS, UTC))


def row(head: Head, age: Callable[[str], str]) -> tuple[str, ...]:
    """Return the row of a table; `age` says how long ago a time was."""
    taken = age(time_of(head.taken_at))
    changed = f"{head.changed} paths{'' if is_whole(head) else ' (not all kept)'}"
    return str(head.number), taken, head.reason, changed, head.label


def start_row(taken_at: int, age: Callable[[str], str]) -> tuple[str, ...]:
    return "start", age(time_of(taken_at)), "start", "", ""


def as_json(head: Head) -> dict[str, Any]:
    return {
        "snapshot": head.number,
        "taken_at": time_of(head.taken_at),
        "reason": head.reason,
        "label": head.label,
        "files": head.files,
        "changed": head.changed,
        "unkept": head.unkept,
        "too_large": head.too_large,
        "complete": head.complete,
    }


def is_whole(head: Head) -> bool:
    return not head.unkept and not head.too_large and head.complete


def warnings(head: Head) -> list[str]:
    """Return sentences about what a snapshot lacks."""
    found: list[str] = []
    if head.unkept:
        found.append(
            f"{head.unkept} files were not kept: the snapshots of the run have reached their limit"
            " (snapshots.limit in config.yaml; moat snapshot prune makes room)"
        )
    if head.too_large:
        found.append(f"{head.too_large} changed files are too large to be kept (16 MiB)")
    if not head.complete:
        found.append("there is more in the workspace than can be looked at")
    return found


def is_harmless(content: bytes) -> bool:
    """Return whether a terminal only shows a content, and obeys nothing in it."""
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return False
    return all(each.isprintable() or each in "\t\n" for each in text.replace("\r\n", "\n"))
