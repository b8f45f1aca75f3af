"""A view: one connection from the user's side, with real descriptors, terminals and signals."""

from __future__ import annotations

import os
import signal
import struct
from typing import TYPE_CHECKING, Any

import pytest
from tests.client.attach.scenes import PREFIX, Desk, PlayedSupervisor, Scene, send_signal

from moat.client.attach import view
from moat.client.attach.endings import Detached, OutputClosedError, SupervisorSilentError
from moat.client.connect.channel import Channel, ChannelLostError
from moat.errors import MoatError
from moat.platform import tty
from moat.session.terminal.screen import Screen
from moat.spec import TerminalSize
from moat.wire import frames
from moat.wire.frames import FrameType
from moat.wire.messages import Exited, Hello

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SIZE = TerminalSize(90, 20)
CTRL_C = b"\x03"


@pytest.fixture
def scene() -> Iterator[Callable[..., Scene]]:
    """Make scenes whose descriptors are closed in the end."""
    made: list[Scene] = []

    def make(**settings: Any) -> Scene:
        made.append(Scene(**settings))
        return made[-1]

    yield make
    for each in made:
        each.desk.close()


def leave(supervisor: PlayedSupervisor) -> None:
    """Answer a DETACH, which comes next."""
    supervisor.expect(FrameType.DETACH)
    supervisor.send(FrameType.DETACHED)


# --- the beginning and the end ---


def test_the_terminal_is_passed(scene: Callable[..., Scene]) -> None:
    """Its descriptor, and its settings from before it was changed."""
    at_desk = scene()
    before = at_desk.desk.line_discipline

    def script(supervisor: PlayedSupervisor, desk: Desk) -> None:
        assert os.ttyname(supervisor.fds[0]) == os.ttyname(desk.ends[1])
        assert supervisor.hello["termios"][: tty.CC] == before[: tty.CC]
        assert supervisor.hello["passed"] is True
        assert desk.line_discipline == tty.raw(before)
        supervisor.send_message(FrameType.WELCOME, version="1", tty=True, interactive=True)
        supervisor.exit(3)

    assert at_desk.play(script) == Exited(3)
    assert at_desk.painted
    assert at_desk.desk.line_discipline == before


def test_without_a_screen_nothing_is_passed(scene: Callable[..., Scene]) -> None:
    """Output comes in frames, from the offsets that the supervisor names."""
    in_pipes = scene(terminal=False)

    def script(supervisor: PlayedSupervisor, desk: Desk) -> None:
        assert supervisor.fds == []
        assert supervisor.hello["termios"] == []
        supervisor.send_message(
            FrameType.WELCOME, version="1", tty=False, interactive=True, stdout=100, stderr=10
        )
        supervisor.send(FrameType.STDOUT, b"output")
        supervisor.send(FrameType.STDERR, b"error")
        supervisor.exit()
        assert desk.shows(b"output") == b"output"
        assert desk.complains(b"error") == b"error"

    assert in_pipes.play(script) == Exited(0)
    assert in_pipes.offsets == {1: 106, 2: 15}
    assert not in_pipes.painted


def test_a_terminal_painted_over_frames(scene: Callable[..., Scene]) -> None:
    """What the supervisor paints is written as it is: it has been filtered there."""
    at_desk = scene()

    def script(supervisor: PlayedSupervisor, desk: Desk) -> None:
        supervisor.send(FrameType.STDOUT, b"\x1b[22;0tpainted")
        desk.shows(b"\x1b[22;0tpainted")
        supervisor.exit()

    at_desk.play(script)


@pytest.mark.parametrize("code", [0, 137, None])
def test_the_session_ends(scene: Callable[..., Scene], code: int | None) -> None:
    """The exit code is its own; nobody may have seen it."""

    def script(supervisor: PlayedSupervisor, _desk: Desk) -> None:
        supervisor.send_message(FrameType.EXITED, exit_code=code, state="lost")

    assert scene().play(script) == Exited(code, "lost")


def test_it_is_detached_by_somebody_else(scene: Callable[..., Scene]) -> None:
    """It says by whom."""

    def script(supervisor: PlayedSupervisor, _desk: Desk) -> None:
        supervisor.send(FrameType.DETACHED, b"detached by moat detach")

    assert scene().play(script) == Detached("detached by moat detach")


