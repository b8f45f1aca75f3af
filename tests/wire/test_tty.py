"""A terminal's attributes as JSON."""

from __future__ import annotations

import os
import termios
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moat.platform import tty as lines
from moat.wire import tty

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def terminal() -> Iterator[int]:
    """The program's side of a pty."""
    ours, theirs = os.openpty()
    yield theirs
    os.close(ours)
    os.close(theirs)


def _set(fd: int, attributes: lines.Attributes) -> lines.Attributes:
    termios.tcsetattr(fd, termios.TCSANOW, attributes)
    return termios.tcgetattr(fd)


@pytest.mark.parametrize("change", [lines.raw, lines.unbuffered, lambda attributes: attributes])
def test_attributes_survive_the_wire(terminal: int, change: object) -> None:
    """With line input on and off, which Python tells apart."""
    assert callable(change)
    attributes = _set(terminal, change(termios.tcgetattr(terminal)))
    decoded = tty.decode(tty.encode(attributes))
    assert decoded == attributes
    assert _set(terminal, decoded) == attributes


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text() | st.floats(),
        lambda inner: st.lists(inner, max_size=8),
    ).filter(lambda value: isinstance(value, list))
)
def test_nonsense_from_the_wire_is_an_error(given_: list[object]) -> None:
    """`ValueError`, and nothing else."""
    try:
        tty.decode(given_)
    except ValueError:
        return
    assert len(given_) == 7
