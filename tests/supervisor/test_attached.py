"""Attached clients: what they see, what they may do, and every way in which they go."""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import termios
from typing import TYPE_CHECKING, Any

import pytest
from tests.supervisor.terminals import UsersTerminal

from moat.engines.engine import CommandRefusedError
from moat.platform import tty
from moat.session import viewers as session_viewers
from moat.session.journal import journal as journal_module
from moat.session.journal.index import Stream
from moat.session.terminal.reset import CANCEL
from moat.session.terminal.screen import Screen
from moat.spec import TerminalSize
from moat.supervisor.said import CONSUMED_BYTES
from moat.wire import frames
from moat.wire.frames import FrameType

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.supervisor.conftest import Machine, Peer, Run

PUSH_TITLE, POP_TITLE = b"\x1b[22;0t", b"\x1b[23;0t"


@pytest.fixture
def window() -> Iterator[UsersTerminal]:
    with UsersTerminal() as window:
        yield window


async def welcomed(peer: Peer) -> dict[str, Any]:
    return json.loads(await peer.frame(FrameType.WELCOME))


async def left(run: Run) -> None:
    """Wait until no client is attached."""
    await run.until(lambda: not run.supervisor.viewers.attached)


def events(run: Run, kind: str) -> list[dict[str, Any]]:
    return [event for event in run.events if event["event"] == kind]


def shown(data: bytes, size: TerminalSize | None = None) -> list[str]:
    """The rows that a terminal shows after `data`."""
    screen = Screen(size or TerminalSize(), 0)
    screen.feed(data)
    rows = screen.text().split("\n")
    screen.close()
    return rows


# --- without a terminal ---


async def test_a_stream_client_gets_every_byte(machine: Machine) -> None:
    """Both streams, from the beginning, and then the end with its exit code."""
    async with machine.supervised() as run:
        run.sandbox.io.write_output(b"one ")
        run.sandbox.io.write_output(b"error", Stream.STDERR)
        peer = run.attach()
        welcome = await welcomed(peer)
        assert (welcome["tty"], welcome["interactive"], welcome["painted"]) == (False, False, False)
        run.sandbox.io.write_output(b"two")
        assert await peer.output(b"two") == b"one two"
        run.sandbox.exit(4)
        assert json.loads(await peer.frame(FrameType.EXITED)) == {
            "exit_code": 4,
            "state": "stopped",
            "because": "",
        }
        assert await peer.hung_up()


@pytest.mark.parametrize(
    ("hello", "expected"),
    [
        ({"tail": 1}, b"line 3\n"),
        ({"tail": 0}, b""),
        ({"stdout": 14, "stderr": 2}, b"line 3\n"),
        ({"stdout": 1 << 40}, b""),
    ],
)
async def test_where_a_stream_client_begins(
    machine: Machine, hello: dict[str, int], expected: bytes
) -> None:
    """At the offset that it has, or a number of lines before the end; the answer says where."""
    async with machine.supervised() as run:
        run.sandbox.io.write_output(b"line 1\nline 2\nline 3\n")
        run.sandbox.io.write_output(b"e1\n", Stream.STDERR)
        peer = run.attach(**hello)
        assert (await welcomed(peer))["stdout"] == hello.get("stdout", 21 - len(expected))
        run.sandbox.exit(0)
        got = b""
        kind = 0
        while kind != FrameType.EXITED:
            kind, payload = await peer.next_frame()
            got += payload if kind == FrameType.STDOUT else b""
        assert got == expected


async def test_the_end_comes_behind_the_last_byte(machine: Machine) -> None:
    """However much is on its way to a client that reads slowly."""
    async with machine.supervised() as run:
        peer = run.attach()
        data = os.urandom(1 << 16)
        for _ in range(20):
            run.sandbox.io.write_output(data)
        run.sandbox.exit(0)
        got = b""
        kind = 0
        while kind != FrameType.EXITED:
            kind, payload = await peer.next_frame()
            got += payload if kind == FrameType.STDOUT else b""
        assert got == data * 20


async def test_a_client_that_comes_after_the_end(machine: Machine) -> None:
    """All output, the exit code, and no more."""
    async with machine.supervised() as run:
        first = run.attach()
        run.sandbox.io.write_output(b"all")
        run.sandbox.exit(6)
        await first.frame(FrameType.EXITED)
        peer = run.attach()
        assert await peer.output(b"all") == b"all"
        assert json.loads(await peer.frame(FrameType.EXITED))["exit_code"] == 6
        assert await peer.hung_up()


