"""What a run waits for, as its supervisor tells it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from moat.spec import AgentSetup, WaitRule
from moat.supervisor import waiting
from moat.wire.frames import FrameType

if TYPE_CHECKING:
    import pytest
    from tests.supervisor.conftest import Machine, Run

AGENT = AgentSetup(
    name="mine",
    waiting=(
        WaitRule(kind="permission", screen=("May I*?",)),
        WaitRule(kind="done", title="idle", without=("May",)),
    ),
)


def told(run: Run) -> list[str]:
    return [each["waits_for"] for each in run.events if each["event"] == "waiting_changed"]


def waits_for(run: Run) -> str:
    return run.store.get(run.spec.id).waits_for


async def test_a_bell_is_told_at_once_and_until_somebody_types(machine: Machine) -> None:
    """In the row, as an event, and to who waits for it."""
    async with machine.supervised(tty=True, interactive=True) as run:
        run.sandbox.io.read()
        asking = asyncio.create_task(run.ask("GET", "/v1/wait?for=input"))
        await run.turn()
        run.sandbox.io.write_output(b"built\x07")
        answer = await asking
        assert (answer["happened"], answer["waits_for"]) == ("input", "attention")
        assert waits_for(run) == "attention"
        assert (await run.ask("GET", "/v1/run"))["waits_for"] == "attention"
        peer = run.attach(terminal=True, columns=80, rows=24)
        await peer.frame(FrameType.WELCOME)
        peer.send(FrameType.INPUT, b"x")
        await run.until(lambda: not run.supervisor.waiting.now)
        assert waits_for(run) == ""
        run.sandbox.io.write_output(b"\x07")  # the program's answer to the key
        assert told(run) == ["attention", ""]
        run.sandbox.io.write_output(b"\x1b]9;look\x07")
        assert waits_for(run) == "attention"
        await run.ask("POST", "/v1/send", data="eA==")
        assert told(run) == ["attention", "", "attention", ""]
        run.sandbox.exit(0)
        assert (await run.ask("GET", "/v1/wait?for=input"))["happened"] == "exit"


async def test_reports_are_believed_and_programs_are_told_so(machine: Machine) -> None:
    """The next supervisor knows, too, though it has not seen the report."""
    async with machine.supervised(tty=True) as run:
        run.sandbox.io.write_output(b"\x1b]7501;?\x1b\\")
        await run.until(lambda: run.sandbox.io.input == b"\x1b]7501;?\x1b\\")
        run.sandbox.io.write_output(b"\x1b]7501;state=blocked:kind=question\x1b\\")
        assert waits_for(run) == "question"
    async with machine.supervised() as run:
        assert (await run.ask("GET", "/v1/wait?for=input"))["waits_for"] == "question"
        run.sandbox.io.write_output(b"\x1b]7501;state=working\x1b\\")
        assert told(run) == ["question", ""]


async def test_an_agents_screen_is_looked_at_when_it_is_quiet(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a last time by the next supervisor."""
    monkeypatch.setattr(waiting, "QUIET_S", 0.02)
    async with machine.supervised(tty=True, agent=AGENT) as run:
        run.sandbox.io.write_output(b"\x1b]0;idle\x07")
        await run.until(lambda: run.supervisor.waiting.now == "done")
        run.sandbox.io.write_output(b"May I go?")
        await run.until(lambda: run.supervisor.waiting.now == "permission")
    async with machine.supervised() as run:
        assert run.supervisor.waiting.now == "permission"
        run.sandbox.io.write_output(b"\x1b[2J\x1b]0;working\x07")
        await run.until(lambda: not run.supervisor.waiting.now)
        assert told(run) == ["done", "permission", ""]


async def test_output_that_never_stops_is_looked_at(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An agent that works draws all the time: it waits no more, and begins to wait when it stops."""
    monkeypatch.setattr(waiting, "QUIET_S", 0.2)
    monkeypatch.setattr(waiting, "LATEST_S", 0.3)
    async with machine.supervised(tty=True, agent=AGENT) as run:
        run.sandbox.io.write_output(b"\x1b]0;idle\x07")
        await run.until(lambda: run.supervisor.waiting.now == "done")
        run.sandbox.io.write_output(b"\x1b]0;working\x07")
        async with asyncio.timeout(20):
            while run.supervisor.waiting.now:
                run.sandbox.io.write_output(b".")
                await asyncio.sleep(0)
        run.sandbox.io.write_output(b"\x1b]0;idle\x07")
        await run.until(lambda: run.supervisor.waiting.now == "done")


async def test_a_program_that_changes_its_mind_all_the_time_is_told_less_often(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What holds in the end is told all the same."""
    monkeypatch.setattr(waiting, "WINDOW_S", 0.5)
    async with machine.supervised(tty=True) as run:
        for _ in range(3 * waiting.MOST_REPORTS):
            run.sandbox.io.write_output(b"\x1b]7501;state=done\x07")
            run.sandbox.io.write_output(b"\x1b]7501;state=working\x07")
        assert len(told(run)) <= 2 * waiting.MOST_REPORTS
        run.sandbox.io.write_output(b"\x1b]7501;state=error\x07")
        await run.until(lambda: run.supervisor.waiting.now == "error")
        assert waits_for(run) == "error"


async def test_who_watches_another_session_is_told(machine: Machine) -> None:
    """Who watches the run's own command sees it."""
    async with machine.supervised(tty=True) as run:
        name = (await run.ask("POST", "/v1/exec", command=["sh"]))["session"]
        own, other = run.attach(), run.attach(session=name)
        for each in (own, other):
            await each.frame(FrameType.WELCOME)
        run.sandbox.io.write_output(b"\x07")
        assert await other.frame(FrameType.NOTICE) == b"tested waits for you: attention"
        assert all(kind != FrameType.NOTICE for kind, _ in own.received)
        assert run.supervisor.notice("main") == ""
        assert run.supervisor.notice(name) != ""
