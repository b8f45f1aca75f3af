"""The life of a supervised run, without a process."""

from __future__ import annotations

import asyncio
import errno
import signal
import threading
from typing import TYPE_CHECKING

import pytest

from moat.engines.engine import CommandRefusedError, SandboxGoneError, UnsupportedSandboxError
from moat.errors import RunNotFoundError
from moat.supervisor import teardown
from moat.wire.frames import FrameType
from moat.workspace.findings import Report

if TYPE_CHECKING:
    from tests.supervisor.conftest import Machine, Run

    from moat.paths import RunFolder


@pytest.fixture(autouse=True)
def nobody_lingers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A supervisor whose run has ended does not wait for clients that no test has."""
    monkeypatch.setattr(teardown, "LINGER_S", 0)
    monkeypatch.setattr(teardown, "FAILURE_LINGER_S", 0)


async def test_a_command_runs_to_its_end(machine: Machine) -> None:
    """The row follows it, its exit code is delivered, and the process may end."""
    async with machine.supervised() as run:
        assert run.state == "running"
        viewer = run.attach()
        run.sandbox.io.write_output(b"done\n")
        run.sandbox.exit(3)
        assert await viewer.output(b"done\n") == b"done\n"
        assert b'"exit_code": 3' in await viewer.frame(FrameType.EXITED)
        viewer.sock.close()
        await run.over()
        row = run.store.get(run.spec.id)
        assert (str(row.state), row.exit_code, row.pid) == ("stopped", 3, None)
    assert not (run.store.folder(run.spec.id).root / "supervisor.sock").exists()


async def test_who_comes_during_the_clean_up_waits_for_it(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The end that a client is told is that of the run, not of its command."""
    begun, go_on = threading.Event(), threading.Event()

    def clean_up(folder: RunFolder) -> Report:
        del folder
        begun.set()
        go_on.wait(60)
        return Report([])

    monkeypatch.setattr(teardown, "_clean_up", clean_up)
    async with machine.supervised() as run:
        run.sandbox.io.write_output(b"done\n")
        run.sandbox.exit(3)
        await asyncio.to_thread(begun.wait)
        viewer = run.attach()
        assert await viewer.output(b"done\n") == b"done\n"
        go_on.set()
        assert b'"state": "stopped"' in await viewer.frame(FrameType.EXITED)
        viewer.sock.close()
        await run.over()


async def test_the_row_says_where_the_sandbox_is(machine: Machine) -> None:
    """What the engine knows is shown by inspect, and kept for commands without a supervisor."""
    async with machine.supervised() as run:
        assert run.store.get(run.spec.id).as_json()["memory"] == {"exists": True}


async def test_the_next_supervisor_adopts_the_run(machine: Machine) -> None:
    """It finds the same command, what was written meanwhile, and the further commands."""
    async with machine.supervised(interactive=True) as first:
        first.sandbox.io.write_output(b"one ")
        session = (await first.ask("POST", "/v1/exec", command=["ls"]))["session"]
    machine.sandbox.io.write_output(b"two ")
    async with machine.supervised() as second:
        assert second.state == "running"
        second.sandbox.io.write_output(b"three")
        viewer = second.attach(session=session)
        viewer.sock.close()
        viewer = second.attach()
        assert await viewer.output(b"three") == b"one two three"
        assert second.supervisor.sessions.get(session) is not None
        started = [event for event in second.events if event["event"] == "supervisor_started"]
        assert [event["adopted"] for event in started] == [False, True]
        assert started[1]["sessions"] == ["main", session]


async def test_an_exit_that_nobody_saw_is_found_by_the_next(machine: Machine) -> None:
    """The engine remembers it, and what was written before is recorded first."""
    async with machine.supervised():
        pass
    machine.sandbox.io.write_output(b"last words")
    machine.sandbox.exit(9)
    async with machine.supervised() as second:
        await second.over()
        assert second.store.get(second.spec.id).exit_code == 9
        viewer = second.attach()
        assert await viewer.output(b"words") == b"last words"


@pytest.mark.parametrize(("kept", "state", "code"), [(5, "stopped", 5), (None, "lost", None)])
async def test_a_sandbox_that_is_gone(
    machine: Machine, kept: int | None, state: str, code: int | None
) -> None:
    """Its exit status was kept, or nobody will ever know it."""
    async with machine.supervised():
        pass
    machine.sandbox.exists = False
    machine.sandbox.kept_exit = kept
    async with machine.supervised() as second:
        await second.over()
        row = second.store.get(second.spec.id)
        assert (str(row.state), row.exit_code) == (state, code)


