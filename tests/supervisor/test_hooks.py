"""Commands of the user's that are started when something happens to a run."""

from __future__ import annotations

import asyncio
import json
import os
import stat
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from moat.event_stream import as_json
from moat.events import (
    Fault,
    QuestionAsked,
    StateChanged,
    SupervisorStarted,
    WaitingChanged,
)
from moat.ground import programs
from moat.spec import EventHook
from moat.supervisor import hook_process, hooks, notify
from moat.wire.frames import FrameType

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.supervisor.conftest import Machine, Run

    from moat.events import Event

BELL = b"\x1b]9;x\x07"


@pytest.fixture
def script(tmp_path: Path) -> Callable[[str], str]:
    """Make a program of the user's."""

    def make(text: str, name: str = "hook") -> str:
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(stat.S_IRWXU)
        return str(path)

    return make


def hook(*command: str) -> tuple[EventHook, ...]:
    return (EventHook(command=command, events=("waiting_changed",)),)


async def idle(run: Run) -> None:
    """Wait until no command runs or waits."""
    await run.until(lambda: not run.supervisor.hooks.busy)


def faults(run: Run) -> list[str]:
    return [
        each["detail"] for each in run.events if each["event"] == "fault" and each["part"] == "hook"
    ]


async def test_a_command_gets_the_event(
    machine: Machine, script: Callable[[str], str], tmp_path: Path
) -> None:
    """As a line of JSON on its standard input; its words are passed as they are, to no shell."""
    program = script(
        f'echo "$1" > {tmp_path}/words; pwd >> {tmp_path}/words; cat > {tmp_path}/event'
    )
    async with machine.supervised(tty=True, on_event=hook(program, "$HOME; x")) as run:
        run.sandbox.io.write_output(BELL)
        await idle(run)
        assert (tmp_path / "words").read_text() == "$HOME; x\n/\n"
        event: dict[str, Any] = json.loads((tmp_path / "event").read_text())
        assert (event["event"], event["waits_for"]) == ("waiting_changed", "attention")
        assert event["run"]["name"] == "tested"
        assert faults(run) == []


async def test_a_failure_is_told_once(machine: Machine, script: Callable[[str], str]) -> None:
    """However often it fails; a program that isn't there, or that others may write, is none."""
    command = hook(script("exit 3"))
    missing = hook("/no/such"), hook("no-such-program-anywhere")
    both = (*command, *missing[0], *missing[1])
    async with machine.supervised(tty=True, on_event=both) as run:
        for _ in range(3):
            run.sandbox.io.write_output(b"\x1b]7501;state=done\x07\x1b[m")
            run.sandbox.io.write_output(b"\x1b]7501;state=working\x07\x1b[m")
            await idle(run)
        assert sorted(each.partition(": ")[2] for each in faults(run)) == [
            "exit code 3",
            "there is no such program in the system's folders",
            "there is no such program in the system's folders",
        ]


