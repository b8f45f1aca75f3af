"""What clients ask a supervisor for, over its socket, without a process."""

from __future__ import annotations

import asyncio
import base64
from typing import TYPE_CHECKING

import pytest

from moat.engines.engine import CommandRefusedError
from moat.runs import session_records
from moat.wire import metrics
from moat.wire.frames import FrameType

if TYPE_CHECKING:
    from tests.supervisor.conftest import Machine, Run


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


async def test_a_run_is_described(machine: Machine) -> None:
    """Its row, and its sessions."""
    async with machine.supervised() as run:
        run.sandbox.exit(0)
        answer = await run.ask("GET", "/v1/run?until=ended")
        assert answer["state"] == "stopped"
        assert answer["sessions"] == {
            "main": {"tty": False, "viewers": 0, "exit_code": 0, "ended": True}
        }
        assert (await run.ask("GET", "/v1/version"))["attach"] == "moat-attach/1"


async def test_metrics_are_told_in_two_forms(machine: Machine) -> None:
    """As Prometheus reads them, and as JSON for whoever puts those of several runs together."""
    async with machine.supervised() as run:
        samples = metrics.from_json((await run.ask("GET", "/v1/metrics"))["samples"])
        assert any(each.family == "moat_run_sessions" and each.value == 1 for each in samples)
        exposition = await run.ask_for_text("GET", "/metrics")
        assert "# TYPE moat_run_requests counter\n" in exposition
        assert exposition.endswith("# EOF\n")


async def test_a_screen_is_shown_in_every_form(machine: Machine) -> None:
    """A run without a terminal has none, and says where its output is."""
    async with machine.supervised(tty=True) as run:
        run.sandbox.io.write_output(b"\x1b[1mhello\x1b[m")
        assert (await run.ask_for_text("GET", "/v1/screen")).startswith("hello")
        assert "hello" in (await run.ask_for_text("GET", "/v1/screen?format=html"))
        assert "hello" in (await run.ask_for_text("GET", "/v1/screen?format=contents"))
        assert (await run.ask("GET", "/v1/screen?format=json"))["columns"] == 80
        assert "no session x" in (await run.ask("GET", "/v1/screen?session=x"))["summary"]


async def test_pipes_have_no_screen(machine: Machine) -> None:
    """The answer is a refusal with a hint."""
    async with machine.supervised() as run:
        assert (await run.ask("GET", "/v1/screen"))["hint"] == "Read it: moat logs"


async def test_waiting_for_output_quiet_and_the_end(machine: Machine) -> None:
    """Each answer says what happened, how much output there was, and how it ended."""
    async with machine.supervised() as run:
        waiting = asyncio.create_task(run.ask("GET", "/v1/wait?for=output&after=0"))
        run.sandbox.io.write_output(b"x")
        assert (await waiting)["happened"] == "output"
        assert (await run.ask("GET", "/v1/wait?for=idle&seconds=0.01"))["happened"] == "idle"
        timed_out = await run.ask("GET", "/v1/wait?for=exit&timeout=0.01")
        assert (timed_out["happened"], timed_out["exit_code"]) == ("timeout", None)
        run.sandbox.exit(7)
        ended = await run.ask("GET", "/v1/wait?for=exit")
        assert (ended["happened"], ended["state"], ended["exit_code"]) == ("exit", "stopped", 7)
        assert (await run.ask("GET", "/v1/wait?for=idle&seconds=9"))["happened"] == "exit"


async def test_input_is_taken_at_the_programs_pace(machine: Machine) -> None:
    """The answer comes when the program has it all."""
    async with machine.supervised(interactive=True) as run:
        run.sandbox.io.read(room=3)
        sending = asyncio.create_task(run.ask("POST", "/v1/send", data=encoded(b"abcdef")))
        await run.until(lambda: run.sandbox.io.input == b"abc")
        assert not sending.done()
        run.sandbox.io.read()
        assert (await sending)["sent"] == 6
        assert run.sandbox.io.read() == b"def"
        (event,) = [event for event in run.events if event["event"] == "input_sent"]
        assert (event["size"], event["session"]) == (6, "main")
        assert set(event["peer"]) == {"uid", "pid"}


