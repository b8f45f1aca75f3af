"""One attached connection, with a scripted supervisor at its other end."""

from __future__ import annotations

import os
import signal
import socket
import termios
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from tests.client.supervisors import ScriptedSupervisor, frames

from moat.client.attach import view as module
from moat.client.attach.endings import Detached, OutputClosedError, SupervisorSilentError
from moat.client.attach.terminal import LocalTerminal
from moat.client.attach.view import View, ViewSettings
from moat.client.connect.channel import Channel, ChannelLostError
from moat.errors import MoatError
from moat.keyboard import input as input_module
from moat.keyboard.overlay import Question
from moat.platform import tty
from moat.wire import messages
from moat.wire.frames import COUNT, INPUT_WINDOW, SIZE, SIZE_AND_PIXELS, FrameType
from moat.wire.messages import Exited, Hello, Welcome

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from pathlib import Path

    from tests.client.supervisors import Script

    from moat.client.attach.endings import Ending

P = b"\x1f"
WELCOME = (FrameType.WELCOME, messages.pack(Welcome("1", tty=False, interactive=True)))
EXITED = (FrameType.EXITED, messages.pack(Exited(3)))
DETACHED = frames((FrameType.DETACHED, b""))


class Control:
    """What the escape keys ask for: recorded, or done by the test."""

    def __init__(self, stop: Callable[[], None] = lambda: None) -> None:
        self.asked: list[str] = []
        self.questions: list[Question] = []
        self._stop = stop

    def stop(self) -> None:
        self.asked.append("stop")
        self._stop()

    def save_screen(self) -> str:
        self.asked.append("save_screen")
        return "/screen.txt"

    def question(self) -> Question | None:
        return self.questions[0] if self.questions else None

    def answer(self, question: Question, *, allow: bool, then: Callable[[], None]) -> None:
        self.questions.remove(question)
        self.asked.append(f"{'allow' if allow else 'deny'} {question.name}")
        then()


@contextmanager
def standard_input(fd: int) -> Generator[None]:
    saved = os.dup(0)
    os.dup2(fd, 0)
    try:
        yield
    finally:
        os.dup2(saved, 0)
        os.close(saved)


@pytest.fixture
def pipe() -> Iterator[int]:
    """The writing end of a pipe that is standard input."""
    read, write = os.pipe()
    with standard_input(read):
        os.close(read)
        yield write
    os.close(write)


@pytest.fixture
def keyboard() -> Iterator[int]:
    """The user's side of a terminal that is standard input."""
    ours, theirs = os.openpty()
    termios.tcsetattr(theirs, termios.TCSANOW, tty.raw(termios.tcgetattr(theirs)))
    with standard_input(theirs):
        os.close(theirs)
        yield ours
    os.close(ours)


def settings(**fields: object) -> ViewSettings:
    known: dict[str, object] = {
        "takes_input": True,
        "on_screen": False,
        "escape_prefix": P,
        "passes_signals": False,
        "interrupt_window": 60.0,
    }
    return ViewSettings(**(known | fields))  # type: ignore[arg-type]


def run(
    script: Script,
    how: ViewSettings,
    *,
    control: Control | None = None,
    at_terminal: bool = False,
    offsets: dict[int, int] | None = None,
) -> tuple[Ending, ScriptedSupervisor]:
    """One view to its end; what the supervisor has received by then."""
    ours, theirs = socket.socketpair()
    terminal = LocalTerminal(0, 0) if at_terminal else None
    with ScriptedSupervisor(theirs, script) as supervisor, Channel(ours) as channel:
        if terminal is not None:
            terminal.take(raw=how.on_screen)
        known = {1: -1, 2: -1} if offsets is None else offsets
        view = View(channel, how, terminal, known, control or Control())
        ending = view.run(Hello(), [])
    return ending, supervisor


# --- output ---


