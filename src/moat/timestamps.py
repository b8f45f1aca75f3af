"""Times as text, in the form of RFC 3339 and in UTC."""

from __future__ import annotations

from datetime import UTC, datetime


def now(*, milliseconds: bool = True) -> str:
    """Return the present time."""
    return text_of(datetime.now(UTC), milliseconds=milliseconds)


def text_of(moment: datetime, *, milliseconds: bool = True) -> str:
    """Return a moment of which the zone is UTC, in milliseconds or else in seconds."""
    shown = moment.isoformat(timespec="milliseconds" if milliseconds else "seconds")
    return shown.replace("+00:00", "Z")
