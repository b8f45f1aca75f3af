"""A keyboard that its client has lent: real terminals, and a real process that holds them."""

from __future__ import annotations

import asyncio
import signal
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from tests.foreground_process import ForegroundProcess
from tests.supervisor.conftest import Peer
from tests.supervisor.terminals import UsersTerminal

from moat.keyboard.overlay import HELP, PREFIX_HINT
from moat.supervisor.attached import AttachedClient
from moat.supervisor.run_commands import RunCommands
from moat.wire import frames
from moat.wire.frames import FrameType

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.supervisor.conftest import Machine, Run

P = b"\x1f"


class Seat:
    """A user at a terminal whose client has lent the keyboard."""

    def __init__(self, run: Run, window: UsersTerminal, process: ForegroundProcess) -> None:
        self.run = run
        self.window = window
        self.process = process
        self.peer = Peer(process.ours)
        self._read = b""
        AttachedClient(run.supervisor, process.theirs, RunCommands(run.supervisor))

    def greet(self, *, read_only: bool = False, **keyboard: Any) -> None:
        lent = {
            "prefix": P.hex(),
            "takes_input": True,
            "prefix_timeout": 0.0,
            "interrupt_window": 30.0,
            **keyboard,
        }
        self.peer.hello(**self.window.hello(), keyboard=lent, read_only=read_only)

    async def got(self, expected: bytes) -> None:
        """Wait until the program has been typed this, and nothing else."""
        async with asyncio.timeout(120):
            while len(self.typed) < len(expected):
                await self.run.turn()
        assert self.typed == expected

    @property
    def typed(self) -> bytes:
        """What the program has been given by now."""
        return self._read + self.run.sandbox.io.input

    def read(self, room: int = 1 << 20) -> None:
        """Let the program read, after which it takes `room` bytes more."""
        self._read += self.run.sandbox.io.read(room)


@asynccontextmanager
async def seated(machine: Machine, **hello: Any) -> AsyncIterator[Seat]:
    """A user who is welcome already."""
    with UsersTerminal() as window, ForegroundProcess(window.fd) as process:
        async with machine.supervised(tty=True, interactive=True) as run:
            seat = Seat(run, window, process)
            seat.greet(**hello)
            await seat.peer.frame(FrameType.WELCOME)
            yield seat


async def test_keys_go_to_the_program(machine: Machine) -> None:
    """Those of the prefix, too, when it is none; its viewer leads."""
    async with seated(machine) as seat:
        seat.window.type(b"ab" + P + b"x")
        await seat.got(b"ab" + P + b"x")


async def test_the_prefix_and_d(machine: Machine) -> None:
    """What was typed before it is the program's, and nothing that comes after."""
    async with seated(machine) as seat:
        seat.window.type(b"a" + P + b"db")
        assert await seat.peer.frame(FrameType.DETACHED) == b""
        seat.window.type(b"for the shell")
        await seat.run.turn()
        await seat.got(b"a")


async def test_a_keyboard_that_was_taken_back_meanwhile(machine: Machine) -> None:
    """Of a supervisor that was stopped: it learns that before it reads what was typed later."""
    async with seated(machine) as seat:
        seat.window.type(b"later")
        seat.peer.send(FrameType.TAKE_BACK)
        seat.peer.send(FrameType.INPUT, b"earlier")
        await seat.got(b"earlier")


@pytest.mark.parametrize("way", ["background", "SIGSTOP"])
async def test_keys_that_are_not_for_the_client(machine: Machine, way: str) -> None:
    """They are left where they are, and the client is told; once it is back they are the program's."""
    async with seated(machine) as seat:
        if way == "background":
            seat.process.background()
        else:
            seat.process.stop_and_go(signal.SIGSTOP)
        seat.window.type(b"x")
        await seat.peer.frame(FrameType.BACKGROUND)
        await seat.run.turn()
        assert seat.typed == b""
        seat.process.stop_and_go(signal.SIGCONT)
        seat.process.foreground()
        seat.peer.send(FrameType.RESUME)
        await seat.got(b"x")


async def test_a_paused_client_s_keys_are_left(machine: Machine) -> None:
    """From the moment it was answered until it wants them again."""
    async with seated(machine) as seat:
        seat.peer.send(FrameType.PAUSE)
        await seat.peer.frame(FrameType.PAUSED)
        seat.window.type(b"x")
        await seat.run.turn()
        assert seat.typed == b""
        seat.peer.send(FrameType.RESUME)
        await seat.got(b"x")