async def test_a_run_without_input_takes_none(machine: Machine) -> None:
    """That is said, with what to do."""
    async with machine.supervised() as run:
        answer = await run.ask("POST", "/v1/send", data="")
        assert answer["hint"] == "Start it with: moat run -i"


async def test_a_signal_reaches_the_command(machine: Machine) -> None:
    """And is an event with the user who sent it."""
    async with machine.supervised() as run:
        assert await run.ask("POST", "/v1/signal", signal=10) == {}
        assert run.sandbox.programs["main"].signals == [10]
        (event,) = [event for event in run.events if event["event"] == "signal_sent"]
        assert (event["action"], event["signal"]) == ("signal", "SIGUSR1")


async def test_everybody_is_detached(machine: Machine) -> None:
    """Each viewer is told why, and how many there were is the answer."""
    async with machine.supervised() as run:
        viewers = [run.attach() for _ in range(3)]
        for viewer in viewers:
            await viewer.frame(FrameType.WELCOME)
        assert await run.ask("POST", "/v1/detach") == {"detached": 3}
        for viewer in viewers:
            assert await viewer.frame(FrameType.DETACHED) == b"detached by moat detach"
            viewer.sock.close()
        reasons = [event["reason"] for event in run.events if event["event"] == "viewer_detached"]
        assert reasons == ["dismissed"] * 3


async def test_the_policy_is_shown_and_amended(machine: Machine) -> None:
    """An amendment holds from now on, and is an event."""
    async with machine.supervised() as run:
        assert (await run.ask("GET", "/v1/policy"))["policy"] == "permissive"
        amended = await run.ask("POST", "/v1/policy", verdict="deny", rule="a.test")
        assert (amended["rule"], amended["answered"]) == ("a.test", 0)
        (event,) = [event for event in run.events if event["event"] == "policy_amended"]
        assert (event["verdict"], event["rule"]) == ("deny", "a.test")


@pytest.mark.parametrize(
    ("method", "target", "body"),
    [
        ("GET", "/v1/nothing", {}),
        ("POST", "/v1/signal", {"signal": "x"}),
        ("POST", "/v1/signal", {}),
        ("POST", "/v1/send", {"data": "?"}),
        ("GET", "/v1/wait?for=ever", {}),
        ("POST", "/v1/policy", {"verdict": "perhaps", "rule": "a.test"}),
    ],
)
async def test_nonsense_is_refused_and_changes_nothing(
    machine: Machine, method: str, target: str, body: dict[str, object]
) -> None:
    """With one line, and the supervisor goes on."""
    async with machine.supervised(interactive=True) as run:
        assert (await run.ask(method, target, **body))["code"] == "bad_request"
        assert run.state == "running"


async def test_a_connection_that_is_no_request(machine: Machine) -> None:
    """It is closed, and the next one is served."""
    async with machine.supervised() as run:
        assert await _raw(run, b"GET nonsense\r\n\r\n") == b""
        assert await _raw(run, b"half a requ") == b""
        assert (await run.ask("GET", "/v1/version"))["version"]


async def _raw(run: Run, data: bytes) -> bytes:
    reader, writer = await run.open()
    writer.write(data)
    writer.write_eof()
    answer = await reader.read()
    writer.close()
    return answer


async def test_attaching_over_the_socket(machine: Machine) -> None:
    """After the upgrade the connection speaks frames."""
    async with machine.supervised() as run:
        reader, writer = await run.open()
        writer.write(
            b"GET /v1/attach HTTP/1.1\r\nUpgrade: moat-attach/1\r\nConnection: Upgrade\r\n\r\n"
        )
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101")
        await run.until(lambda: len(run.supervisor.viewers.attached) == 1)
        writer.close()
        await run.until(lambda: not run.supervisor.viewers.attached)


EXEC = {"command": ["make"], "interactive": True}


