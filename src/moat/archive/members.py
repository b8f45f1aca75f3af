"""The members of an exported run: names, sizes, and the facts that are in no other file. Pure."""

# No postponed annotations: `typed_json` looks at them.
import re
from dataclasses import dataclass
from typing import Final

FORMAT: Final = 1
"""Stays the same while facts and members are added that a reader may pass over."""

FACTS: Final = "run.json"
SPEC: Final = "spec.json"
TRAFFIC: Final = "traffic.jsonl"
EVENTS: Final = "events.jsonl"
AUDIT: Final = "audit.log"
CHANGES: Final = "changes.json"
CONTENTS: Final = "changes.contents"

_MIB: Final = 1 << 20
MOST_MEMBERS: Final = 20_000
MOST_BYTES: Final = 4 << 30
"""Bytes of all members together."""
_OUTPUT: Final = 2 << 30
_SESSION: Final = r"(?P<session>main|exec-[0-9]{1,6})"
_SIZES: Final = (
    (re.compile(re.escape(FACTS)), _MIB),
    (re.compile(re.escape(SPEC)), 4 * _MIB),
    (re.compile(re.escape(TRAFFIC)), _OUTPUT),
    (re.compile(re.escape(EVENTS)), 32 * _MIB),
    (re.compile(re.escape(AUDIT)), 512 * _MIB),
    (re.compile(re.escape(CHANGES)), 32 * _MIB),
    (re.compile(re.escape(CONTENTS)), 64 * _MIB),
    (re.compile(rf"journal/{_SESSION}/[0-9]{{8}}\.(?:stdout|stderr)"), _OUTPUT),
    (re.compile(rf"journal/{_SESSION}/[0-9]{{8}}\.index"), 64 * _MIB),
    (re.compile(rf"sessions/{_SESSION}\.json"), 4 * _MIB),
    (re.compile(rf"exit/{_SESSION}\.json"), _MIB),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the index knows of a run, and what was done to it for the export."""

    format: int
    moat: str
    """The version that has written the file."""
    id: str
    name: str
    state: str
    exit_code: int | None = None
    error: str | None = None
    started_at: str | None = None
    stopped_at: str | None = None
    masked: bool = False
    """Values of variables and passwords were taken out of the specification."""


def largest(name: str) -> int | None:
    """Return the size that a member of this name may have; `None`: a run has no such member."""
    return next((size for pattern, size in _SIZES if pattern.fullmatch(name)), None)