async def test_few_run_at_once_and_few_wait(
    machine: Machine, script: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What comes quicker than a command ends is left out, and that is told."""
    monkeypatch.setattr(hooks, "MOST_WAITING", 2)
    monkeypatch.setattr(hooks, "AT_ONCE", 1)
    program = script(f"cat >> {tmp_path}/events")
    async with machine.supervised(tty=True, on_event=hook(program)) as run:
        for _ in range(10):
            run.sandbox.io.write_output(b"\x1b]7501;state=done\x07\x1b[m")
            run.sandbox.io.write_output(b"\x1b]7501;state=working\x07\x1b[m")
        await idle(run)
        assert len((tmp_path / "events").read_text().splitlines()) < 20
        assert [each.partition(": ")[2][:20] for each in faults(run)] == ["events come quicker "]


async def test_what_waits_at_the_end_is_started(
    machine: Machine, script: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newest of it, for the run's end is what a user wants to hear of."""
    monkeypatch.setattr(hooks, "AT_ONCE", 1)
    program = script(f"cat >> {tmp_path}/events; echo done >> {tmp_path}/pipe")
    fifo = tmp_path / "pipe"
    os.mkfifo(fifo)
    every = (EventHook(command=(program,), events=("state_changed",)),)
    async with machine.supervised(tty=True, on_event=every) as run:
        run.sandbox.exit(0)
        await run.until(lambda: run.state == "stopped")

    def read() -> str:
        with fifo.open() as file:
            return file.read()

    async with asyncio.timeout(60):
        while "stopped" not in (
            (tmp_path / "events").read_text() if (tmp_path / "events").exists() else ""
        ):
            await asyncio.to_thread(read)


@pytest.mark.parametrize("number", range(3, 30))
async def test_descriptors_of_any_number_reach_a_command(
    script: Callable[[str], str], tmp_path: Path, number: int
) -> None:
    """A supervisor has many of them open, so those of a command's own can be any."""
    program = script(f"cat > {tmp_path}/event")
    with ExitStack() as opened:
        while (fd := os.open(os.devnull, os.O_RDONLY)) < number - 1:
            opened.callback(os.close, fd)
        opened.callback(os.close, fd)
        pipe = hooks._spawn((program,), b"an event\n")
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(pipe, ended.set)
    async with asyncio.timeout(60):
        await ended.wait()
    asyncio.get_running_loop().remove_reader(pipe)
    assert os.read(pipe, 100) == b"ok"
    os.close(pipe)
    assert (tmp_path / "event").read_text() == "an event\n"


def test_a_command_has_a_deadline(script: Callable[[str], str]) -> None:
    """With all of its processes; what it is that went wrong is told."""
    assert hook_process.outcome(60, [script("cat >/dev/null; exit 0")]) == "ok"
    assert hook_process.outcome(60, [script("exit 9")]) == "exit code 9"
    assert hook_process.outcome(0.1, [script("sleep 1000")]) == "it took longer than 0.1 s"
    assert hook_process.outcome(1, ["/no/such"]).startswith("it can't be started: ")


async def test_the_desktop_is_told_while_nobody_is_attached(
    machine: Machine,
    script: Callable[..., str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By the first program that is installed, in words of Moat's own."""
    told = tmp_path / "told"
    script(f'printf "%s|" "$@" >> {told}', "notify-send")
    monkeypatch.setattr(programs, "PLACES", (str(tmp_path / "bin"),))
    async with machine.supervised(tty=True, notify="desktop") as run:
        run.sandbox.io.write_output(BELL)
        await idle(run)
        expected = "--app-name=Moat|--|moat: tested|waits for you: attention|"
        assert told.read_text() == expected
        peer = run.attach()
        await peer.frame(FrameType.WELCOME)
        run.sandbox.io.write_output(b"\x1b]7501;state=error\x07")
        await idle(run)
        assert told.read_text() == expected


async def test_the_bell_of_attached_terminals_is_rung(machine: Machine) -> None:
    """Each of them, once."""
    async with machine.supervised(tty=True, notify="bell") as run:
        peer = run.attach(terminal=True, columns=80, rows=24)
        await peer.frame(FrameType.WELCOME)
        run.sandbox.io.write_output(b"\x1b]7501;state=done\x07")
        await peer.output(b"\x07")


@pytest.mark.parametrize(
    ("event", "said"),
    [
        (WaitingChanged("permission"), "waits for you: permission"),
        (WaitingChanged(""), ""),
        (QuestionAsked("evil\x1b.test", 443), "a request of its waits for your answer"),
        (StateChanged("running", "stopped", "", 3), "is stopped with exit code 3"),
        (StateChanged("running", "lost", ""), "is lost"),
        (StateChanged("starting", "running", ""), ""),
        (SupervisorStarted(1, "1", adopted=False), ""),
        (Fault("disk", "full"), ""),
    ],
)
def test_what_a_desktop_shows(event: Event, said: str) -> None:
    """Words of Moat's, whatever the event holds."""
    assert notify.message(event) == said
    assert as_json(0, event)