async def test_a_keyboard_that_is_taken_back(machine: Machine) -> None:
    """The client reads on by itself, and what it reads comes behind."""
    async with seated(machine) as seat:
        seat.window.type(b"a")
        await seat.got(b"a")
        seat.peer.send(FrameType.TAKE_BACK)
        seat.peer.send(FrameType.PING)  # means nothing any more
        seat.peer.send(FrameType.INPUT, b"c")
        await seat.got(b"ac")
        seat.window.type(b"b")
        await seat.run.turn()
        await seat.got(b"ac")


async def test_whoever_asks_is_answered(machine: Machine) -> None:
    async with seated(machine) as seat:
        seat.peer.send(FrameType.PING)
        await seat.peer.frame(FrameType.PONG)


async def test_what_the_program_does_not_read(machine: Machine) -> None:
    """The client has a copy, byte for byte, until the program has taken it; reading is bounded."""
    async with seated(machine) as seat:
        seat.read(room=2)
        seat.window.type(b"abcde")
        assert await seat.peer.frame(FrameType.HELD) == b"cde"
        seat.window.type(b"f")
        assert await seat.peer.frame(FrameType.HELD) == b"f"
        seat.read()
        taken = 0
        while taken < 4:
            taken += frames.COUNT.unpack(await seat.peer.frame(FrameType.TAKEN))[0]
        await seat.got(b"abcdef")


