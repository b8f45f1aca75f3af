"""Hooks: commands on the host for events of a run, from the user's settings. Pure."""

from dataclasses import dataclass
from typing import Literal

Notify = Literal["off", "bell", "desktop"]
"""Ways to tell the user that a run wants them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventHook:
    """A command that is started when an event of one of these kinds happens."""

    command: tuple[str, ...]
    """The command's words; the first is an absolute path, or a name to find in the system's folders."""
    events: tuple[str, ...]
