"""Values inside parsed documents, and times in the forms that providers use. Pure."""

from __future__ import annotations

import base64
import binascii
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, cast

from moat import typed_json

if TYPE_CHECKING:
    from collections.abc import Mapping

_MILLISECONDS: Final = 1e11
"""Seconds reach this number in the year 5138, and milliseconds did in 1973."""
_LATEST_MS: Final = 1e15
"""The year 33658: what is later is no time."""


def value_at(document: object, pointer: str) -> Any:
    """Return the value under keys with `/` between them, `None` where there is none.

    `~1` stands for a `/` in a key, and `*` for the only key of an object.
    """
    found: Any = document
    for part in pointer.split("/") if pointer else ():
        if not isinstance(found, dict):
            return None
        known = cast("dict[str, Any]", found)
        if part == "*" and len(known) == 1:
            (found,) = known.values()
        else:
            found = known.get(part.replace("~1", "/"))
    return found


def texts_at(document: object, pointers: Mapping[str, str]) -> dict[str, str]:
    """Return the strings and numbers that are there, as text."""
    found = {name: value_at(document, pointer) for name, pointer in pointers.items()}
    return {
        name: str(value)
        for name, value in found.items()
        if isinstance(value, str | int | float) and not isinstance(value, bool) and value != ""
    }


def time_at(document: object, pointer: str) -> float | None:
    """Return a time in seconds since the epoch, `None` where there is none."""
    return moment(value_at(document, pointer)) if pointer else None


def moment(value: object) -> float | None:
    """Convert seconds, milliseconds or RFC 3339 to seconds since the epoch."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        if not abs(value) <= _LATEST_MS:  # an endless number, or none
            return None
        return value / 1000 if value > _MILLISECONDS else float(value)
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
    if not isinstance(value, str) or not value:
        return None
    try:
        return moment(float(value) if value[:4].isdigit() and "-" not in value else _parsed(value))
    except ValueError:
        return None


def expiry_of_jwt(token: str) -> float | None:
    """Return when a token ends that says so itself (RFC 7519), without checking who made it."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        padded = parts[1] + "=" * (-len(parts[1]) % 4)
        claims = typed_json.object_of(json.loads(base64.urlsafe_b64decode(padded)), "claims")
    except (ValueError, binascii.Error, RecursionError):
        return None
    value = claims.get("exp")
    return moment(value) if isinstance(value, int | float) else None


def _parsed(text: str) -> datetime:
    return datetime.fromisoformat(text)