def test_there_is_nothing_to_attach_to(scene: Callable[..., Scene]) -> None:
    """The reason, the hint and the code for programs are the supervisor's."""

    def script(supervisor: PlayedSupervisor, _desk: Desk) -> None:
        supervisor.send_message(FrameType.FAILED, summary="no", hint="do", code="no_session")

    with pytest.raises(MoatError) as raised:
        scene().play(script)
    assert (raised.value.summary, raised.value.hint, raised.value.code) == (
        "no",
        "do",
        "no_session",
    )


def test_the_supervisor_dies(scene: Callable[..., Scene]) -> None:
    """There is no last frame; how far the output came is known for the next connection."""
    in_pipes = scene(terminal=False)

    def script(supervisor: PlayedSupervisor, _desk: Desk) -> None:
        supervisor.send(FrameType.STDOUT, b"so far")

    with pytest.raises(ChannelLostError):
        in_pipes.play(script)
    assert in_pipes.offsets == {1: 6, 2: 0}


def test_a_supervisor_that_is_gone_before_it_is_greeted(scene: Callable[..., Scene]) -> None:
    """The same error as a moment later; signals are the process's own again."""
    import socket  # noqa: PLC0415

    at_desk = scene(terminal=False)
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    ours, theirs = socket.socketpair()
    theirs.close()
    with Channel(ours) as channel, pytest.raises(ChannelLostError):
        view.View(channel, at_desk._settings, None, {}, at_desk).run(Hello(), [])
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers


def test_frames_that_are_not_known(scene: Callable[..., Scene]) -> None:
    """A newer supervisor has more to say, and a pause that nobody has asked for changes nothing."""

    def script(supervisor: PlayedSupervisor, desk: Desk) -> None:
        supervisor.sock.sendall(struct.pack(">BI", 99, 3) + b"???")
        supervisor.send(FrameType.PAUSED)
        desk.type(b"x")
        assert supervisor.expect(FrameType.INPUT) == b"x"
        supervisor.exit()

    scene().play(script)


# --- input ---


def test_keys_go_to_the_program(scene: Callable[..., Scene]) -> None:
    """As they are typed; an Escape that nothing follows after a moment."""

    def script(supervisor: PlayedSupervisor, desk: Desk) -> None:
        for key in (b"a", b"\r", CTRL_C, b"\x1b[A", b"\x1b"):
            desk.type(key)
            assert supervisor.expect(FrameType.INPUT) == key
        supervisor.exit()

    scene().play(script)


def test_keys_detach(scene: Callable[..., Scene]) -> None:
    """What was typed before is the program's, and nothing that comes after."""

    def script(supervisor: PlayedSupervisor, desk: Desk) -> None:
        desk.type(b"before" + PREFIX + b"d" + b"after")
        assert supervisor.expect(FrameType.INPUT) == b"before"
        leave(supervisor)

    assert scene().play(script) == Detached("")


def test_keys_stop_the_run(scene: Callable[..., Scene]) -> None:
    """The view goes on until the supervisor says what became of it."""
    at_desk = scene()

    def script(supervisor: PlayedSupervisor, desk: Desk) -> None:
        desk.type(PREFIX + b"k" + b"x")
        assert supervisor.expect(FrameType.INPUT) == b"x"
        assert at_desk.stops == 1
        supervisor.exit(143)

    assert at_desk.play(script) == Exited(143)


def test_keys_save_the_screen(scene: Callable[..., Scene]) -> None:
    """The last row says where, and the program's cursor stays where it was."""

    def script(supervisor: PlayedSupervisor, desk: Desk) -> None:
        desk.resize(SIZE)
        desk.type(PREFIX + b"s")
        screen = Screen(SIZE, 0)
        screen.feed(b"program")
        screen.feed(desk.shows(b"\x1b8"))
        assert screen.text().split("\n")[-1].strip() == "moat: screen saved: /runs/screen.txt"
        assert screen.cursor == (7, 0)
        screen.close()
        supervisor.exit()

    scene().play(script)


def test_keys_show_help(scene: Callable[..., Scene]) -> None:
    """On a terminal that the supervisor has let go of; any key goes back and is no one's."""

    def script(supervisor: PlayedSupervisor, desk: Desk) -> None:
        for _ in range(2):
            desk.type(PREFIX + b"?")
            supervisor.expect(FrameType.PAUSE)
            supervisor.send(FrameType.PAUSED)
            assert b"detach: the run goes on" in desk.shows(b"goes back.\r\n")
            desk.type(b"d")
            supervisor.expect(FrameType.RESUME)
        desk.type(b"x")
        assert supervisor.expect(FrameType.INPUT) == b"x"
        supervisor.exit()

    scene().play(script)


