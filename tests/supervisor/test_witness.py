"""When a supervisor starts the process that asks witnesses."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from moat.runs import unwitnessed
from moat.supervisor import witness
from moat.supervisor.witness import WitnessStarter

if TYPE_CHECKING:
    from pathlib import Path

RUN = "0123456789ab"


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The arguments of the processes that were started."""
    found: list[list[str]] = []

    def spawn(_: str, arguments: list[str], *__: object, **___: object) -> int:
        found.append(arguments)
        return 1

    monkeypatch.setattr(os, "posix_spawn", spawn)
    return found


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, in a list that a test changes."""
    now = [1000.0]
    monkeypatch.setattr(witness.time, "monotonic", lambda: now[0])
    return now


def test_without_witnesses_there_is_no_process(
    tmp_path: Path, started: list[list[str]], clock: list[float]
) -> None:
    """Most users have none."""
    WitnessStarter(tmp_path, RUN).signed(last=True)
    assert started == []
    assert clock


def test_at_most_once_a_minute_and_at_the_end(
    tmp_path: Path, started: list[list[str]], clock: list[float]
) -> None:
    """A run may make a checkpoint several times a second."""
    unwitnessed.mark(tmp_path, RUN)
    starter = WitnessStarter(tmp_path, RUN)
    starter.signed()
    assert started[0][-3:] == ["moat.client.witness", str(tmp_path), RUN]
    clock[0] += witness.EVERY_S - 1
    starter.signed()
    assert len(started) == 1
    clock[0] += 1
    starter.signed()
    assert len(started) == 2
    starter.signed(last=True)
    assert len(started) == 3


def test_a_process_that_can_not_be_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The run stays in the queue, and goes on."""

    def fail(*_: object, **__: object) -> int:
        raise BlockingIOError(11, "no more processes")

    monkeypatch.setattr(os, "posix_spawn", fail)
    unwitnessed.mark(tmp_path, RUN)
    WitnessStarter(tmp_path, RUN).signed()
    assert "no more processes" in caplog.text
    assert unwitnessed.queued(tmp_path) == [RUN]