async def test_a_session_is_waited_for_by_itself(machine: Machine) -> None:
    """Its output and its end count, and those of the run's command don't."""
    async with machine.supervised() as run:
        name = (await run.ask("POST", "/v1/exec", **EXEC))["session"]
        waiting = asyncio.create_task(run.ask("GET", f"/v1/wait?for=output&after=0&session={name}"))
        run.sandbox.io.write_output(b"of the run's command")
        await run.ask("GET", "/v1/wait?for=output&after=0")
        assert not waiting.done()
        run.sandbox.programs[name].io.write_output(b"x")
        assert (await waiting)["happened"] == "output"
        run.sandbox.exit(4, name)
        ended = await run.ask("GET", f"/v1/wait?for=exit&session={name}")
        assert (ended["happened"], ended["exit_code"], ended["state"]) == ("exit", 4, "running")
        quiet = await run.ask("GET", f"/v1/wait?for=idle&seconds=9&session={name}")
        assert quiet["happened"] == "exit"
        assert "no session x" in (await run.ask("GET", "/v1/wait?for=exit&session=x"))["summary"]


async def test_a_session_is_killed_alone(machine: Machine) -> None:
    """The run goes on."""
    async with machine.supervised() as run:
        name = (await run.ask("POST", "/v1/exec", **EXEC))["session"]
        assert await run.ask("POST", "/v1/kill", session=name) == {}
        assert run.state == "running"
        assert session_records.find(run.store, run.store.get(run.spec.id), name).command == (
            "make",
        )


async def test_the_viewers_of_one_session_are_detached(machine: Machine) -> None:
    """The others stay."""
    async with machine.supervised() as run:
        name = (await run.ask("POST", "/v1/exec", **EXEC))["session"]
        viewers = [run.attach(), run.attach(session=name)]
        for viewer in viewers:
            await viewer.frame(FrameType.WELCOME)
        assert await run.ask("POST", "/v1/detach", session=name) == {"detached": 1}
        assert await viewers[1].frame(FrameType.DETACHED) == b"detached by moat detach"
        assert viewers[0].sock.fileno() != -1
        assert len(run.supervisor.viewers.attached) >= 1
        for viewer in viewers:
            viewer.sock.close()


async def test_a_session_that_was_given_no_input_takes_none(machine: Machine) -> None:
    """That is said, with what to do."""
    async with machine.supervised() as run:
        name = (await run.ask("POST", "/v1/exec", command=["make"]))["session"]
        answer = await run.ask("POST", "/v1/send", data="", session=name)
        assert answer["hint"] == "Start it with: moat exec -i"


async def test_why_a_session_never_began_is_recorded(machine: Machine) -> None:
    """It is listed as failed, with the reason that the client was given."""
    async with machine.supervised() as run:
        run.sandbox.refuses = CommandRefusedError("no room")
        answer = await run.ask("POST", "/v1/exec", **EXEC)
        (found,) = list(session_records.sessions(run.store, run.store.get(run.spec.id)))[1:]
        assert (found.state, found.error) == ("failed", answer["summary"])


async def test_what_waits_for_the_user_is_told_and_answered(machine: Machine) -> None:
    """A write to the clipboard, which then reaches the terminal that leads and no other."""
    async with machine.supervised(tty=True, interactive=True) as run:
        assert await run.ask("GET", "/v1/questions") == {"questions": []}
        viewers = [run.attach(terminal=True, columns=80, rows=24) for _ in range(2)]
        for viewer in viewers:
            await viewer.frame(FrameType.WELCOME)
        run.sandbox.io.write_output(b"\x1b]52;c;eA==\x07shown")
        await run.until(lambda: run.supervisor.questions.clipboard.asks)
        (question,) = (await run.ask("GET", "/v1/questions"))["questions"]
        assert question["name"] == "clipboard"
        assert "clipboard" in run.supervisor.notice("main")
        await run.ask("POST", "/v1/answer", name="clipboard", allow=True)
        await viewers[0].output(b"\x1b]52;c;eA==\x07")
        assert await run.ask("GET", "/v1/questions") == {"questions": []}
        again = await run.ask("POST", "/v1/answer", name="clipboard", allow=True)
        assert "answered already" in again["summary"]
