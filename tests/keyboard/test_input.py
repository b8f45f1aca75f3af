"""Standard input as actions: keys where somebody types, bytes otherwise."""

from __future__ import annotations

from moat.client.attach.endings import Detached
from moat.keyboard.input import HINT_AFTER_S, EndOfInput, Input
from moat.keyboard.key_names import parse_escape_prefix
from moat.keyboard.keys import Command, KeyMachine, Send
from moat.wire.messages import Exited


def keyboard(*, takes_input: bool = True) -> Input:
    return Input(KeyMachine(parse_escape_prefix("ctrl-/")), takes_input=takes_input)


def test_bytes_pass_where_nobody_types() -> None:
    """A pipe has no keys: the prefix is a byte like any other, and nothing is held back."""
    pipe = Input(None, takes_input=True)
    assert pipe.feed(b"a\x1fd", 0.0) == [Send(b"a\x1fd")]
    assert pipe.deadline is None
    assert pipe.finish() == []


def test_the_end_of_a_pipe_reaches_the_program() -> None:
    """After it nothing is read any more."""
    pipe = Input(None, takes_input=True)
    assert pipe.feed(b"", 0.0) == [EndOfInput()]
    assert not pipe.is_open


def test_keys_are_recognised_where_somebody_types() -> None:
    """The prefix and a letter are an action, everything else is for the program."""
    assert keyboard().feed(b"a\x1fd", 0.0) == [Send(b"a"), Command.DETACH]


def test_a_lone_prefix_is_delivered_after_its_time() -> None:
    """Not before, and only once."""
    typed = keyboard()
    assert typed.feed(b"\x1f", 10.0) == []
    deadline = typed.deadline
    assert deadline is not None
    assert deadline > 10.0
    assert typed.expire(deadline - 0.001) == []
    assert typed.expire(deadline) == [Send(b"\x1f")]
    assert typed.deadline is None
    assert typed.expire(deadline + 1) == []


def test_a_prefix_at_the_end_of_input_is_not_lost() -> None:
    """What was held back goes before the end does."""
    typed = keyboard()
    typed.feed(b"\x1f", 0.0)
    assert typed.feed(b"", 0.0) == [Send(b"\x1f"), EndOfInput()]


def test_a_program_without_input_is_told_of_no_end() -> None:
    """Its keyboard is read for keys alone; without keys it is not read at all."""
    assert keyboard(takes_input=False).feed(b"", 0.0) == []
    assert not Input(None, takes_input=False).is_open


def test_endings_are_compared_by_what_they_say() -> None:
    """A detached client and one whose session has ended leave differently."""
    assert Detached("") != Exited(0)
    assert Detached("x") == Detached("x")


def test_a_hint_is_due_while_a_prefix_waits() -> None:
    """For as long as nobody knows what it means, even if it waits for ever."""
    typed = Input(KeyMachine(b"\x1f", timeout=0), takes_input=True)
    typed.feed(b"x", 0.0)
    assert typed.hint_deadline is None
    typed.feed(b"\x1f", 1.0)
    assert (typed.deadline, typed.hint_deadline) == (None, 1.0 + HINT_AFTER_S)
    assert typed.expire(99.0) == []
    assert typed.feed(b"d", 100.0) == [Command.DETACH]
    assert typed.hint_deadline is None
    typed = keyboard()
    typed.feed(b"\x1f", 1.0)
    assert typed.expire(2.0) == [Send(b"\x1f")]
    assert typed.hint_deadline is None
