"""The JSON messages of the page, checked. Pure.

The page sends each as text, with its kind in `type`. Bytes are what the user has typed.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from moat import typed_json

MAX_BYTES: Final = 128 * 1024
"""The size of a message. The page sends what was typed in smaller pieces."""
_MOST_CELLS: Final = 1000
_MOST_PIXELS: Final = 0xFFFF


@dataclass(frozen=True, slots=True)
class Opening:
    """The first message on each connection."""

    secret: str


@dataclass(frozen=True, slots=True)
class OpenTerminal:
    run: str
    columns: int
    rows: int
    width: int = 0
    """The terminal's size in pixels, 0 where the page doesn't know it."""
    height: int = 0
    read_only: bool = False

    def __post_init__(self) -> None:
        _check_size(self.columns, self.rows, self.width, self.height)


@dataclass(frozen=True, slots=True)
class Resize:
    columns: int
    rows: int
    width: int = 0
    height: int = 0

    def __post_init__(self) -> None:
        _check_size(self.columns, self.rows, self.width, self.height)


@dataclass(frozen=True, slots=True)
class Drawn:
    """A number of bytes that the terminal has drawn since the last message of this kind."""

    bytes: int


@dataclass(frozen=True, slots=True)
class OpenTraffic:
    run: str


@dataclass(frozen=True, slots=True)
class ShowEnded:
    """Whether the list has the runs that have ended."""

    shown: bool


@dataclass(frozen=True, slots=True)
class AskQuestions:
    """The question which questions of a run wait for an answer."""

    run: str


@dataclass(frozen=True, slots=True)
class AnswerQuestion:
    run: str
    name: str
    allow: bool


Message = (
    Opening
    | OpenTerminal
    | Resize
    | Drawn
    | OpenTraffic
    | ShowEnded
    | AskQuestions
    | AnswerQuestion
)
M = TypeVar("M", bound=Message)

_TYPES: Final[Mapping[str, type[Message]]] = {
    "opening": Opening,
    "open_terminal": OpenTerminal,
    "resize": Resize,
    "drawn": Drawn,
    "open_traffic": OpenTraffic,
    "show_ended": ShowEnded,
    "ask_questions": AskQuestions,
    "answer_question": AnswerQuestion,
}


def read(text: str | bytes) -> Message:
    """Return a message. Raises `ValueError`, also for bytes."""
    if isinstance(text, bytes):
        raise ValueError("bytes where a message belongs")  # noqa: TRY004  of the peer's, not of ours
    fields = dict(typed_json.object_of(typed_json.parse(text), "the message"))
    kind = _TYPES.get(str(fields.pop("type", "")))
    if kind is None:
        raise ValueError("a message of an unknown type")
    return typed_json.read(kind, fields)


def read_as(kind: type[M], text: str | bytes) -> M:
    """Return the message, which must be of that kind. Raises `ValueError`."""
    message = read(text)
    if not isinstance(message, kind):
        wrong = f"a message {type(message).__name__} where {kind.__name__} belongs"
        raise ValueError(wrong)  # noqa: TRY004  as above
    return message


def write(kind: str, **fields: Any) -> str:
    """Return a message for the page."""
    return json.dumps({"type": kind} | fields)


def _check_size(columns: int, rows: int, width: int, height: int) -> None:
    if not (0 < columns <= _MOST_CELLS and 0 < rows <= _MOST_CELLS):
        raise ValueError("a terminal of an impossible size")
    if not (0 <= width <= _MOST_PIXELS and 0 <= height <= _MOST_PIXELS):
        raise ValueError("a terminal of an impossible size in pixels")