async def test_a_sandbox_that_vanishes_under_a_supervisor(machine: Machine) -> None:
    """Everybody who watches is told, and so are those who have just asked for a further command."""
    async with machine.supervised() as run:
        viewer = run.attach()
        await viewer.frame(FrameType.WELCOME)
        run.sandbox.vanish()
        assert b'"state": "lost"' in await viewer.frame(FrameType.EXITED)
        viewer.sock.close()
        await run.over()
        assert run.state == "lost"
        assert "fault" in run.kinds


async def test_a_sandbox_that_vanishes_in_the_middle_of_a_call(machine: Machine) -> None:
    """Both the call and the engine's report say so; the run ends once."""
    machine.sandbox.begins = False
    async with machine.supervised() as run:
        run.sandbox.vanish()
        run.sandbox.vanish()
        await run.over()
        assert run.state == "lost"


async def test_a_start_that_fails_leaves_nothing(machine: Machine) -> None:
    """The one who started it is told why; nothing else remains of the run."""
    machine.sandbox.refuses = CommandRefusedError("no sandbox today")
    async with machine.supervised() as run:
        viewer = run.attach()
        assert b"no sandbox today" in await viewer.frame(FrameType.FAILED)
        assert (await run.ask("GET", "/v1/run?until=started"))["summary"] == "no sandbox today"
        viewer.sock.close()
        await run.over()
        assert run.state == "failed"
        assert run.supervisor.teardown.removes_run


async def test_nothing_is_said_before_hello(machine: Machine) -> None:
    """A client reads no frame before it has sent one: what comes with the upgrade would be lost."""
    machine.sandbox.begins = False
    async with machine.supervised(keep=True) as run:
        failed, dismissed = run.connect(), run.connect()
        for each in run.supervisor.viewers.attached[1:]:
            each.dismiss("enough")
        run.sandbox.fail("no such program")
        await run.until(lambda: run.state == "failed")
        for peer in (failed, dismissed):
            with pytest.raises(BlockingIOError):
                peer.sock.recv(1)
            peer.hello()
        assert b"no such program" in await failed.frame(FrameType.FAILED)
        assert await dismissed.frame(FrameType.DETACHED) == b"enough"


async def test_a_command_that_never_begins(machine: Machine) -> None:
    """That is a failed start, with the engine's reason."""
    machine.sandbox.begins = False
    async with machine.supervised(keep=True) as run:
        viewer = run.attach()
        await viewer.frame(FrameType.WELCOME)
        run.sandbox.fail("no such program")
        assert b"no such program" in await viewer.frame(FrameType.FAILED)
        viewer.sock.close()
        await run.over()
        assert not run.supervisor.teardown.removes_run


async def test_a_sandbox_of_another_version_is_left_alone(machine: Machine) -> None:
    """The supervisor says why and goes; the run goes on, and the next one adopts it."""
    async with machine.supervised():
        pass
    machine.sandbox.refuses = UnsupportedSandboxError("made by a newer Moat", "Update Moat")
    async with machine.supervised() as second:
        viewer = second.attach()
        assert b"newer Moat" in await viewer.frame(FrameType.FAILED)
        for method, target in (
            ("POST", "/v1/stop"),
            ("GET", "/v1/run?until=ended"),
            ("GET", "/v1/wait?for=exit"),
        ):
            answer = await second.ask(method, target)
            assert (answer["summary"], answer["hint"]) == ("made by a newer Moat", "Update Moat")
        viewer.sock.close()
        await second.over()
        assert second.state == "running"
        assert second.store.get(second.spec.id).error == "made by a newer Moat"
    async with machine.supervised() as third:
        assert third.state == "running"
        assert third.store.get(third.spec.id).error is None


async def test_a_stop_asks_first(machine: Machine) -> None:
    """The command gets the signal, and the answer comes when the run has ended."""
    async with machine.supervised() as run:
        assert (await run.ask("POST", "/v1/stop"))["state"] == "stopped"
        assert run.store.get(run.spec.id).exit_code == 128 + signal.SIGTERM
        refused = await run.ask("POST", "/v1/stop")
        assert refused["summary"] == "run tested is stopped already"


async def test_a_command_that_ignores_the_signal_is_killed(machine: Machine) -> None:
    """After the time that the request gives it. A shell in a terminal gets its hang-up, too."""
    machine.sandbox.obeys_stop = False
    async with machine.supervised(tty=True) as run:
        program = run.sandbox.programs["main"]
        assert (await run.ask("POST", "/v1/stop", timeout=0))["exit_code"] == 137
        assert program.signals == [signal.SIGTERM, signal.SIGHUP, signal.SIGCONT]


