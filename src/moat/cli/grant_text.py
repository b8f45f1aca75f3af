"""Credentials as text, without their secrets."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from moat.cli.output import age, table
from moat.printable import printable, without_controls

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from moat.credentials.credential import Entry

_DAY_S = 86400.0


def as_dict(entry: Entry) -> dict[str, Any]:
    """Return the public shape of an entry, as `--json` prints it."""
    return {
        "name": entry.key.name,
        **asdict(entry.key),
        "fields": list(entry.field_names),
        "attributes": dict(entry.attributes),
        "source": entry.source,
        "created_at": entry.created_at,
        "expires_at": entry.expires_at,
        "version": entry.version,
    }


def listing(entries: Iterable[Entry], now: float) -> str:
    rows = [
        (
            printable(each.key.arguments.partition(" ")[0]),
            each.key.profile,
            without_controls(each.attributes.get("account", "")),
            each.source,
            expiry(each, now),
            age(each.created_at, now),
        )
        for each in entries
    ]
    return table(("CREDENTIAL", "PROFILE", "ACCOUNT", "FROM", "EXPIRES", "GRANTED"), rows)


def details(entry: Entry, secrets: Mapping[str, str] | None, now: float) -> str:
    rows = [
        ("credential", entry.key.arguments.partition(" ")[0]),
        ("profile", entry.key.profile),
        *((name, value) for name, value in sorted(entry.attributes.items())),
        ("from", entry.source),
        ("granted", entry.created_at),
        ("expires", expiry(entry, now)),
        *((name, "(hidden)" if secrets is None else secrets[name]) for name in entry.field_names),
    ]
    width = max(len(name) for name, _ in rows)
    return "".join(f"{name:<{width}}  {_lines(value)}\n" for name, value in rows)


def expiry(entry: Entry, now: float) -> str:
    """Say when a credential ends."""
    if entry.expires_at is None:
        return "-"
    renewed = " (renewed by itself)" if "refresh_token" in entry.field_names else ""
    left = entry.expires_at - now
    if left <= 0:
        return "expired" if not renewed else "when used next" + renewed
    if left < 2 * _DAY_S:
        return f"in {int(left // 3600)} h {int(left % 3600 // 60)} min{renewed}"
    return f"in {int(left // _DAY_S)} days{renewed}"


def _lines(text: str) -> str:
    """Keep the line breaks of keys, and nothing else that acts on a terminal."""
    return "\n".join(without_controls(line) for line in text.splitlines())