async def test_a_program_that_never_reads(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once enough is held the rest stays in the terminal, until there is room."""
    monkeypatch.setattr(frames, "INPUT_WINDOW", 4)
    async with seated(machine) as seat:
        seat.read(room=0)
        seat.window.type(b"abcd")
        assert await seat.peer.frame(FrameType.HELD) == b"abcd"
        seat.window.type(b"ef")
        await seat.run.turn()
        assert seat.peer.received == []
        seat.read()
        await seat.got(b"abcdef")


async def test_what_the_last_supervisor_held_comes_first(machine: Machine) -> None:
    """Nothing is read before the client has given it back; and a paste goes on."""
    async with seated(machine, later=True, pasting=True) as seat:
        seat.window.type(P + b"d\x1b[201~" + b"x")
        await seat.run.turn()
        seat.peer.send(FrameType.INPUT, b"held ")
        seat.peer.send(FrameType.RESUME)
        await seat.got(b"held " + P + b"d\x1b[201~x")
        assert await seat.peer.frame(FrameType.PASTING) == b"\0"
        seat.window.type(b"\x1b[200~")
        assert await seat.peer.frame(FrameType.PASTING) == b"\1"


async def test_keys_before_there_is_a_session(machine: Machine) -> None:
    """They are read and kept; the escape keys work already."""
    with UsersTerminal() as window, ForegroundProcess(window.fd) as process:
        async with machine.listening(tty=True, interactive=True) as run:
            seat = Seat(run, window, process)
            seat.greet()
            window.type(b"early")
            assert await seat.peer.frame(FrameType.HELD) == b"early"
            await run.supervisor.begin()
            await seat.peer.frame(FrameType.WELCOME)
            await seat.got(b"early")


async def test_leaving_before_there_is_a_session(machine: Machine) -> None:
    """Nobody waits for a start."""
    with UsersTerminal() as window, ForegroundProcess(window.fd) as process:
        async with machine.listening(tty=True) as run:
            seat = Seat(run, window, process)
            seat.greet()
            window.type(P + b"d")
            await seat.peer.frame(FrameType.DETACHED)


async def test_a_prefix_is_not_lost(machine: Machine) -> None:
    """The client leaves for another reason, such as a signal: nothing can follow it."""
    async with seated(machine) as seat:
        seat.window.type(b"x" + P)
        await seat.got(b"x")
        seat.peer.send(FrameType.DETACH)
        await seat.peer.frame(FrameType.DETACHED)
        await seat.got(b"x" + P)


async def test_a_lone_prefix_in_time(machine: Machine) -> None:
    """After the user's patience it is the program's."""
    async with seated(machine, prefix_timeout=0.01) as seat:
        seat.window.type(P)
        await seat.got(P)


async def test_a_hint_at_what_may_follow(machine: Machine) -> None:
    """Shown to whoever thinks, and gone with the next key."""
    async with seated(machine) as seat:
        seat.window.type(P)
        await seat.window.shows(PREFIX_HINT[:40])
        seat.window.type(b"x")
        await seat.got(P + b"x")
        await seat.window.until(lambda: PREFIX_HINT[:40] not in seat.window.screen.text())


async def test_help_lies_over_the_screen(machine: Machine) -> None:
    """Until a key, which is for nobody else."""
    async with seated(machine) as seat:
        seat.window.type(P + b"?")
        await seat.window.shows(HELP.splitlines()[0])
        seat.window.type(b"q")
        await seat.window.until(lambda: HELP.splitlines()[0] not in seat.window.screen.text())
        seat.window.type(b"x")
        await seat.got(b"x")


async def test_nothing_to_answer(machine: Machine) -> None:
    async with seated(machine) as seat:
        seat.window.type(P + b"a")
        await seat.window.shows("nothing waits for an answer")


async def test_a_question_is_answered(machine: Machine) -> None:
    """Of a program that wants the clipboard: the answer is the user's, and then it is gone."""
    async with seated(machine) as seat:
        seat.run.sandbox.io.write_output(b"\x1b]52;c;aGVsbG8=\x07")
        await seat.window.shows("clipboard")
        seat.window.type(P + b"a")
        await seat.window.shows("y  allow")
        seat.window.type(b"y")
        await seat.window.until(lambda: b"\x1b]52;c;aGVsbG8=" in seat.window.output)
        await seat.window.until(lambda: "y  allow" not in seat.window.screen.text())


async def test_the_screen_is_saved(machine: Machine) -> None:
    """In the run's folder; where that can't be, the user reads why."""
    async with seated(machine) as seat:
        seat.run.sandbox.io.write_output(b"to be saved")
        seat.window.type(P + b"s")
        await seat.window.shows("screen saved")
        (saved,) = seat.run.supervisor.folder.root.glob("screen-*.txt")
        assert saved.read_text() == "to be saved"
        folder = seat.run.supervisor.folder.root
        hidden = folder.rename(folder.with_name("hidden"))
        seat.window.type(P + b"s")
        await seat.window.shows("screen not saved: No such file")
        hidden.rename(folder)


async def test_the_run_is_stopped(machine: Machine) -> None:
    """By the keys, as by the command; and the events say who did it."""
    async with seated(machine) as seat:
        seat.window.type(P + b"k")
        await seat.run.until(lambda: seat.run.sandbox.programs["main"].signals == [signal.SIGTERM])
        (event,) = [each for each in seat.run.events if each["event"] == "signal_sent"]
        assert (event["action"], event["peer"]["pid"]) == ("stop", seat.process.pid)
        seat.run.sandbox.exit(0)
        await seat.peer.frame(FrameType.EXITED)


@pytest.mark.parametrize("hello", [{"read_only": True}, {"takes_input": False}])
async def test_a_viewer_that_only_watches(machine: Machine, hello: dict[str, bool]) -> None:
    """Keys are for nobody; a second Ctrl-C stops the run, one alone detaches."""
    async with seated(machine, interrupt_window=0.05, **hello) as seat:
        seat.window.type(b"x\x03")
        await seat.window.until(lambda: b"press Ctrl-C again" in seat.window.output)
        assert await seat.peer.frame(FrameType.DETACHED) == b""
        await seat.got(b"")


async def test_sigint_to_a_client(machine: Machine) -> None:
    """The same as Ctrl-C to one that only watches."""
    async with seated(machine) as seat:
        seat.peer.send(FrameType.INTERRUPT)
        await seat.window.shows("press Ctrl-C again")
        seat.peer.send(FrameType.INTERRUPT)
        await seat.run.until(lambda: seat.run.sandbox.programs["main"].signals == [signal.SIGTERM])


async def test_a_keyboard_that_can_t_be_read_here(machine: Machine) -> None:
    """The terminal doesn't control the client, or was not passed: it is told at once."""
    keyboard = {"prefix": "1f", "takes_input": True, "prefix_timeout": 0, "interrupt_window": 1}
    with UsersTerminal() as window:
        async with machine.supervised(tty=True, interactive=True) as run:
            for hello in (window.hello(), {"terminal": True, "columns": 80, "rows": 24}):
                peer = run.attach(**hello, keyboard=keyboard)
                assert await peer.next_frame() == (FrameType.NOT_LENT, b"")
                await peer.frame(FrameType.WELCOME)


async def test_nonsense_for_a_prefix(machine: Machine) -> None:
    """The client is dropped, as for any other."""
    with UsersTerminal() as window, ForegroundProcess(window.fd) as process:
        async with machine.supervised(tty=True) as run:
            seat = Seat(run, window, process)
            seat.greet(prefix="no hex")
            assert await seat.peer.hung_up()


async def test_the_window_is_closed(machine: Machine) -> None:
    """Nothing more is read, however often the loop turns; the client's own signal does the rest."""
    async with seated(machine) as seat:
        seat.window.close()
        seat.run.sandbox.io.write_output(b"to nobody")
        assert await seat.peer.hung_up()
        assert seat.run.state == "running"
