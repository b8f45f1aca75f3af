"""What Ctrl-C means to a run that takes no input, by a clock that the test holds."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from moat.keyboard.interrupts import Interrupts, Verdict


def test_the_first_only_warns() -> None:
    """And says until when a second one counts."""
    interrupts = Interrupts(window=1.5)
    assert interrupts.deadline is None
    assert interrupts.pressed(10.0) is Verdict.WARN
    assert interrupts.deadline == 11.5


def test_a_second_within_the_window_stops_the_run() -> None:
    """Nothing waits any more then: a third begins anew."""
    interrupts = Interrupts(window=1.5)
    interrupts.pressed(10.0)
    assert interrupts.pressed(11.4) is Verdict.STOP
    assert interrupts.deadline is None
    assert interrupts.expired(100.0) is None
    assert interrupts.pressed(11.5) is Verdict.WARN


def test_a_window_that_closes_detaches_once() -> None:
    """Not a moment before, and not again."""
    interrupts = Interrupts(window=1.5)
    interrupts.pressed(10.0)
    assert interrupts.expired(11.4) is None
    assert interrupts.expired(11.5) is Verdict.DETACH
    assert interrupts.expired(20.0) is None
    assert interrupts.deadline is None


def test_a_late_second_never_stops() -> None:
    """Where the client was suspended and asks late, a key meant as a first one stays one."""
    interrupts = Interrupts(window=1.5)
    interrupts.pressed(10.0)
    assert interrupts.pressed(12.0) is Verdict.WARN
    assert interrupts.deadline == 13.5


def test_without_a_press_nothing_happens() -> None:
    """However long the client watches."""
    assert Interrupts().expired(1e9) is None


@given(steps=st.lists(st.tuples(st.integers(0, 30), st.booleans()), max_size=30))
def test_the_run_is_stopped_by_two_that_are_close(steps: list[tuple[int, bool]]) -> None:
    """Whatever came before; and each warning is followed by one verdict, or by another warning."""
    interrupts = Interrupts(window=15)
    now, warned = 0, None
    for passed, press in steps:
        now += passed
        verdict = interrupts.pressed(now) if press else interrupts.expired(now)
        if verdict is Verdict.WARN:
            assert warned is None or now - warned > 15
            warned = now
        elif verdict is not None:
            assert warned is not None
            assert (now - warned <= 15) if verdict is Verdict.STOP else (now - warned >= 15)
            warned = None
        assert interrupts.deadline == (None if warned is None else warned + 15)