def test_help_ends_while_the_program_reads_nothing(scene: Callable[..., Scene]) -> None:
    """The key that ends it needs no room in the window."""

    def script(supervisor: PlayedSupervisor, desk: Desk) -> None:
        desk.type(b"x" * (frames.INPUT_WINDOW - 2))
        supervisor.expect_input(frames.INPUT_WINDOW - 2)
        desk.type(PREFIX + b"?")
        supervisor.expect(FrameType.PAUSE)
        supervisor.send(FrameType.PAUSED)
        desk.shows(b"goes back.\r\n")
        desk.type(b"y")
        supervisor.expect(FrameType.RESUME)
        supervisor.exit()

    scene().play(script)


def test_escape_keys_that_are_switched_off(scene: Callable[..., Scene]) -> None:
    """Every byte is the program's."""

    def script(supervisor: PlayedSupervisor, desk: Desk) -> None:
        desk.type(PREFIX + b"d")
        assert supervisor.expect_input(2) == PREFIX + b"d"
        supervisor.exit()

    scene(escape_prefix=b"").play(script)


def test_input_from_a_pipe(scene: Callable[..., Scene]) -> None:
    """Byte for byte, escape keys as well, and its end behind it."""

    def script(supervisor: PlayedSupervisor, desk: Desk) -> None:
        desk.type(PREFIX + b"d" + CTRL_C)
        desk.end_input()
        assert supervisor.expect_input(3) == PREFIX + b"d" + CTRL_C
        supervisor.expect(FrameType.INPUT_END)
        supervisor.send(FrameType.STDOUT, b"still shown")
        supervisor.exit()

    scene(terminal=False).play(script)


def test_input_stays_within_its_window(scene: Callable[..., Scene]) -> None:
    """What the program has not taken counts; other frames are sent beside it."""

    def script(supervisor: PlayedSupervisor, desk: Desk) -> None:
        window = frames.INPUT_WINDOW
        desk.type(b"a" * window)
        assert supervisor.expect_input(window) == b"a" * window
        desk.type(b"waiting")
        send_signal(signal.SIGINT)
        supervisor.expect(FrameType.SIGNAL)
        supervisor.send(FrameType.CONSUMED, frames.COUNT.pack(4))
        assert supervisor.expect(FrameType.INPUT) == b"wait"
        supervisor.send(FrameType.CONSUMED, frames.COUNT.pack(window))
        assert supervisor.expect(FrameType.INPUT) == b"ing"
        supervisor.exit()

    scene(terminal=False, passes_signals=True).play(script)


