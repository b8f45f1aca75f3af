"""Snapshots that a supervisor takes: when it is asked, and when something happens to the run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from moat.events import WaitingChanged
from moat.spec import Snapshots
from moat.supervisor import snapshots
from moat.workspace import recorder
from moat.workspace.history.history import History

if TYPE_CHECKING:
    from pathlib import Path

    from tests.supervisor.conftest import Machine, Run

FUTURE = 2**62


def record(machine: Machine, run: Run) -> Path:
    """Record the start, as the process does that forks for it; return the workspace."""
    folder = machine.store.folder(run.spec.id)
    folder.recorder_lock.touch()
    recorder.record(folder, run.spec.workspace, FUTURE, set())
    return machine.project


def events(run: Run, kind: str) -> list[dict[str, Any]]:
    return [event for event in run.events if event["event"] == kind]


async def idle(run: Run) -> None:
    """Wait until no snapshot is being taken."""
    await run.until(lambda: not run.supervisor.snapshots.busy)


async def test_one_that_is_asked_for(machine: Machine) -> None:
    """The answer is its head, the event says who asked, and the digest is that of the record."""
    async with machine.supervised() as run:
        (record(machine, run) / "a").write_text("x")
        answer = await run.ask("POST", "/v1/snapshot", label="good")
        assert (answer["number"], answer["label"], answer["changed"]) == (1, "good", 1)
        (event,) = events(run, "snapshot_taken")
        assert (event["reason"], event["label"]) == ("asked", "good")
        assert event["peer"]["uid"] is not None
        history = History(machine.store.folder(run.spec.id))
        assert event["digest"] == answer["digest"] == history.digest(1)


@pytest.mark.parametrize("label", ["start", "12", "a\nb"])
async def test_a_label_that_cannot_be_one(machine: Machine, label: str) -> None:
    """Nothing is taken."""
    async with machine.supervised() as run:
        record(machine, run)
        assert "summary" in await run.ask("POST", "/v1/snapshot", label=label)
        assert events(run, "snapshot_taken") == []


async def test_a_restore_is_recorded_before_it_begins(machine: Machine) -> None:
    """With the snapshot of what it replaces, which is taken even where nothing has changed."""
    async with machine.supervised() as run:
        record(machine, run)
        answer = await run.ask("POST", "/v1/restore", snapshot="start", paths=["a", "x" * 2000])
        assert answer["reason"] == "restore"
        (begun,) = events(run, "restore_begun")
        assert (begun["snapshot"], begun["paths"][0]) == ("start", "a")
        assert len(begun["paths"][1]) == snapshots.SHOWN_CHARACTERS
        assert run.kinds.index("snapshot_taken") < run.kinds.index("restore_begun")


async def test_the_last_viewer_to_leave_leaves_a_snapshot(machine: Machine) -> None:
    """One for both, and none where nothing has changed since."""
    rules = Snapshots(on=("detach",))
    async with machine.supervised(tty=True, snapshots=rules) as run:
        project = record(machine, run)
        first, second = run.attach(), run.attach()
        await first.handled()
        await second.handled()
        (project / "a").write_text("x")
        first.sock.close()
        await run.until(lambda: len(run.supervisor.viewers.attached) == 1)
        assert not run.supervisor.snapshots.busy
        second.sock.close()
        await run.until(lambda: not run.supervisor.viewers.attached)
        await idle(run)
        assert [each["reason"] for each in events(run, "snapshot_taken")] == ["detach"]
        third = run.attach()
        await third.handled()
        third.sock.close()
        await run.until(lambda: not run.supervisor.viewers.attached)
        await idle(run)
        assert len(events(run, "snapshot_taken")) == 1


async def test_an_agent_that_is_done_leaves_a_snapshot(machine: Machine) -> None:
    """Where that is set. One that asks for a permission is in the middle of its turn."""
    rules = Snapshots(on=("turn",))
    async with machine.supervised(tty=True, snapshots=rules) as run:
        (record(machine, run) / "a").write_text("x")
        run.sandbox.io.write_output(b"\x1b]7501;state=blocked:kind=permission\x07\x1b[m")
        await run.until(lambda: "waiting_changed" in run.kinds)
        assert not run.supervisor.snapshots.busy
        run.sandbox.io.write_output(b"\x1b]7501;state=done\x07\x1b[m")
        await run.until(lambda: "snapshot_taken" in run.kinds)
        await idle(run)
        assert [each["reason"] for each in events(run, "snapshot_taken")] == ["turn"]


async def test_without_rules_nothing_is_taken(machine: Machine) -> None:
    """As in runs that began before there were any."""
    async with machine.supervised(tty=True) as run:
        record(machine, run)
        peer = run.attach()
        await peer.handled()
        peer.sock.close()
        await run.until(lambda: not run.supervisor.viewers.attached)
        assert not run.supervisor.snapshots.busy


async def test_a_failure_is_told_once(machine: Machine) -> None:
    """By an event, however often it fails; whoever asks is told each time."""
    rules = Snapshots(on=("detach",))
    async with machine.supervised(tty=True, snapshots=rules) as run:
        for _ in range(2):
            peer = run.attach()
            await peer.handled()
            peer.sock.close()
            await run.until(lambda: not run.supervisor.viewers.attached)
            await idle(run)
        (fault,) = events(run, "fault")
        assert fault["part"] == "snapshot"
        assert "nothing was recorded" in fault["detail"]
        for _ in range(2):
            answer = await run.ask("POST", "/v1/snapshot")
            assert "nothing was recorded" in answer["summary"]


async def test_a_process_that_is_killed(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits for it is told, and isn't left waiting."""
    monkeypatch.setattr(snapshots, "WORKER", "moat.no_such_module")
    async with machine.supervised() as run:
        record(machine, run)
        answer = await run.ask("POST", "/v1/snapshot")
        assert "its process was killed" in answer["summary"]


async def test_moments_that_come_together_are_one(machine: Machine) -> None:
    """What comes while a snapshot is being taken is another one, and nothing has changed by then."""
    async with machine.supervised(snapshots=Snapshots(on=("turn",))) as run:
        (record(machine, run) / "a").write_text("x")
        for _ in range(3):
            run.supervisor.emit(WaitingChanged("done"))
        assert run.supervisor.snapshots.busy
        await idle(run)
        assert len(events(run, "snapshot_taken")) == 1