async def test_a_slow_client_holds_the_program_back(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until it has read on, or is gone."""
    monkeypatch.setattr(journal_module, "SEGMENT_BYTES", 20_000)
    monkeypatch.setattr(session_viewers, "STREAM_QUEUE_BYTES", 10_000)
    async with machine.supervised(journal_limit=40_000) as run:
        io = run.sandbox.io
        peer, lost = run.attach(), run.attach()
        for each in (peer, lost):
            await welcomed(each)
        while io.reading:
            io.write_output(bytes(10_000))
        lost.sock.close()
        await run.until(lambda: len(run.supervisor.viewers.attached) == 1)
        assert not io.reading  # for the other one
        io.write_output(b"end")
        await peer.output(b"end")
        assert io.reading


# --- with a terminal ---


async def test_a_terminal_is_painted(machine: Machine, window: UsersTerminal) -> None:
    """What the screen shows, and then the program's own output; nothing of it goes over frames."""
    async with machine.supervised(tty=True) as run:
        run.sandbox.io.write_output(b"before\r\n")
        peer = run.attach(**window.hello())
        assert (await welcomed(peer))["painted"] is True
        await window.shows("before")
        assert window.output.startswith(PUSH_TITLE)
        run.sandbox.io.write_output(b"\x1b[31mnow")
        await window.shows("now")
        assert window.output.endswith(b"\x1b[31mnow")
        attached = events(run, "viewer_attached")[0]
        assert attached["tty"] == os.ttyname(window.fd)
        assert attached["peer"] == {"uid": os.getuid(), "pid": os.getpid()}
        assert peer.received == []


async def test_a_terminal_is_given_back_at_the_end(machine: Machine, window: UsersTerminal) -> None:
    """Modes and title at once; its line discipline is its client's, who lives."""
    async with machine.supervised(tty=True) as run:
        peer = run.attach(**window.hello())
        await welcomed(peer)
        run.sandbox.io.write_output(b"\x1b[?25l\x1b[?1000h\x1b[?1007lbye")
        run.sandbox.exit(0)
        await peer.frame(FrameType.EXITED)
        assert window.rows[0] == "bye"
        assert window.screen.cursor == (0, 1)
        assert window.screen.cursor_visible
        assert not window.screen.modes["mouse_buttons"]
        assert window.screen.modes["alternate_scroll"]
        assert window.output.endswith(POP_TITLE)
        assert window.line_discipline == tty.raw(window.saved)
        assert events(run, "viewer_detached")[0]["reason"] == "ended"


async def test_the_end_waits_for_a_slow_terminal(machine: Machine, window: UsersTerminal) -> None:
    """All is drawn before its client is told, which restores the terminal then."""
    async with machine.supervised(tty=True) as run:
        peer = run.attach(**window.hello())
        await welcomed(peer)
        for number in range(100):
            run.sandbox.io.write_output(
                b"".join(b"line %d%02d\r\n" % (number, n) for n in range(50))
            )
        run.sandbox.exit(0)
        await run.until(lambda: run.state == "stopped")
        assert len(run.supervisor.viewers.attached) == 1
        await window.until(lambda: window.output.endswith(POP_TITLE))
        await peer.frame(FrameType.EXITED)
        assert "line 9949" in window.rows


async def test_a_full_terminal_is_reset_by_its_client(
    machine: Machine, window: UsersTerminal
) -> None:
    """What there is no room for comes as a frame: the client can wait."""
    async with machine.supervised(tty=True) as run:
        peer = run.attach(**window.hello())
        await welcomed(peer)
        await window.until(lambda: PUSH_TITLE in window.output)
        window.fill()
        run.sandbox.exit(0)
        reset = await peer.frame(FrameType.STDOUT)
        assert reset.startswith(CANCEL)
        assert reset.endswith(POP_TITLE)
        await peer.frame(FrameType.EXITED)
        assert POP_TITLE not in window.draw()


async def test_a_window_that_is_closed_at_the_end(machine: Machine, window: UsersTerminal) -> None:
    """There is nothing to give back; the client is told the exit code all the same."""
    async with machine.supervised(tty=True) as run:
        peer = run.attach(**window.hello())
        await welcomed(peer)
        window.close()
        run.sandbox.exit(3)
        assert json.loads(await peer.frame(FrameType.EXITED))["exit_code"] == 3


async def test_a_window_that_is_closed_meanwhile(machine: Machine, window: UsersTerminal) -> None:
    """Painting fails, and the client is dropped; the run goes on."""
    async with machine.supervised(tty=True) as run:
        peer = run.attach(**window.hello())
        await welcomed(peer)
        window.close()
        run.sandbox.io.write_output(b"to nobody")
        assert await peer.hung_up()
        assert events(run, "viewer_detached")[0]["reason"] == "gone"
        assert run.state == "running"


@pytest.mark.parametrize("kind", ["pipe", "socket", "nothing"])
async def test_a_terminal_that_can_t_be_opened(machine: Machine, kind: str) -> None:
    """It is painted over frames (that is what a terminal of another user's comes to)."""
    fds = {"pipe": os.pipe, "nothing": tuple}.get(
        kind, lambda: [each.detach() for each in socket.socketpair()]
    )()
    async with machine.supervised(tty=True) as run:
        run.sandbox.io.write_output(b"before ")
        hello = {"terminal": True, "passed": True, "columns": 80, "rows": 24}
        peer = run.attach(fds=tuple(fds[1:]), **hello)
        assert (await welcomed(peer))["painted"] is False
        run.sandbox.io.write_output(b"and now")
        output = await peer.output(b"and now")
        assert output.startswith(PUSH_TITLE)
        assert shown(output)[0] == "before and now"
        run.sandbox.exit(0)
        assert (await peer.output(POP_TITLE)).endswith(POP_TITLE)
        await peer.frame(FrameType.EXITED)
    for fd in fds:
        os.close(fd)


async def test_a_client_over_frames_sees_the_end_of_a_flood(machine: Machine) -> None:
    """It was behind and has skipped some of it, but not the last screen."""
    async with machine.supervised(tty=True) as run:
        peer = run.attach(terminal=True, columns=80, rows=24)
        await welcomed(peer)
        for number in range(600):
            run.sandbox.io.write_output(
                b"".join(b"line %d%02d\r\n" % (number, n) for n in range(100))
            )
        run.sandbox.exit(0)
        await run.until(lambda: run.state == "stopped")
        data = b""
        kind = 0
        while kind != FrameType.EXITED:
            kind, payload = await peer.next_frame()
            data += payload if kind == FrameType.STDOUT else b""
        assert "line 59999" in shown(data)


async def test_a_terminal_of_a_run_with_pipes(machine: Machine, window: UsersTerminal) -> None:
    """There is no screen to paint: it gets the streams, and is its client's to write on."""
    async with machine.supervised() as run:
        peer = run.attach(**window.hello())
        assert (await welcomed(peer))["painted"] is False
        run.sandbox.io.write_output(b"plain")
        assert await peer.output(b"plain") == b"plain"
        run.sandbox.exit(0)
        await peer.frame(FrameType.EXITED)
        assert window.draw() == b""


# --- what a client does ---


async def test_input_goes_to_the_program(machine: Machine) -> None:
    """And its end behind it; the client hears of what was taken once it is worth a frame."""
    async with machine.supervised(interactive=True) as run:
        io = run.sandbox.io
        io.read(room=CONSUMED_BYTES - 1)
        peer = run.attach()
        assert (await welcomed(peer))["interactive"] is True
        for _ in range(3):
            peer.send(FrameType.INPUT, bytes(CONSUMED_BYTES // 2))
        peer.send(FrameType.INPUT_END)
        await peer.handled()
        assert len(io.input) == CONSUMED_BYTES - 1
        assert not io.input_ended
        io.read()
        assert io.input_ended
        consumed = frames.COUNT.unpack(await peer.frame(FrameType.CONSUMED))[0]
        assert consumed == CONSUMED_BYTES
        assert peer.received == []


async def test_a_read_only_client_looks_on(machine: Machine) -> None:
    """It can't type, end the input, send a signal, or set the size."""
    async with machine.supervised(tty=True, interactive=True) as run:
        guest = run.attach(terminal=True, columns=30, rows=8, read_only=True)
        for kind, payload in (
            (FrameType.INPUT, b"rm"),
            (FrameType.INPUT_END, b""),
            (FrameType.SIGNAL, bytes([signal.SIGKILL])),
            (FrameType.RESIZE, frames.SIZE.pack(20, 5)),
        ):
            guest.send(kind, payload)
        await guest.handled()
        io = run.sandbox.io
        assert (io.input, io.input_ended, io.size) == (b"", False, None)
        assert run.sandbox.programs["main"].signals == []
        assert events(run, "viewer_attached")[0]["read_only"] is True


async def test_whoever_types_leads(machine: Machine) -> None:
    """The program gets the size of that client's terminal, and its changes."""
    async with machine.supervised(tty=True, interactive=True) as run:
        wide = run.attach(terminal=True, columns=100, rows=30)
        await welcomed(wide)
        assert run.sandbox.io.size == TerminalSize(100, 30)
        small = run.attach(terminal=True, columns=30, rows=8)
        await welcomed(small)
        assert run.sandbox.io.size == TerminalSize(100, 30)
        small.send(FrameType.INPUT, b"x")
        await small.handled()
        assert run.sandbox.io.size == TerminalSize(30, 8)
        small.send(FrameType.RESIZE, frames.SIZE.pack(31, 9))
        small.send(FrameType.RESIZE, frames.SIZE.pack(0, 9))  # a terminal that doesn't know
        await small.handled()
        assert run.sandbox.io.size == TerminalSize(31, 9)


async def test_a_stream_client_has_no_size_and_no_pause(machine: Machine) -> None:
    """Both are for terminals; it is answered, for it waits for that."""
    async with machine.supervised(tty=True) as run:
        peer = run.attach()
        peer.send(FrameType.RESIZE, frames.SIZE.pack(20, 5))
        await peer.handled()
        run.sandbox.io.write_output(b"goes on")
        assert await peer.output(b"goes on") == b"goes on"
        assert run.sandbox.io.size is None


async def test_a_client_detaches(machine: Machine, window: UsersTerminal) -> None:
    """Its terminal is given back; what else it has sent counts for nothing, and the run goes on."""
    async with machine.supervised(tty=True, interactive=True) as run:
        peer = run.attach(**window.hello())
        await welcomed(peer)
        run.sandbox.io.write_output(b"\x1b[?25lhidden cursor")
        together = frames.encode(FrameType.DETACH) + frames.encode(FrameType.INPUT, b"late")
        peer.sock.send(together)
        assert await peer.frame(FrameType.DETACHED) == b""
        assert await peer.hung_up()
        assert window.rows[0] == "hidden cursor"
        assert window.screen.cursor_visible
        peer.sock.close()
        await left(run)
        assert run.sandbox.io.input == b""
        assert [event["reason"] for event in events(run, "viewer_detached")] == ["detached"]
        assert (run.state, run.store.get(run.spec.id).viewers) == ("running", 0)


async def test_a_client_detaches_from_a_flood(machine: Machine, window: UsersTerminal) -> None:
    """At once, whatever its terminal has not shown."""
    async with machine.supervised(tty=True) as run:
        peer = run.attach(**window.hello())
        await welcomed(peer)
        for _ in range(100):
            run.sandbox.io.write_output(b"flood " * 100)
        peer.send(FrameType.DETACH)
        await peer.frame(FrameType.DETACHED)
        assert window.draw().endswith(POP_TITLE)


async def test_a_client_is_dismissed(machine: Machine, window: UsersTerminal) -> None:
    """It is told by whom."""
    async with machine.supervised(tty=True) as run:
        peer = run.attach(**window.hello())
        await welcomed(peer)
        assert await run.ask("POST", "/v1/detach") == {"detached": 1}
        assert await peer.frame(FrameType.DETACHED) == b"detached by moat detach"
        assert window.draw().endswith(POP_TITLE)
        assert events(run, "viewer_detached")[0]["reason"] == "dismissed"


async def test_a_paused_client_has_its_terminal(machine: Machine, window: UsersTerminal) -> None:
    """Nothing is painted until it resumes; then the screen is there, in all its state."""
    async with machine.supervised(tty=True) as run:
        peer = run.attach(**window.hello())
        await welcomed(peer)
        run.sandbox.io.write_output(b"\x1b[?1049h\x1b[?1000hfull screen")
        await window.shows("full screen")
        peer.send(FrameType.PAUSE)
        await peer.frame(FrameType.PAUSED)
        window.draw()
        assert not window.screen.alternate
        assert not window.screen.modes["mouse_buttons"]
        run.sandbox.io.write_output(b" and more")
        assert window.draw() == b""
        peer.send(FrameType.RESUME)
        await window.shows("full screen and more")
        assert window.screen.alternate
        assert window.screen.modes["mouse_buttons"]


async def test_a_client_is_paused_in_a_flood(machine: Machine, window: UsersTerminal) -> None:
    """What its terminal has not taken is dropped: it would be painted over what follows."""
    async with machine.supervised(tty=True) as run:
        peer = run.attach(**window.hello())
        await welcomed(peer)
        for _ in range(100):
            run.sandbox.io.write_output(b"flood " * 100)
        peer.send(FrameType.PAUSE)
        await peer.frame(FrameType.PAUSED)
        assert window.draw().endswith(POP_TITLE)
        await run.turn()
        assert window.draw() == b""
        run.sandbox.io.write_output(b"\x1b[2J\x1b[Hpresent")
        peer.send(FrameType.RESUME)
        await window.shows("present")


async def test_a_title_is_put_aside_as_often_as_it_comes_back(
    machine: Machine, window: UsersTerminal
) -> None:
    """A title that somebody else has put aside on the same stack stays there."""
    async with machine.supervised(tty=True) as run:
        peer = run.attach(**window.hello())
        for _ in range(2):
            await peer.handled()
        peer.send(FrameType.DETACH)
        await peer.frame(FrameType.DETACHED)
        window.draw()
        assert window.output.count(PUSH_TITLE) == window.output.count(POP_TITLE) == 3


@pytest.mark.parametrize("way", ["dismissed", "ended", "gone"])
async def test_a_paused_client_goes(machine: Machine, window: UsersTerminal, way: str) -> None:
    """A shell has its terminal, and writes there: nobody else does."""
    async with machine.supervised(tty=True) as run:
        peer = run.attach(**window.hello())
        await welcomed(peer)
        peer.send(FrameType.PAUSE)
        await peer.frame(FrameType.PAUSED)
        window.draw()
        termios.tcsetattr(window.fd, termios.TCSANOW, window.saved)  # as a client does that stops
        if way == "dismissed":
            await run.ask("POST", "/v1/detach")
            await peer.frame(FrameType.DETACHED)
        elif way == "ended":
            run.sandbox.exit(0)
            await peer.frame(FrameType.EXITED)
        else:
            peer.sock.close()
            await left(run)
        assert window.draw() == b""
        assert events(run, "viewer_detached")[0]["reason"] == way


async def test_a_client_is_told_that_it_can_t_attach(machine: Machine) -> None:
    """There is no such session; a code says so to programs."""
    async with machine.supervised() as run:
        peer = run.attach(session="exec-9")
        failure = json.loads(await peer.frame(FrameType.FAILED))
        assert (failure["summary"], failure["code"]) == ("there is no session exec-9", "no_session")
        assert await peer.hung_up()
        assert "viewer_attached" not in run.kinds


# --- clients that vanish ---


async def test_a_dead_client_s_terminal_is_given_back(
    machine: Machine, window: UsersTerminal
) -> None:
    """Echo, line editing and modes are as they were before it came."""
    async with machine.supervised(tty=True) as run:
        peer = run.attach(**window.hello())
        await welcomed(peer)
        run.sandbox.io.write_output(b"\x1b[?1049h\x1b[?25l\x1b[?1000h")
        await window.until(lambda: window.screen.alternate)
        peer.sock.close()
        await left(run)
        window.draw()
        assert not window.screen.alternate
        assert window.screen.cursor_visible
        assert not window.screen.modes["mouse_buttons"]
        assert window.line_discipline == window.saved
        assert events(run, "viewer_detached")[0]["reason"] == "gone"
        assert run.state == "running"


async def test_a_client_dies_before_there_is_a_session(
    machine: Machine, window: UsersTerminal
) -> None:
    """Nothing was painted, but its terminal is raw."""
    async with machine.listening(tty=True) as run:
        peer = run.attach(**window.hello())
        await run.turn()
        peer.sock.close()
        await left(run)
        assert window.line_discipline == window.saved
        await run.supervisor.begin()
        assert run.state == "running"
        assert "viewer_attached" not in run.kinds


async def test_a_client_that_dies_without_reading(machine: Machine) -> None:
    """Its end of the connection is reset, not closed; that is the same."""
    async with machine.supervised() as run:
        peer = run.attach()
        await welcomed(peer)
        run.sandbox.io.write_output(b"unread")
        peer.sock.close()
        await left(run)
        assert events(run, "viewer_detached")[0]["reason"] == "gone"


async def test_a_client_whose_death_is_found_by_writing(machine: Machine) -> None:
    """Once, though it can be read from the socket, too."""
    async with machine.supervised() as run:
        peer = run.attach()
        await welcomed(peer)
        peer.sock.close()
        run.sandbox.io.write_output(b"to nobody")
        await left(run)
        assert len(events(run, "viewer_detached")) == 1


# --- before there is a session ---


async def test_a_client_that_is_early(machine: Machine) -> None:
    """It waits for the session, which then gets what it has sent."""
    async with machine.listening(tty=True, interactive=True) as run:
        peer = run.attach(terminal=True, columns=80, rows=24)
        peer.send(FrameType.INPUT, b"typed ahead")
        peer.send(FrameType.RESIZE, frames.SIZE.pack(30, 8))
        await run.supervisor.begin()
        await peer.handled()
        assert run.sandbox.io.input == b"typed ahead"
        assert run.sandbox.io.size == TerminalSize(30, 8)


async def test_an_early_client_leaves(machine: Machine, window: UsersTerminal) -> None:
    """As soon as there is something to leave; or it is dismissed before."""
    async with machine.listening(tty=True) as run:
        peer, other = run.attach(**window.hello()), run.attach()
        peer.send(FrameType.DETACH)
        await run.turn()
        run.supervisor.viewers.attached[1].dismiss("not now")
        assert await other.frame(FrameType.DETACHED) == b"not now"
        await run.supervisor.begin()
        assert await peer.frame(FrameType.DETACHED) == b""
        assert await other.hung_up()
        assert other.received == []
        assert len(events(run, "viewer_attached")) == 1


async def test_an_early_client_is_told_of_a_failed_start_once(machine: Machine) -> None:
    """Although its supervisor hears of it in two ways; then it is the client that closes."""
    machine.sandbox.refuses = CommandRefusedError("no sandbox today")
    async with machine.listening(keep=True) as run:
        peer = run.attach()
        await run.turn()
        await run.supervisor.begin()
        assert b"no sandbox today" in await peer.frame(FrameType.FAILED)
        await run.turn()
        assert len(run.supervisor.viewers.attached) == 1
        assert await peer.hung_up()
        assert peer.received == []
        peer.sock.close()
        await left(run)


# --- nonsense ---

HELLO = frames.encode(FrameType.HELLO, b"{}")


def hello(**fields: Any) -> bytes:
    return frames.encode(FrameType.HELLO, json.dumps(fields).encode())


NONSENSE = {
    "no frame": struct.pack(">BI", FrameType.INPUT, frames.MAX_PAYLOAD + 1),
    "no JSON": frames.encode(FrameType.HELLO, b"hello"),
    "deep JSON": frames.encode(FrameType.HELLO, b"[" * 100_000),
    "no name": hello(session=7),
    "no width": hello(columns=-5, rows=5, terminal=True),
    "no height": hello(columns=5, rows=1 << 16, terminal=True),
    "two greetings": HELLO + HELLO,
    "half a size": HELLO + frames.encode(FrameType.RESIZE, b"\0"),
    "no signal": HELLO + frames.encode(FrameType.SIGNAL),
}


@pytest.mark.parametrize("nonsense", NONSENSE.values(), ids=NONSENSE)
@pytest.mark.parametrize("early", [False, True])
async def test_a_client_that_sends_nonsense(machine: Machine, nonsense: bytes, early: bool) -> None:
    """It is dropped, whenever it sends it; the run and the other clients don't notice."""
    async with machine.listening(tty=True) as run:
        other = run.attach()
        if not early:
            await run.supervisor.begin()
        peer = run.connect()
        peer.sock.send(nonsense)
        if early:
            await run.turn()
            await run.supervisor.begin()
        assert await peer.hung_up()
        await run.until(lambda: len(run.supervisor.viewers.attached) == 1)
        run.sandbox.io.write_output(b"still here")
        assert await other.output(b"still here") == b"still here"


@pytest.mark.parametrize("nonsense", [7, "abcdefg", {"a": 1}, [None] * 7, [0] * 6 + [[300] * 32]])
async def test_a_terminal_with_nonsense_for_settings(
    machine: Machine, window: UsersTerminal, nonsense: Any
) -> None:
    """It is nonsense like any other: nothing is painted, and nothing is set."""
    async with machine.supervised(tty=True) as run:
        before = window.line_discipline
        peer = run.attach(**window.hello() | {"termios": nonsense})
        assert await peer.hung_up()
        assert window.line_discipline == before
        assert window.draw() == b""


async def test_frames_that_are_not_known_are_ignored(machine: Machine) -> None:
    """A newer client may say more."""
    async with machine.supervised(interactive=True) as run:
        peer = run.attach(colour="blue")
        peer.sock.send(struct.pack(">BI", 99, 3) + b"???")
        peer.send(FrameType.INPUT, b"x")
        await peer.handled()
        assert run.sandbox.io.input == b"x"
