"""The JSON payloads of frames and API answers, typed.

Unknown fields are ignored, since the other side may be newer. The types of known ones are checked.
"""

import json
from dataclasses import asdict, dataclass
from typing import Final, TypeVar

from moat import typed_json
from moat.paths import MAIN_SESSION

PROTOCOL = 1
UPGRADE = f"moat-attach/{PROTOCOL}"

LEVEL: Final = 3
"""1: REPORT, HINT, and pixels in RESIZE. 2: OVERLAY. 3: the keyboard can be lent (`Hello.keyboard`)."""


@dataclass(frozen=True, slots=True)
class Keyboard:
    """The keyboard of a terminal that is passed, for the supervisor to read. See `KeyMachine`."""

    prefix: str
    """Hexadecimal."""
    takes_input: bool
    prefix_timeout: float
    interrupt_window: float
    pasting: bool = False
    """The last supervisor died in the middle of pasted text."""
    later: bool = False
    """Nothing is read before a RESUME: input that the last supervisor held comes first."""


@dataclass(frozen=True, slots=True)
class Hello:
    """A viewer, and the things that it wants to see."""

    session: str = MAIN_SESSION
    columns: int = 0
    """The size of the viewer's terminal, 0 where it has none."""
    rows: int = 0
    terminal: bool = False
    """The viewer's output is a terminal, to be painted with the screen of a TTY session."""
    passed: bool = False
    """The terminal's descriptor comes beside this frame, for the supervisor to paint it directly."""
    read_only: bool = False
    stdout: int = -1
    """The offset in the journal at which a viewer of streams begins; -1: where `tail` says."""
    stderr: int = -1
    tail: int = -1
    """The number of last lines to begin with, for offsets of -1; -1: all lines; 0: only new output."""
    scrollback: bool = True
    """Paint what has scrolled off the screen, too."""
    width: int = 0
    """The size of the viewer's terminal in pixels, 0 where it doesn't know."""
    height: int = 0
    status_row: bool = True
    """Show lines of Moat's own on the terminal's last row."""
    keyboard: Keyboard | None = None
    """The supervisor reads what is typed on the terminal; `None`: it comes as INPUT. For level 3."""


@dataclass(frozen=True, slots=True)
class Welcome:
    """The supervisor's answer to `Hello`."""

    version: str
    tty: bool
    interactive: bool
    painted: bool = False
    """The supervisor paints the terminal itself: no STDOUT frames follow."""
    stdout: int = 0
    """The offset of the first byte of STDOUT that follows."""
    stderr: int = 0
    level: int = 0
    """The level of the protocol that the supervisor understands: nothing of a higher level is sent."""


@dataclass(frozen=True, slots=True)
class Exited:
    exit_code: int | None
    """128 + n for signal n, like in a shell; `None` where nobody saw it (state `lost`)."""
    state: str = "stopped"
    because: str = ""
    """Why the run was stopped, where no user asked for that."""


NO_SESSION: Final = "no_session"
"""A `Failure.code`: the session ended before the client came, or has never been."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A `MoatError` on its way to the user."""

    summary: str
    hint: str | None = None
    code: str = "error"


Message = Hello | Welcome | Exited | Failure
M = TypeVar("M", bound=Message)


def pack(message: Message) -> bytes:
    # JSON escapes the surrogates of a path or an argument that isn't valid UTF-8.
    return json.dumps(asdict(message)).encode()


def unpack(kind: type[M], payload: bytes) -> M:
    """Raise `ValueError` where the payload is not a message of that kind."""
    return typed_json.read(kind, typed_json.parse(payload), ignore_unknown=True)
