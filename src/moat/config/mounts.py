"""The notation for a mount, `SRC:DST[:ro|rw]`. Pure."""

from __future__ import annotations

from moat.errors import UsageError
from moat.spec import Mount


def split_mount(text: str) -> Mount:
    """Parse a mount, and leave its source as it was written. Raises `UsageError`."""
    parts = text.split(":")
    mode = parts.pop() if len(parts) == 3 else "rw"
    if len(parts) != 2 or not all(parts):
        raise UsageError(f"{text!r} is not a mount", "Write SRC:DST, SRC:DST:ro or SRC:DST:rw")
    source, target = parts
    if not target.startswith("/"):
        raise UsageError(f"mount target {target!r} is not an absolute path", "Begin it with /")
    match mode:
        case "ro" | "rw":
            return Mount(source, target, mode)
        case _:
            raise UsageError(f"{text!r}: {mode!r} is neither ro nor rw")


def check_own_mount(text: str) -> None:
    """Check a mount of the user's settings, which hold in any folder. Raises `UsageError`."""
    if not split_mount(text).source.startswith(("/", "~")):
        raise UsageError(f"{text!r} has a relative source", "Begin it with / or ~")
