"""Permission for a run's programs to write to the clipboard of the terminal that leads. Pure.

They may never read it. A write that comes before the user has answered is kept, so that the answer gives
what was copied: the newest, for a clipboard has one content.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

Setting = Literal["ask", "pass", "drop"]


class Clipboard:
    """The user's decision about one run, and the write that waits for it."""

    def __init__(self, setting: Setting, asked: Callable[[], None]) -> None:
        """`asked` is called when the user is to be asked, and when nothing is to be asked any more."""
        self._setting = setting
        self._asked = asked
        self._kept: tuple[bytes, Callable[[bytes], None]] | None = None

    @property
    def asks(self) -> bool:
        """A program wants to write, and the user has not said yet whether it may."""
        return self._kept is not None

    def write(self, sequence: bytes, deliver: Callable[[bytes], None]) -> None:
        """Deliver the write, now or once the user allows it; or drop it."""
        if self._setting == "pass":
            deliver(sequence)
        elif self._setting == "ask":
            before, self._kept = self._kept, (sequence, deliver)
            if before is None:
                self._asked()

    def answer(self, *, allow: bool) -> None:
        """Take the user's answer, for this write and all others of the run."""
        self._setting = "pass" if allow else "drop"
        kept, self._kept = self._kept, None
        if kept is not None:
            sequence, deliver = kept
            if allow:
                deliver(sequence)
            self._asked()
