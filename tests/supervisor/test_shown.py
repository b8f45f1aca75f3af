"""What attached clients see beside the program's output, whose size it has, and who waits for whom."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.supervisor.terminals import UsersTerminal

from moat.spec import TerminalSize
from moat.supervisor import attached
from moat.wire import frames
from moat.wire.frames import FrameType

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.supervisor.conftest import Machine, Peer, Run


@pytest.fixture
def window() -> Iterator[UsersTerminal]:
    with UsersTerminal() as window:
        yield window


async def welcomed(peer: Peer) -> dict[str, Any]:
    return json.loads(await peer.frame(FrameType.WELCOME))


# --- lines of Moat's own ---


def show(run: Run, text: str, *, new: bool = True) -> None:
    """As when requests wait for an answer."""
    notices = run.supervisor.context.notices
    notices.question = text
    notices.show(new=new)


async def test_a_notice_is_shown_to_everybody(machine: Machine, window: UsersTerminal) -> None:
    """Who comes later sees it, too, on its last row or apart from the output."""
    async with machine.supervised(tty=True) as run:
        run.sandbox.io.write_output(b"the program's")
        seeing, reading = run.attach(**window.hello()), run.attach()
        for each in (seeing, reading):
            await welcomed(each)
        show(run, "a host waits")
        await window.until(lambda: window.rows[-1] == " moat: a host waits")
        assert window.rows[0] == "the program's"
        late = run.attach()
        for each in (reading, late):
            assert await each.frame(FrameType.NOTICE) == b"a host waits"
        assert run.sandbox.io.input == b""
        assert seeing.received == []


async def test_a_notice_is_never_torn_and_goes_without_a_trace(
    machine: Machine, window: UsersTerminal
) -> None:
    """A program that scrolls, and writes where it stands, can't move it, nor can its own go with it."""
    async with machine.supervised(tty=True) as run:
        peer = run.attach(**window.hello())
        await welcomed(peer)
        show(run, "two hosts wait")
        run.sandbox.io.write_output(b"\x1b[?1000h\x1b[4h")
        for number in range(40):
            run.sandbox.io.write_output(b"line %d\r\n" % number)
        await window.until(lambda: "line 39" in window.rows)
        assert window.rows[-1] == " moat: two hosts wait"
        assert sum("moat:" in row for row in window.rows) == 1
        show(run, "one host waits", new=False)
        await window.until(lambda: window.rows[-1] == " moat: one host waits")
        assert window.screen.modes["mouse_buttons"]
        show(run, "", new=False)
        await window.until(lambda: not any("moat:" in row for row in window.rows))
        screen = run.supervisor.sessions.get("main")
        assert screen is not None
        assert screen.screen is not None
        assert "\n".join(window.rows) == screen.screen.text()
        assert window.screen.modes == screen.screen.modes
        run.sandbox.io.write_output(b"passed on")
        await window.until(lambda: window.output.endswith(b"passed on"))


async def test_a_notice_hides_no_cursor(machine: Machine, window: UsersTerminal) -> None:
    """Where the program's is on the last row, the picture stands higher by one."""
    async with machine.supervised(tty=True) as run:
        run.sandbox.io.write_output(b"first\x1b[24;1Hprompt$ ")
        peer = run.attach(**window.hello())
        await welcomed(peer)
        show(run, "a host waits")
        await window.until(lambda: window.rows[-1] == " moat: a host waits")
        assert window.rows[-2] == "prompt$"
        assert window.screen.cursor == (8, 22)


@pytest.mark.parametrize("way", ["detached", "ended", "paused"])
async def test_a_terminal_with_a_notice_is_given_back(
    machine: Machine, window: UsersTerminal, way: str
) -> None:
    """Without it; and when it is taken again the notice is back."""
    async with machine.supervised(tty=True) as run:
        run.sandbox.io.write_output(b"a\r\nb\r\nc\x1b[2A")
        peer = run.attach(**window.hello())
        await welcomed(peer)
        show(run, "a host waits")
        await window.until(lambda: window.rows[-1] == " moat: a host waits")
        if way == "detached":
            peer.send(FrameType.DETACH)
            await peer.frame(FrameType.DETACHED)
        elif way == "ended":
            run.sandbox.exit(0)
            await peer.frame(FrameType.EXITED)
        else:
            peer.send(FrameType.PAUSE)
            await peer.frame(FrameType.PAUSED)
        assert [row for row in window.rows if row] == ["a", "b", "c"]
        assert window.screen.cursor == (0, 3)
        if way == "paused":
            peer.send(FrameType.RESUME)
            await window.until(lambda: window.rows[-1] == " moat: a host waits")


