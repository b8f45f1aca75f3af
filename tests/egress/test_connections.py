"""The table of connections: how many are served, which make room, and which end by themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from moat.egress.connections import ConnectionTable
from moat.spec.network import Timeouts

if TYPE_CHECKING:
    from collections.abc import Callable


class SteppedLoop:
    """The part of a loop that the table needs; timers fire when the test says so."""

    def __init__(self) -> None:
        self.timers: list[Timer] = []

    def call_later(self, _delay: float, callback: Callable[[], None]) -> Timer:
        self.timers.append(Timer(callback))
        return self.timers[-1]

    def fire(self) -> None:
        timers, self.timers = self.timers, []
        for timer in timers:
            if not timer.cancelled:
                timer.callback()


class Timer:
    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback = callback
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class Client:
    """A connection that reports nothing by itself."""

    def __init__(self, *, idle: bool = False, waiting_since: float = 0.0) -> None:
        self.idle = idle
        self.waiting_since = waiting_since
        self.calls: list[str] = []

    def check(self, _now: float, _timeouts: Timeouts) -> None:
        self.calls.append("check")

    def reconsider(self) -> None:
        self.calls.append("reconsider")

    def close(self) -> None:
        self.calls.append("close")


class Setting:
    def __init__(self, limit: int) -> None:
        self.loop = SteppedLoop()
        self.upstream_left = False
        self.room = 0
        """How often the listeners were told that there is room."""
        self.table = ConnectionTable(
            limit,
            Timeouts(),
            self.loop,  # type: ignore[arg-type]
            sweep_upstream=lambda: self.upstream_left,
            on_room=self._count,
        )

    def _count(self) -> None:
        self.room += 1


@pytest.fixture
def setting() -> Setting:
    return Setting(limit=2)


def test_connections_are_counted_from_their_acceptance(setting: Setting) -> None:
    """One that nobody serves yet takes its place, too, and every end is told to the listeners."""
    table = setting.table
    table.accepted()
    table.opened(client := Client())
    assert not table.has_room()
    table.classified()
    assert table.has_room()
    table.closed(client)
    assert setting.room == 2


def test_the_one_that_has_waited_longest_makes_room(setting: Setting) -> None:
    """Only one is closed for each new connection, and only one that waits for a request."""
    busy, old, new = (
        Client(),
        Client(idle=True, waiting_since=1),
        Client(idle=True, waiting_since=2),
    )
    table = Setting(limit=3).table
    for each in (busy, old, new):
        table.opened(each)

    assert table.has_room()
    assert [each.calls for each in (busy, old, new)] == [[], ["close"], []]
    table.closed(old)  # its own report comes later
    table.accepted()
    assert table.has_room()
    assert new.calls == ["close"]
    table.accepted()
    assert not table.has_room()
    assert busy.calls == []


def test_nothing_makes_room_for_what_waits_to_be_classified(setting: Setting) -> None:
    """A flood of silent connections doesn't close those that are served."""
    table = setting.table
    table.opened(idle := Client(idle=True))
    table.accepted()
    table.accepted()
    assert not table.has_room()
    assert idle.calls == []


def test_one_timer_looks_after_all_while_anything_is_open(setting: Setting) -> None:
    """It stops when no connection of either side is left, and starts again with the next one."""
    table, loop = setting.table, setting.loop
    table.opened(client := Client())
    table.opened(Client())
    assert len(loop.timers) == 1
    loop.fire()
    assert client.calls == ["check"]
    table.closed(client)
    table.close()
    assert all(timer.cancelled for timer in loop.timers)

    setting = Setting(limit=2)
    table, loop = setting.table, setting.loop
    table.opened(client)
    table.closed(client)
    setting.upstream_left = True
    loop.fire()
    assert len(loop.timers) == 1
    setting.upstream_left = False
    loop.fire()
    assert loop.timers == []
    table.opened(client)
    assert len(loop.timers) == 1


def test_all_are_decided_again_and_all_are_closed(setting: Setting) -> None:
    """By a change of the policy, and by the end of the run."""
    clients = [Client(), Client(idle=True)]
    for each in clients:
        setting.table.opened(each)
    setting.table.reconsider()
    setting.table.close()
    assert [each.calls for each in clients] == [["reconsider", "close"]] * 2