async def test_a_stop_outlives_the_supervisor_that_was_asked(machine: Machine) -> None:
    """The next one goes on with it."""
    machine.sandbox.obeys_stop = False
    async with machine.supervised() as first:
        first.supervisor.shutdown.stop_later()
        await first.until(lambda: first.state == "stopping")
    machine.sandbox.obeys_stop = True
    async with machine.supervised() as second:
        await second.over()
        assert second.store.get(second.spec.id).exit_code == 143


async def test_a_run_whose_time_is_up_is_stopped(machine: Machine) -> None:
    """And says so."""
    async with machine.supervised(timeout=0.001) as run:
        await run.over()
        row = run.store.get(run.spec.id)
        assert (str(row.state), row.error) == ("stopped", "stopped after its timeout of 0.001 s")


async def test_a_kill_of_a_command_that_is_over_already(machine: Machine) -> None:
    """The end comes, whoever brought it."""
    async with machine.supervised() as run:
        run.sandbox.refuses = SandboxGoneError("gone")
        run.supervisor.tasks.start(run.supervisor.shutdown.kill())
        await run.until(lambda: run.state == "stopping")
        run.sandbox.exit(0)
        await run.over()
        assert run.store.get(run.spec.id).exit_code == 0


async def test_a_further_command(machine: Machine) -> None:
    """It is a session of its own: watched, ended and forgotten without the run."""
    async with machine.supervised() as run:
        assert await run.ask("POST", "/v1/exec", command=["ls", "-l"]) == {"session": "exec-1"}
        viewer = run.attach(session="exec-1")
        run.sandbox.programs["exec-1"].io.write_output(b"total 0\n")
        assert await viewer.output(b"\n") == b"total 0\n"
        run.sandbox.exit(2, "exec-1")
        assert b'"exit_code": 2' in await viewer.frame(FrameType.EXITED)
        assert (await run.ask("GET", "/v1/run"))["state"] == "running"
        assert "exec-1" not in run.sandbox.programs
        kinds = run.kinds
        assert kinds.index("exec_started") < kinds.index("exec_ended")
        viewer.sock.close()


async def test_a_further_command_that_never_begins(machine: Machine) -> None:
    """Whoever asked for it is told why, and the run goes on."""
    async with machine.supervised() as run:
        run.sandbox.refuses = CommandRefusedError("no running command")
        assert (await run.ask("POST", "/v1/exec", command=["ls"]))["summary"] == (
            "no running command"
        )
        run.sandbox.begins = False
        asked = run.ask("POST", "/v1/exec", command=["ls"])
        run.supervisor.tasks.start(_fail_when_there(run, "exec-2"))
        assert (await asked)["summary"] == "the command could not be started: no folder"
        assert run.state == "running"


async def test_a_further_command_beside_one_that_has_just_ended(machine: Machine) -> None:
    """The sandbox knows of the end before the supervisor does; the user reads no error's number."""
    async with machine.supervised() as run:
        gone = "[Errno 3] the sandbox has no running command"
        run.sandbox.refuses = CommandRefusedError(gone, errno.ESRCH)
        answer = await run.ask("POST", "/v1/exec", command=["ls"])
        assert answer["summary"] == f"run {run.spec.name} is stopping: nothing to exec in"


async def _fail_when_there(run: Run, session: str) -> None:
    await run.until(lambda: run.supervisor.sessions.get(session) is not None)
    run.sandbox.fail("no folder", session)


async def test_old_further_commands_leave_memory(machine: Machine) -> None:
    """The newest few are kept for clients that are about to attach; their names are not given again."""
    async with machine.supervised() as run:
        for number in range(1, 12):
            name = (await run.ask("POST", "/v1/exec", command=["true"]))["session"]
            assert name == f"exec-{number}"
            run.sandbox.exit(0, name)
        assert run.supervisor.sessions.get("exec-1") is None
        assert run.supervisor.sessions.get("exec-11") is not None
        assert run.supervisor.sessions.get("main") is not None


async def test_a_run_that_was_removed_under_its_supervisor(machine: Machine) -> None:
    """Nothing of it comes back."""
    async with machine.supervised() as run:
        run.sandbox.exit(0)
        await run.over()
    machine.store.remove(run.spec.id)
    with pytest.raises(RunNotFoundError):
        machine.store.get(run.spec.id)
