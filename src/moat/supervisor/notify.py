"""Messages on the user's desktop about a run that wants them. Pure.

No text of the program's is in it: kinds of waits are words of ours, and the run's name is the user's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moat.events import LimitUsedUp, QuestionAsked, StateChanged, WaitingChanged
from moat.runs.states import ENDED

if TYPE_CHECKING:
    from moat.events import Event

_ENDED: Final = frozenset(map(str, ENDED))
_SCRIPT: Final = (
    "on run argv",
    "display notification (item 2 of argv) with title (item 1 of argv)",
    "end run",
)


def message(event: Event) -> str:
    """Return what an event says to somebody who isn't there; empty where it is no matter for them."""
    match event:
        case WaitingChanged(waits_for) if waits_for:
            return f"waits for you: {waits_for}"
        case QuestionAsked():
            return "a request of its waits for your answer"
        case LimitUsedUp(limit):
            return f"has used up its limit of {limit}"
        case StateChanged(after=after, exit_code=code) if after in _ENDED:
            return f"is {after}" if code is None else f"is {after} with exit code {code}"
        case _:
            return ""


def commands(title: str, text: str) -> tuple[tuple[str, ...], ...]:
    """Return the commands that show a notification, of which the first that is installed will do."""
    script = tuple(word for line in _SCRIPT for word in ("-e", line))
    return (
        ("notify-send", "--app-name=Moat", "--", title, text),
        ("osascript", *script, "--", title, text),
    )
