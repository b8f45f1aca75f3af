"""A terminal's attributes as `messages.Hello` carries them beside the descriptor."""

from __future__ import annotations

import termios
from typing import Any, cast

from moat.platform.tty import CC, LFLAG, Attributes


def encode(attributes: Attributes) -> list[Any]:
    """Return the attributes as JSON can hold them: control characters become numbers."""
    characters = [each if isinstance(each, int) else each[0] for each in attributes[CC]]
    return [*attributes[:CC], characters]


def decode(given: object) -> Attributes:
    """Return the attributes. Raises `ValueError` for anything that `encode` has not made."""
    fields = cast("list[Any]", given) if isinstance(given, list) else []
    if len(fields) != CC + 1 or not isinstance(fields[CC], list):
        raise ValueError("not the attributes of a terminal")
    numbers, characters = fields[:CC], cast("list[int]", fields[CC])
    if not all(isinstance(each, int) for each in (*numbers, *characters)):
        raise ValueError("not the attributes of a terminal")
    canonical = numbers[LFLAG] & termios.ICANON
    # VMIN and VTIME are numbers where line input is off, and characters where it is on.
    counts = () if canonical else (termios.VMIN, termios.VTIME)
    return [
        *numbers,
        [
            int(each) if position in counts else bytes([each])
            for position, each in enumerate(characters)
        ],
    ]