def test_output_is_written_and_counted(
    pipe: int, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """Stdout and stderr apart, from the offsets that the supervisor names."""
    welcome = messages.pack(Welcome("1", tty=False, interactive=True, stdout=100, stderr=20))
    script = {
        FrameType.HELLO: frames(
            (FrameType.WELCOME, welcome),
            (FrameType.STDOUT, b"out\n"),
            (FrameType.STDERR, b"error\n"),
            (FrameType.NOTICE, b"by the way"),
            EXITED,
        )
    }
    offsets = {1: -1, 2: -1}
    ending, _ = run(script, settings(), offsets=offsets)
    assert ending == Exited(3)
    assert offsets == {1: 104, 2: 26}
    assert capfdbinary.readouterr() == (b"out\n", b"error\nmoat: by the way\n")


def test_a_reader_that_has_gone_ends_the_view(pipe: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """EPIPE is an ending of its own: the command may have to be told."""
    read, write = os.pipe()
    os.close(read)
    monkeypatch.setattr("moat.client.attach.frame_output._FDS", {FrameType.STDOUT: write})
    with pytest.raises(OutputClosedError):
        run({FrameType.HELLO: frames(WELCOME, (FrameType.STDOUT, b"x"))}, settings())
    os.close(write)


# --- input ---


def test_a_pipe_reaches_the_program_byte_for_byte(pipe: int) -> None:
    """Also what would be escape keys if somebody typed it; and then its end."""
    os.write(pipe, b"a" + P + b"d")
    os.dup2(os.open(os.devnull, os.O_RDONLY), pipe)  # closes the only writing end
    script = {FrameType.HELLO: frames(WELCOME), FrameType.INPUT_END: frames(EXITED)}
    ending, supervisor = run(script, settings())
    assert ending == Exited(3)
    assert b"".join(supervisor.of(FrameType.INPUT)) == b"a" + P + b"d"
    assert supervisor.received[-1] == (FrameType.INPUT_END, b"")


def test_more_input_follows_as_the_program_takes_it(tmp_path: Path) -> None:
    """Four windows of a file, which a selector must be able to wait for."""
    content = os.urandom(4 * INPUT_WINDOW)
    (tmp_path / "input").write_bytes(content)
    script: Script = {
        FrameType.HELLO: frames(WELCOME),
        FrameType.INPUT: lambda data: frames((FrameType.CONSUMED, COUNT.pack(len(data)))),
        FrameType.INPUT_END: frames(EXITED),
    }
    with (tmp_path / "input").open("rb") as file, standard_input(file.fileno()):
        _, supervisor = run(script, settings())
    assert b"".join(supervisor.of(FrameType.INPUT)) == content


# --- keys ---


def test_the_prefix_and_d_detach(keyboard: int) -> None:
    """The supervisor answers, and gives the reason where it has one."""
    os.write(keyboard, b"x" + P + b"d")
    script = {FrameType.HELLO: frames(WELCOME), FrameType.DETACH: DETACHED}
    ending, supervisor = run(script, settings(on_screen=True), at_terminal=True)
    assert ending == Detached("")
    assert supervisor.of(FrameType.INPUT) == [b"x"]


def test_a_supervisor_that_does_not_answer_is_left(
    keyboard: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is stopped, or hangs: the user leaves all the same."""
    monkeypatch.setattr(module, "LEAVE_TIMEOUT_S", 0.05)
    os.write(keyboard, P + b"d")
    with pytest.raises(SupervisorSilentError):
        run({FrameType.HELLO: frames(WELCOME)}, settings(on_screen=True), at_terminal=True)


def test_help_is_shown_while_the_screen_is_ours(
    keyboard: int, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """The supervisor stops painting first; any key, which the program does not get, goes back."""
    os.write(keyboard, P + b"?")

    script = {
        FrameType.HELLO: frames(WELCOME),
        FrameType.PAUSE: frames((FrameType.PAUSED, b"")),
        FrameType.RESUME: frames(EXITED),
    }
    ours, theirs = socket.socketpair()
    terminal = LocalTerminal(0, 0)
    with ScriptedSupervisor(theirs, script) as supervisor, Channel(ours) as channel:
        terminal.take(raw=True)
        view = View(channel, settings(on_screen=True), terminal, {1: -1, 2: -1}, Control())
        # The next key comes when the help is on the screen.
        write = os.write

        def write_and_type(fd: int, data: bytes) -> int:
            if b"this help" in data:
                write(keyboard, b"q")
            return write(fd, data)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "write", write_and_type)
            assert view.run(Hello(), []) == Exited(3)
    assert b"this help\r\n" in capfdbinary.readouterr().err
    assert supervisor.of(FrameType.INPUT) == []


def test_the_screen_is_saved_and_the_user_told_where(
    keyboard: int, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """On the last row of the program's screen."""
    os.write(keyboard, P + b"s" + b"x")
    script = {FrameType.HELLO: frames(WELCOME), FrameType.INPUT: frames(EXITED)}
    control = Control()
    run(script, settings(on_screen=True), at_terminal=True, control=control)
    assert control.asked == ["save_screen"]
    assert b"screen saved: /screen.txt" in capfdbinary.readouterr().out


# --- Ctrl-C and signals ---


def test_ctrl_c_twice_stops_a_run_that_takes_no_input(
    keyboard: int, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """The first says what the second does."""
    script = {FrameType.HELLO: frames(WELCOME), FrameType.DETACH: DETACHED}
    control = Control(lambda: os.kill(os.getpid(), signal.SIGTERM))
    os.write(keyboard, b"\x03\x03")
    how = settings(takes_input=False, on_screen=True)
    ending, _ = run(script, how, at_terminal=True, control=control)
    assert ending == Detached("")
    assert control.asked == ["stop"]
    text = capfdbinary.readouterr().out
    assert text.index(b"Ctrl-C again within 60 s") < text.index(b"stopping the run")


def test_the_client_leaves_when_no_second_ctrl_c_comes(keyboard: int) -> None:
    """The run goes on by itself."""
    os.write(keyboard, b"\x03")
    script = {FrameType.HELLO: frames(WELCOME), FrameType.DETACH: DETACHED}
    how = settings(takes_input=False, on_screen=True, interrupt_window=0.01)
    ending, _ = run(script, how, at_terminal=True)
    assert ending == Detached("")


def test_sigint_is_passed_on_where_nobody_sits(pipe: int) -> None:
    """A script's `moat run` stands for the command."""
    script: Script = {
        FrameType.HELLO: frames(WELCOME),
        FrameType.INPUT: lambda _: os.kill(os.getpid(), signal.SIGINT) or b"",
        FrameType.SIGNAL: frames(EXITED),
    }
    os.write(pipe, b"x")
    _, supervisor = run(script, settings(passes_signals=True))
    assert supervisor.of(FrameType.SIGNAL) == [bytes([signal.SIGINT])]


def test_a_window_that_changes_its_size_is_reported(keyboard: int) -> None:
    """The program may be asked to draw for it."""
    script = {FrameType.HELLO: frames(WELCOME), FrameType.RESIZE: frames(EXITED)}
    control = Control(lambda: os.kill(os.getpid(), signal.SIGWINCH))
    os.write(keyboard, P + b"k")
    _, supervisor = run(script, settings(on_screen=True), at_terminal=True, control=control)
    assert supervisor.of(FrameType.RESIZE) == [SIZE.pack(80, 24)]


MODERN = (
    FrameType.WELCOME,
    messages.pack(Welcome("1", tty=True, interactive=True, level=1)),
)


def test_a_supervisor_that_understands_more_is_told_more(keyboard: int) -> None:
    """Pixels of the window; what the terminal sends by itself, apart; and hints for its last row."""

    def type_in_answer(keys: bytes) -> Callable[[bytes], bytes]:
        def answer(_payload: bytes) -> bytes:
            os.write(keyboard, keys)
            return b""

        return answer

    script: Script = {
        FrameType.HELLO: frames(MODERN),
        FrameType.INPUT: type_in_answer(b"\x1b[I"),
        FrameType.REPORT: type_in_answer(P + b"s" + P + b"k"),
        FrameType.RESIZE: frames(EXITED),
    }
    control = Control(lambda: os.kill(os.getpid(), signal.SIGWINCH))
    os.write(keyboard, b"x")
    _, supervisor = run(script, settings(on_screen=True), at_terminal=True, control=control)
    assert supervisor.of(FrameType.INPUT) == [b"x"]
    assert supervisor.of(FrameType.REPORT) == [b"\x1b[I"]
    assert supervisor.of(FrameType.HINT) == [b"screen saved: /screen.txt"]
    assert supervisor.of(FrameType.RESIZE) == [SIZE_AND_PIXELS.pack(80, 24, 0, 0)]


OVERLAYS = (
    FrameType.WELCOME,
    messages.pack(Welcome("1", tty=True, interactive=True, level=2)),
)


def test_help_and_questions_lie_over_the_screen(keyboard: int) -> None:
    """The supervisor draws them; the keys that are for them are typed nowhere."""
    # For what was typed, the help, its end, a question, its end, and a hint.
    keys = iter((P + b"?", b"x", P + b"a", b"y", P + b"a", b"z"))

    def type_on(_payload: bytes) -> bytes:
        os.write(keyboard, next(keys))
        return b""

    script: Script = {
        FrameType.HELLO: frames(OVERLAYS),
        FrameType.OVERLAY: type_on,
        FrameType.HINT: type_on,
        FrameType.INPUT: lambda typed: frames(EXITED) if typed == b"z" else type_on(typed),
    }
    control = Control()
    control.questions.append(Question("host a.test:443", "May a.test be reached?"))
    os.write(keyboard, b"w")
    _, supervisor = run(script, settings(on_screen=True), at_terminal=True, control=control)
    shown = [payload.decode().partition("\n")[0] for payload in supervisor.of(FrameType.OVERLAY)]
    assert shown == ["d  detach: the run goes on", "", "May a.test be reached?", ""]
    assert control.asked == ["allow host a.test:443"]
    assert supervisor.of(FrameType.HINT) == [b"nothing waits for an answer"]
    assert supervisor.of(FrameType.INPUT) == [b"w", b"z"]


def test_a_prefix_that_waits_is_hinted_at(keyboard: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until the next key, and the program gets none of it."""
    monkeypatch.setattr(input_module, "HINT_AFTER_S", 0.01)

    def hinted(payload: bytes) -> bytes:
        if payload:
            os.write(keyboard, b"d")
        return b""

    script = {FrameType.HELLO: frames(MODERN), FrameType.HINT: hinted, FrameType.DETACH: DETACHED}
    os.write(keyboard, P)
    waiting = settings(on_screen=True, prefix_timeout=0)
    ending, supervisor = run(script, waiting, at_terminal=True)
    assert ending == Detached("")
    assert supervisor.of(FrameType.HINT)[0] == module.PREFIX_HINT.encode()
    assert supervisor.of(FrameType.INPUT) == []


# --- ends ---


def test_a_failed_start_is_the_supervisors_error(pipe: int) -> None:
    """With its summary, its hint and its code."""
    failure = messages.pack(messages.Failure("no sandbox", "install it", "engine"))
    with pytest.raises(MoatError) as caught:
        run({FrameType.HELLO: frames((FrameType.FAILED, failure))}, settings())
    error = caught.value
    assert (error.summary, error.hint, error.code) == ("no sandbox", "install it", "engine")


def test_a_connection_that_ends_without_a_last_frame_is_lost(pipe: int) -> None:
    """The supervisor died: whoever called connects to the next."""
    with pytest.raises(ChannelLostError):
        run({FrameType.HELLO: None}, settings())


def test_a_frame_of_a_newer_supervisor_is_ignored(pipe: int) -> None:
    """That is how the protocol grows."""
    unknown = b"\xc8\x00\x00\x00\x01?"
    ending, _ = run({FrameType.HELLO: frames(WELCOME) + unknown + frames(EXITED)}, settings())
    assert ending == Exited(3)
