"""The JSON payloads of frames and API answers, typed.

Reading is tolerant towards unknown fields (the other side may be newer) and strict about the kinds
of those it knows.
"""

import json
from dataclasses import asdict, dataclass
from typing import Final, TypeVar

from moat import typed_json

PROTOCOL = 1
UPGRADE = f"moat-attach/{PROTOCOL}"

MAIN_SESSION = "main"


@dataclass(frozen=True, slots=True)
class Hello:
    """What a viewer is and wants."""

    session: str = MAIN_SESSION
    columns: int = 0
    """0 where the viewer has no terminal."""
    rows: int = 0
    terminal: bool = False
    """The viewer's output is a terminal, to be painted with the screen of a TTY session."""
    passed: bool = False
    """The terminal's descriptor comes with this frame: the supervisor paints it directly."""
    read_only: bool = False
    stdout: int = -1
    """Offset in the journal from which a stream viewer wants stdout; -1: where `tail` says."""
    stderr: int = -1
    tail: int = -1
    """For offsets of -1: so many lines from the end; -1: all from the start; 0: only what comes."""
    scrollback: bool = True


@dataclass(frozen=True, slots=True)
class Welcome:
    """The supervisor's answer to `Hello`."""

    version: str
    tty: bool
    interactive: bool
    painted: bool = False
    """The supervisor paints the terminal itself; no STDOUT frames follow."""
    stdout: int = 0
    """Offset of the first byte of STDOUT that follows."""
    stderr: int = 0


@dataclass(frozen=True, slots=True)
class Exited:
    exit_code: int | None
    """As a shell's: 128 + n for a signal; `None` where nobody saw it (state `lost`)."""
    state: str = "stopped"


# A `Failure.code`: the session was over and done with before the client came, or never was.
NO_SESSION: Final = "no_session"


@dataclass(frozen=True, slots=True)
class Failure:
    """A `MoatError` on its way to the user."""

    summary: str
    hint: str | None = None
    code: str = "error"


Message = Hello | Welcome | Exited | Failure
M = TypeVar("M", bound=Message)


def pack(message: Message) -> bytes:
    # Escaped: a path or an argument that is no UTF-8 goes over the wire like any other.
    return json.dumps(asdict(message)).encode()


def unpack(kind: type[M], payload: bytes) -> M:
    """Raises `ValueError` when the payload is not such a message."""
    return typed_json.read(kind, typed_json.parse(payload), ignore_unknown=True)
