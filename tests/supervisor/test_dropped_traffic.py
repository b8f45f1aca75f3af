"""Entries that the record of the network dropped, as events."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moat.egress.traffic.room import Dropped
from moat.supervisor.dropped_traffic import DroppedTraffic

if TYPE_CHECKING:
    from tests.supervisor.conftest import Machine, Run


def _shown(run: Run) -> list[tuple[int, float, float]]:
    return [
        (each["entries"], each["since"], each["until"])
        for each in run.events
        if each["event"] == "traffic_dropped"
    ]


async def test_it_is_an_event_at_once_and_then_together(machine: Machine) -> None:
    """The first is told at once, and what follows is one event with the whole span of time."""
    async with machine.supervised() as run:
        dropped = DroppedTraffic(run.supervisor.context)
        for number in range(100):
            dropped.add(Dropped(10, number, number + 0.5))
        assert _shown(run) == [(10, 0, 0.5)]
        dropped.flush()
        dropped.flush()
        assert _shown(run) == [(10, 0, 0.5), (990, 1, 99.5)]


async def test_nothing_is_kept_back_for_longer_than_a_window(machine: Machine) -> None:
    """What was counted is told at the end of the window, and a quiet window ends the counting."""
    async with machine.supervised() as run:
        dropped = DroppedTraffic(run.supervisor.context)
        dropped.add(Dropped(1, 1, 1))
        dropped.add(Dropped(2, 2, 2))
        dropped._window_over()
        assert _shown(run) == [(1, 1, 1), (2, 2, 2)]
        dropped._window_over()
        dropped.add(Dropped(3, 3, 3))
        assert _shown(run)[2:] == [(3, 3, 3)]
        dropped.flush()
