"""Denials as events: each at once, repetitions counted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moat.supervisor.denials import Denials
from moat.supervisor.repeats import MAX_COUNTED

if TYPE_CHECKING:
    from tests.supervisor.conftest import Machine, Run


def shown(run: Run) -> list[tuple[str, int]]:
    return [(each["host"], each["count"]) for each in run.events if each["event"] == "denied"]


async def test_a_denial_is_an_event_at_once(machine: Machine) -> None:
    """With what was denied, by which rule, and why."""
    async with machine.supervised() as run:
        Denials(run.supervisor.context).add("https", "a.test", 443, "strict", "not allowed")
        (event,) = [each for each in run.events if each["event"] == "denied"]
        assert event | {"time": ""} == {
            "time": "",
            "event": "denied",
            "scheme": "https",
            "host": "a.test",
            "port": 443,
            "rule": "strict",
            "reason": "not allowed",
            "count": 1,
        }


async def test_repetitions_are_counted(machine: Machine) -> None:
    """They are told in one event at the end of the window."""
    async with machine.supervised() as run:
        denials = Denials(run.supervisor.context)
        for _ in range(1000):
            denials.add("https", "a.test", 443, "strict", "not allowed")
        denials.flush()
        denials.add("https", "a.test", 443, "strict", "not allowed")
        assert shown(run) == [("a.test", 1), ("a.test", 999), ("a.test", 1)]


async def test_a_hostile_program_fills_no_log(machine: Machine) -> None:
    """However many hosts it names, few are told by name and the others as a number."""
    async with machine.supervised() as run:
        denials = Denials(run.supervisor.context)
        for number in range(10_000):
            denials.add("https", f"{number}.test", 443, "strict", "not allowed")
        denials.flush()
        events = shown(run)
        assert len(events) == MAX_COUNTED + 1
        assert events[-1] == ("", 10_000 - MAX_COUNTED)
