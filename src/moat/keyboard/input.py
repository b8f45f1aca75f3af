"""Standard input, as actions. No I/O; the caller brings the clock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from moat.keyboard.keys import Action as KeyAction
from moat.keyboard.keys import Send

if TYPE_CHECKING:
    from moat.keyboard.keys import KeyMachine


# Who knows the next key types it sooner.
HINT_AFTER_S: Final = 0.3


class EndOfInput(NamedTuple):
    """No more comes: the program reads end of file."""


Action = KeyAction | EndOfInput


class Input:
    """Standard input: through a `KeyMachine` where somebody types, otherwise byte for byte."""

    def __init__(self, machine: KeyMachine | None, *, takes_input: bool) -> None:
        """`takes_input`: input goes to the program. Otherwise its end means nothing, either."""
        self._machine = machine
        self._takes_input = takes_input
        self.is_open = takes_input or machine is not None
        """More is to be read."""
        self.deadline: float | None = None
        """Time at which `expire` decides about keys that are held back; `None` while there are none."""
        self.hint_deadline: float | None = None
        """Time at which to say what may follow the prefix; `None` where none was typed."""

    @property
    def pasting(self) -> bool:
        """See `KeyMachine`."""
        return self._machine is not None and self._machine.pasting

    def feed(self, data: bytes, now: float) -> list[Action]:
        """Return the actions for what was read; nothing read is the end."""
        if not data:
            self.is_open = False
            return [*self.finish(), *([EndOfInput()] if self._takes_input else [])]
        if self._machine is None:
            return [Send(data)]
        actions = self._machine.feed(data)
        self.deadline = now + self._machine.patience if self._machine.pending else None
        if not self._machine.holds_prefix:
            self.hint_deadline = None
        elif self.hint_deadline is None:
            self.hint_deadline = now + HINT_AFTER_S
        return [*actions]

    def expire(self, now: float) -> list[Action]:
        """Return the actions for keys that nothing has followed in time."""
        if self.deadline is None or now < self.deadline:
            return []
        return self.finish()

    def finish(self) -> list[Action]:
        """Return the actions for keys that nothing will follow: a prefix that was typed is not lost."""
        self.deadline = self.hint_deadline = None
        return [] if self._machine is None else [*self._machine.timeout()]
