"""Ends of an attached connection, other than by breaking."""

from __future__ import annotations

from dataclasses import dataclass

from moat.wire.messages import Exited


@dataclass(frozen=True, slots=True)
class Detached:
    reason: str
    """Empty where the user asked for it."""


Ending = Exited | Detached


class SupervisorSilentError(Exception):
    """The supervisor did not answer DETACH: it hangs, or was stopped. The client leaves without it."""


class OutputClosedError(Exception):
    """The reader of our output has gone (EPIPE)."""


class WriteInterruptedError(Exception):
    """A signal asks us to leave, while our reader doesn't read: it loses what it has not read."""