def test_input_that_the_supervisor_takes_late(scene: Callable[..., Scene]) -> None:
    """It waits here, in order."""
    data = bytes(range(256)) * (frames.INPUT_WINDOW // 256)

    def script(supervisor: PlayedSupervisor, desk: Desk) -> None:
        desk.type(data)
        assert supervisor.expect_input(len(data)) == data
        supervisor.exit()

    scene(terminal=False).play(script)


def test_input_from_a_file(scene: Callable[..., Scene], tmp_path: Any) -> None:
    """As `moat run -i < file`."""
    path = tmp_path / "input"
    path.write_bytes(b"contents")
    in_pipes = scene(terminal=False)
    os.dup2(os.open(path, os.O_RDONLY), in_pipes.desk.ends[0])

    def script(supervisor: PlayedSupervisor, _desk: Desk) -> None:
        assert supervisor.expect(FrameType.INPUT) == b"contents"
        supervisor.expect(FrameType.INPUT_END)
        supervisor.exit()

    in_pipes.play(script)


def test_a_program_that_takes_no_input(scene: Callable[..., Scene]) -> None:
    """Nothing is read from a pipe, which others may be meant to read."""
    in_pipes = scene(terminal=False, takes_input=False)
    in_pipes.desk.type(b"for others")

    def script(supervisor: PlayedSupervisor, _desk: Desk) -> None:
        send_signal(signal.SIGTERM)
        leave(supervisor)

    in_pipes.play(script)
    assert os.read(in_pipes.desk.ends[0], 100) == b"for others"


def test_the_window_is_closed(scene: Callable[..., Scene]) -> None:
    """The program reads the end of its input; that the terminal is gone is no error."""

    def script(supervisor: PlayedSupervisor, desk: Desk) -> None:
        os.close(desk.keyboard)
        supervisor.expect(FrameType.INPUT_END)
        supervisor.exit()

    scene().play(script)


# --- Ctrl-C, where the program takes no input ---


@pytest.mark.parametrize("on_screen", [True, False])
def test_two_interrupts_stop_the_run(scene: Callable[..., Scene], on_screen: bool) -> None:
    """The first says what the second does. On a screen Ctrl-C is a key, else a signal."""
    at_desk = scene(takes_input=False, on_screen=on_screen)

    def press(desk: Desk) -> None:
        if on_screen:
            desk.type(CTRL_C)
        else:
            send_signal(signal.SIGINT)

    def script(supervisor: PlayedSupervisor, desk: Desk) -> None:
        press(desk)
        desk.shows(b"press Ctrl-C again within 30 s")
        assert at_desk.stops == 0
        press(desk)
        desk.shows(b"stopping the run")
        supervisor.exit(143)

    assert at_desk.play(script) == Exited(143)
    assert at_desk.stops == 1


def test_one_interrupt_detaches(scene: Callable[..., Scene]) -> None:
    """When no second one has come within the time."""
    in_pipes = scene(terminal=False, takes_input=False, interrupt_window=0.01)

    def script(supervisor: PlayedSupervisor, desk: Desk) -> None:
        send_signal(signal.SIGINT)
        desk.complains(b"within 0.01 s")
        leave(supervisor)

    assert in_pipes.play(script) == Detached("")
    assert in_pipes.stops == 0


# --- signals ---


def test_a_script_s_interrupt_goes_to_the_command(scene: Callable[..., Scene]) -> None:
    """Where nobody sits the client stands for the command."""

    def script(supervisor: PlayedSupervisor, _desk: Desk) -> None:
        send_signal(signal.SIGINT)
        assert supervisor.expect(FrameType.SIGNAL) == bytes([signal.SIGINT])
        supervisor.exit(130)

    assert scene(terminal=False, passes_signals=True).play(script) == Exited(130)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_view_is_told_to_go(scene: Callable[..., Scene], number: signal.Signals) -> None:
    """It detaches; the half of a prefix that was typed before is not lost with it."""

    def script(supervisor: PlayedSupervisor, desk: Desk) -> None:
        desk.type(b"x" + PREFIX)
        assert supervisor.expect(FrameType.INPUT) == b"x"
        send_signal(number)
        assert supervisor.expect(FrameType.INPUT) == PREFIX
        leave(supervisor)

    assert scene().play(script) == Detached("")


def test_the_window_s_size_changes(scene: Callable[..., Scene]) -> None:
    """The supervisor is told of what it is then."""

    def script(supervisor: PlayedSupervisor, desk: Desk) -> None:
        desk.resize(SIZE)
        send_signal(signal.SIGWINCH)
        assert supervisor.expect(FrameType.RESIZE) == frames.SIZE.pack(90, 20)
        supervisor.exit()

    scene().play(script)


def test_a_size_matters_to_nobody_without_a_terminal(scene: Callable[..., Scene]) -> None:
    """The signal is no reason to say anything."""

    def script(supervisor: PlayedSupervisor, _desk: Desk) -> None:
        send_signal(signal.SIGWINCH)
        send_signal(signal.SIGTERM)
        leave(supervisor)

    scene(terminal=False).play(script)


@pytest.mark.parametrize("terminal", [True, False])
def test_a_view_is_suspended(
    scene: Callable[..., Scene], monkeypatch: pytest.MonkeyPatch, terminal: bool
) -> None:
    """While it is stopped the terminal is as it was; then it is raw and painted again."""
    at_desk = scene(terminal=terminal)
    stopped: list[tuple[int, int, Any]] = []

    def stop(pid: int, number: int) -> None:
        """Instead of the kernel, which would stop this process."""
        stopped.append((pid, number, at_desk.desk.line_discipline if terminal else None))
        if terminal:
            at_desk.desk.resize(SIZE)

    before = at_desk.desk.line_discipline if terminal else None
    monkeypatch.setattr(os, "kill", stop)

    def script(supervisor: PlayedSupervisor, desk: Desk) -> None:
        send_signal(signal.SIGTSTP)
        supervisor.expect(FrameType.PAUSE)
        supervisor.send(FrameType.PAUSED)
        if terminal:
            assert supervisor.expect(FrameType.RESIZE) == frames.SIZE.pack(90, 20)
        supervisor.expect(FrameType.RESUME)
        if before is not None:
            assert desk.line_discipline == tty.raw(before)
        desk.type(b"x")
        assert supervisor.expect(FrameType.INPUT) == b"x"
        supervisor.exit()

    at_desk.play(script)
    assert stopped == [(os.getpid(), signal.SIGSTOP, before)]


def test_a_supervisor_that_is_silent(
    scene: Callable[..., Scene], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It hangs, or was stopped: who wants to leave leaves without it, in a while."""
    monkeypatch.setattr(view, "LEAVE_TIMEOUT_S", 0.01)

    def script(supervisor: PlayedSupervisor, desk: Desk) -> None:
        desk.type(PREFIX + b"d")
        supervisor.expect(FrameType.DETACH)
        supervisor.expect_hang_up()

    at_desk = scene()
    with pytest.raises(SupervisorSilentError):
        at_desk.play(script)


# --- output ---


def test_a_notice(scene: Callable[..., Scene]) -> None:
    """On a screen it is on the last row; elsewhere it is a line beside the output."""

    def on_screen(supervisor: PlayedSupervisor, desk: Desk) -> None:
        supervisor.send(FrameType.NOTICE, b"a host waits \xff")
        assert b"\x1b[24;1H" in desk.shows("moat: a host waits \ufffd".encode())
        supervisor.exit()

    def beside(supervisor: PlayedSupervisor, desk: Desk) -> None:
        supervisor.send(FrameType.NOTICE, b"a host waits")
        assert desk.complains(b"\n") == b"moat: a host waits\n"
        supervisor.exit()

    scene().play(on_screen)
    scene(terminal=False).play(beside)


def test_plain_output_on_a_terminal_is_made_harmless(scene: Callable[..., Scene]) -> None:
    """A run with pipes has met no filter yet; a sequence may be in two frames."""

    def script(supervisor: PlayedSupervisor, desk: Desk) -> None:
        supervisor.send(FrameType.STDOUT, b"one\x1b]52;c;c2Vj")
        supervisor.send(FrameType.STDERR, b"\x1b[cerror")
        supervisor.send(FrameType.STDOUT, b"cmV0\x07two")
        assert desk.shows(b"two") == b"oneerrortwo"
        supervisor.exit()

    at_desk = scene(on_screen=False)
    at_desk.play(script)
    assert at_desk.offsets == {1: 22, 2: 8}


def test_whoever_read_the_output_has_gone(scene: Callable[..., Scene]) -> None:
    """That is an error of its own: a command in its place would have been told by SIGPIPE."""
    in_pipes = scene(terminal=False)

    def script(supervisor: PlayedSupervisor, desk: Desk) -> None:
        os.close(desk.output)
        supervisor.send(FrameType.STDOUT, b"to nobody")

    with pytest.raises(OutputClosedError):
        in_pipes.play(script)
    assert in_pipes.offsets == {1: 0, 2: 0}


def test_a_reader_that_has_stopped_keeps_nobody(scene: Callable[..., Scene]) -> None:
    """A SIGTERM ends a view even in the middle of a write that nobody takes."""
    in_pipes = scene(terminal=False)

    def script(supervisor: PlayedSupervisor, desk: Desk) -> None:
        supervisor.send(FrameType.STDOUT, bytes(1 << 18))  # more than a pipe holds
        desk.shows(b"\0")  # it is in the middle of it
        send_signal(signal.SIGTERM)
        supervisor.expect_hang_up()

    assert in_pipes.play(script) == Detached("")
    assert in_pipes.offsets[1] == 0


def test_other_signals_wait_for_the_reader(scene: Callable[..., Scene]) -> None:
    """A new size in the middle of a write loses none of it."""
    in_pipes = scene(terminal=False)

    def script(supervisor: PlayedSupervisor, desk: Desk) -> None:
        supervisor.send(FrameType.STDOUT, bytes(1 << 18) + b"end")
        desk.shows(b"\0")
        send_signal(signal.SIGWINCH)
        desk.shows(b"end")
        supervisor.exit()

    assert in_pipes.play(script) == Exited(0)
    assert in_pipes.offsets[1] == (1 << 18) + 3
