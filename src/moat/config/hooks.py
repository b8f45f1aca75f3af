"""`on_event` in the user's settings: commands that are started when something happens to a run.

A project's file has no such field: it would start programs on the host.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final, get_args

from moat.config.fields import Field
from moat.events import Event
from moat.spec import EventHook

if TYPE_CHECKING:
    from collections.abc import Sequence

KINDS: Final = tuple(sorted(kind.KIND for kind in get_args(Event)))


def _check_command(words: Sequence[str]) -> None:
    if not words or not words[0]:
        raise ValueError("it has no word")
    first = words[0]
    if "/" in first and not first.startswith(("/", "~/")):
        raise ValueError(f"{first!r} is relative: begin it with / or ~/, or give a name alone")


def _check_event(kind: str) -> None:
    if kind not in KINDS:
        raise ValueError(f"there is no event {kind!r}; known: {', '.join(KINDS)}")


def _check_hook(hook: dict[str, Any]) -> None:
    for name in ("command", "events"):
        if not hook.get(name):
            raise ValueError(f"{name} is missing")


FIELD: Final = Field(
    "objects",
    "Commands of yours that are started on the host, without a shell, when something happens to a run.",
    each=_check_hook,
    fields={
        "command": Field(
            "strings",
            "Words of the command, which gets the event as a line of JSON on its standard input. The"
            " first is an absolute path, or a name that is looked for in the system's folders.",
            _check_command,
        ),
        "events": Field(
            "strings",
            "Kinds of events, as moat events prints them: waiting_changed, question_asked, ...",
            each=_check_event,
        ),
    },
)


def event_hooks(given: Sequence[dict[str, Any]]) -> tuple[EventHook, ...]:
    """Return the hooks of a checked file, with `~` as the user's home."""
    return tuple(
        EventHook(command=_command(each["command"]), events=tuple(each["events"])) for each in given
    )


def _command(words: Sequence[str]) -> tuple[str, ...]:
    return os.path.expanduser(words[0]), *words[1:]  # noqa: PTH111  a name alone stays one