async def test_a_hint_is_this_clients(machine: Machine, window: UsersTerminal) -> None:
    """It comes before what everybody is told, which is back behind it."""
    async with machine.supervised(tty=True) as run:
        peer, other = run.attach(**window.hello()), run.attach(terminal=True, columns=80, rows=24)
        for each in (peer, other):
            await welcomed(each)
        show(run, "a host waits")
        peer.send(FrameType.HINT, "d 宽 detach".encode())
        await window.until(lambda: window.rows[-1] == " moat: d 宽 detach")
        peer.send(FrameType.HINT, b"")
        await window.until(lambda: window.rows[-1] == " moat: a host waits")
        await other.handled()


async def test_a_status_row_may_be_off(machine: Machine, window: UsersTerminal) -> None:
    """Nothing is drawn over the program's last row then."""
    async with machine.supervised(tty=True) as run:
        peer = run.attach(**window.hello() | {"status_row": False})
        await welcomed(peer)
        show(run, "a host waits")
        peer.send(FrameType.HINT, b"a hint")
        run.sandbox.io.write_output(b"the program's")
        await peer.handled()
        await window.shows("the program's")
        assert not any("moat:" in row for row in window.rows)


# --- who leads, and who keeps nobody waiting ---


async def test_the_leader_s_death_gives_its_size_to_another(machine: Machine) -> None:
    """At once, and to a guest where only guests are left."""
    async with machine.supervised(tty=True, interactive=True) as run:
        leader = run.attach(terminal=True, columns=100, rows=30)
        small = run.attach(terminal=True, columns=60, rows=15, width=600, height=300)
        guest = run.attach(terminal=True, columns=50, rows=12, read_only=True)
        for each in (leader, small, guest):
            await welcomed(each)
        assert run.sandbox.io.size == TerminalSize(100, 30)
        leader.sock.close()
        await run.until(lambda: len(run.supervisor.viewers.attached) == 2)
        assert (run.sandbox.io.size, run.sandbox.io.pixels) == (TerminalSize(60, 15), (600, 300))
        small.send(FrameType.DETACH)
        await small.frame(FrameType.DETACHED)
        assert run.sandbox.io.size == TerminalSize(50, 12)
        guest.send(FrameType.RESIZE, frames.SIZE_AND_PIXELS.pack(51, 13, 510, 260))
        await guest.handled()
        assert (run.sandbox.io.size, run.sandbox.io.pixels) == (TerminalSize(51, 13), (510, 260))


async def test_what_a_terminal_sends_by_itself_leads_nowhere(machine: Machine) -> None:
    """The program gets it all the same."""
    async with machine.supervised(tty=True, interactive=True) as run:
        for columns in (100, 60):
            await welcomed(run.attach(terminal=True, columns=columns, rows=20))
        other = run.peers[1]
        other.send(FrameType.REPORT, b"\x1b[I")
        await other.handled()
        assert (run.sandbox.io.input, run.sandbox.io.size) == (b"\x1b[I", TerminalSize(100, 20))
        other.send(FrameType.INPUT, b"x")
        await other.handled()
        assert run.sandbox.io.size == TerminalSize(60, 20)


async def test_a_terminal_that_never_draws_keeps_nobody_waiting(
    machine: Machine, window: UsersTerminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its client, which does not read either, is dropped."""
    monkeypatch.setattr(attached, "DRAW_S", 0.01)
    monkeypatch.setattr(attached, "CLOSE_S", 0.01)
    async with machine.supervised(tty=True) as run:
        await welcomed(run.attach(**window.hello()))
        window.fill()
        run.sandbox.io.write_output(b"never drawn")
        run.sandbox.exit(0)
        await run.over()
        assert run.supervisor.viewers.attached == ()
