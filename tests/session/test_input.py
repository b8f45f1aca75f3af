"""Input on its way to a program that may not read it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from tests.scripted_io import ScriptedIO

from moat.session.input import InputQueue


def ignore(_count: int) -> None:
    pass


def test_what_there_is_room_for_goes_at_once() -> None:
    """No turn of a loop lies between a key and the program."""
    io = ScriptedIO()
    taken: list[int] = []
    InputQueue(io).write(b"key", taken.append)
    assert (io.input, taken) == (b"key", [3])


def test_the_rest_waits_for_room() -> None:
    """In order, each sender hears of its own bytes, and nobody asks a program that has read all."""
    io = ScriptedIO(room=2)
    one: list[int] = []
    other: list[int] = []
    queue = InputQueue(io)
    queue.write(b"abcd", one.append)
    queue.write(b"ef", other.append)
    assert io.read(room=3) == b"ab"
    assert io.read() == b"cde"
    assert io.read() == b"f"
    assert (sum(one), sum(other)) == (4, 2)
    assert not io.watched


def test_the_end_comes_behind_what_is_queued() -> None:
    """The program reads it when it has read the rest; once."""
    io = ScriptedIO(room=1)
    queue = InputQueue(io)
    queue.write(b"abc", ignore)
    queue.end()
    assert not io.input_ended
    io.read()
    assert io.input_ended
    io.input_ended = False
    queue.write(b"late", ignore)
    assert not io.input_ended


def test_the_end_of_no_input_comes_at_once() -> None:
    """As for `moat run -i < /dev/null`."""
    io = ScriptedIO()
    InputQueue(io).end()
    assert io.input_ended


def test_what_is_queued_at_the_end_counts_as_taken() -> None:
    """Its sender would wait for ever for a program that is gone."""
    io = ScriptedIO(room=1)
    taken: list[int] = []
    queue = InputQueue(io)
    queue.write(b"abc", taken.append)
    queue.write(b"de", taken.append)
    queue.end()
    queue.close()
    assert taken == [1, 2, 2]
    assert not io.watched
    assert not io.input_ended
    queue.write(b"more", taken.append)
    assert taken[3:] == [4]
    queue.close()


def test_without_a_program_input_counts_as_taken() -> None:
    """A session may be watched before and after its program is there."""
    taken: list[int] = []
    queue = InputQueue(None)
    queue.write(b"abc", taken.append)
    queue.end()
    assert taken == [3]


@given(
    steps=st.lists(st.binary(max_size=6) | st.integers(0, 9), max_size=30),
    room=st.integers(0, 9),
)
def test_any_pace(steps: list[bytes | int], room: int) -> None:
    """However input comes and however much the program reads at a time: all of it, in order."""
    io = ScriptedIO(room=room)
    taken: list[int] = []
    queue = InputQueue(io)
    got = b""
    for step in steps:
        if isinstance(step, bytes):
            queue.write(step, taken.append)
        else:
            got += io.read(step)
        assert sum(taken) == len(got) + len(io.input)
    queue.end()
    got += io.read()
    got += io.read()
    assert got == b"".join(step for step in steps if isinstance(step, bytes))
    assert io.input_ended
    assert not io.watched
