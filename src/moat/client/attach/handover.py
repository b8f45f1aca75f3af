"""The launcher's word to the Python command that it becomes, when an attach turned out to be unusual.

The launcher (`launcher/moat.c`) carries out a plain `moat attach` by itself. It has given the terminal's
line discipline back; what else there is to do is said here.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from moat import typed_json
from moat.errors import MoatError
from moat.wire.messages import Exited

VARIABLE = "MOAT_HANDOVER"
"""Holds the number of a descriptor."""


@dataclass(frozen=True, slots=True)
class Handover:
    run: str
    what: Literal["refused", "lost", "silent", "ended"]
    """The supervisor did not take the terminal; it died; it hangs; the session has ended."""
    held: str
    """Input that the supervisor had read and the program had not taken, in hexadecimal."""
    pasting: bool = False
    ended: Exited | None = None

    @property
    def was_painted(self) -> bool:
        """Modes of the program may be on in the terminal, and nobody else turns them off."""
        return self.what in {"lost", "silent"}


def received() -> Handover | None:
    """Return what the launcher has written, if it has; at most once. Raises `MoatError` for nonsense."""
    number = os.environ.pop(VARIABLE, None)
    if number is None:
        return None
    try:
        fd = int(number)
        text = Path(f"/proc/self/fd/{fd}").read_bytes()
        os.close(fd)
        handover = typed_json.read(Handover, typed_json.parse(text))
        bytes.fromhex(handover.held)
    except (OSError, ValueError) as exc:
        raise MoatError(f"{VARIABLE} is not from Moat's launcher: {exc}", "Unset it") from exc
    return handover
