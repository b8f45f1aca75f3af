"""A keyboard that the supervisor reads, from the side of the client that has lent it.

The client reads no key, and wakes up for hardly any. It keeps what the supervisor has read and the
program has not taken, in case that supervisor dies; and it takes the keyboard back from one that hangs.
"""

from __future__ import annotations

import select
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from moat.client.display.output import STDIN
from moat.wire import frames
from moat.wire.frames import FrameType

if TYPE_CHECKING:
    from moat.client.connect.channel import Channel

# A supervisor reads a key at once, unless the program takes no more input.
UNREAD_S: Final = 1.0
ANSWER_S: Final = 2.0
LENDING_LEVEL: Final = 3
"""See `messages.LEVEL`."""


@dataclass(slots=True)
class Typed:
    """Input on its way to the program, over all the supervisors that it takes."""

    held: bytearray = field(default_factory=bytearray)
    pasting: bool = False


class Loan:
    """The keyboard of one view."""

    def __init__(self, channel: Channel, typed: Typed, *, lent: bool) -> None:
        self._channel = channel
        self._typed = typed
        self.lent = lent
        """The supervisor reads; otherwise the client does."""
        self.deadline: float | None = None
        """Time at which to see whether a key was read; `None` while none is known to wait."""
        self._asked = False

    @property
    def watched(self) -> bool:
        """Wait until something is typed, to see then whether it is read."""
        return self.lent and self.deadline is None

    def begin(self) -> None:
        """Give the supervisor what the last one held, and then the keyboard."""
        if self.lent and self._typed.held:
            self._channel.send_input(bytes(self._typed.held), FrameType.INPUT)
            self._typed.held.clear()
            self._channel.send(FrameType.RESUME)

    def noticed(self, now: float) -> None:
        """Something was typed, and waits to be read."""
        self.deadline = now + UNREAD_S

    def expire(self, now: float) -> None:
        if self.deadline is None or now < self.deadline:
            return
        self.deadline = None
        if not self.lent or not select.select([STDIN], [], [], 0)[0]:
            return
        if self._asked:
            # It was stopped, or hangs. Should it go on, it finds this before the next key.
            self.lent = False
            self._channel.send(FrameType.TAKE_BACK)
        else:
            self._asked = True
            self.deadline = now + ANSWER_S
            self._channel.send(FrameType.PING)

    def frame(self, kind: int, payload: bytes) -> None:
        """Take a frame, which may be about something else."""
        match kind:
            case FrameType.NOT_LENT:
                self.lent = False
            case FrameType.PONG:
                self._asked, self.deadline = False, None
            case FrameType.HELD:
                self._typed.held += payload
            case FrameType.TAKEN:
                (count,) = frames.COUNT.unpack(payload)
                del self._typed.held[:count]
            case FrameType.PASTING:
                self._typed.pasting = payload != b"\0"
            case _:
                pass
