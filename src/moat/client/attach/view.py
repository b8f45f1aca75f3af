"""One attached connection, from the user's side: keys in, output out, signals between.

No asyncio: a selector over the socket, the keyboard and a pipe that signals write to. The supervisor
paints the terminal itself where it could open it; output that comes in frames is written here.
"""

from __future__ import annotations

import os
import selectors
import signal
import time
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Final, Protocol

from moat.client.attach.endings import Detached, SupervisorSilentError, WriteInterruptedError
from moat.client.attach.frame_output import FrameOutput
from moat.client.attach.job_control import come_to_foreground, suspend
from moat.client.attach.loan import Loan, Typed
from moat.client.attach.signals import Signals
from moat.client.connect.channel import raise_failure
from moat.client.display.output import STDERR, STDIN, STDOUT
from moat.keyboard.input import EndOfInput, Input
from moat.keyboard.interrupts import Interrupts, Verdict
from moat.keyboard.key_forms import is_sent_by_terminal
from moat.keyboard.keys import PREFIX_TIMEOUT_S, Command, KeyMachine, Send
from moat.keyboard.overlay import HELP, PREFIX_HINT, Answers, Overlay, watching_hint
from moat.wire import frames, messages
from moat.wire.frames import FrameType
from moat.wire.messages import Exited, Hello, Welcome

if TYPE_CHECKING:
    from collections.abc import Iterable

    from moat.client.attach.endings import Ending
    from moat.client.attach.terminal import LocalTerminal
    from moat.client.connect.channel import Channel
    from moat.keyboard.input import Action

READ_BYTES: Final = 1 << 16
# A supervisor answers DETACH at once; one that is stopped or stuck must not keep the user.
LEAVE_TIMEOUT_S: Final = 2.0

OVERLAY_LEVEL: Final = 2
"""See `messages.LEVEL`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewSettings:
    """The behaviour of a viewer, decided before it connects."""

    takes_input: bool
    """Standard input goes to the program."""
    on_screen: bool
    """The session has a TTY, and our output is a terminal."""
    escape_prefix: bytes
    passes_signals: bool
    """SIGINT goes to the command: nobody sits here."""
    interrupt_window: float
    """See `Interrupts`."""
    prefix_timeout: float = PREFIX_TIMEOUT_S
    """See `KeyMachine`."""


class RunControl(Answers, Protocol):
    """Actions of the escape keys that need more than the connection."""

    def stop(self) -> None: ...

    def save_screen(self) -> str:
        """Return the path of the file."""
        ...


class _Pause(Enum):
    """A reason to ask the supervisor not to paint."""

    HELP = auto()
    """The help of a supervisor that knows no overlay."""
    SUSPEND = auto()


class View:
    """One connection, until its end."""

    def __init__(
        self,
        channel: Channel,
        settings: ViewSettings,
        terminal: LocalTerminal | None,
        offsets: dict[int, int],
        control: RunControl,
        loan: Loan | None = None,
    ) -> None:
        """`offsets` says how far stdout and stderr have been written, and moves along."""
        self._channel = channel
        self._settings = settings
        self._terminal = terminal
        self._offsets = offsets
        self._control = control
        self._loan = loan or Loan(channel, Typed(), lent=False)
        self.painted = False
        """Some of the program's screen may be on the terminal."""
        self._interrupts = Interrupts(settings.interrupt_window)
        self._input = _input(settings, has_terminal=terminal is not None)
        self._output = FrameOutput(offsets, on_screen=settings.on_screen)
        self._leave_deadline: float | None = None
        self._level = 0
        """The level of the protocol that the supervisor understands; see `Welcome`."""
        self._resized_early = False
        """A size was sent before it was known what the supervisor understands."""
        self._hinting = False
        """A hint shows the keys that may follow the prefix."""
        self._pause: _Pause | None = None
        self._overlay = Overlay(
            control, lambda lines: channel.send(FrameType.OVERLAY, lines.encode())
        )
        # Not epoll: it refuses regular files, and standard input may be one.
        self._selector = selectors.PollSelector()

    # --- the loop ---

    def run(self, hello: Hello, termios: list[object]) -> Ending:
        """Greet the supervisor, and serve the connection.

        Raise `ChannelLostError` where it breaks, `MoatError` where the run could not start,
        `OutputClosedError`, and `SupervisorSilentError`.
        """
        try:
            with Signals(self._output.interrupt) as signals:
                passed = [STDOUT] if hello.passed else []
                self._channel.greet(hello, descriptors=passed, termios=termios)
                self._loan.begin()
                return self._loop(signals)
        except WriteInterruptedError:
            return Detached("")

    def _loop(self, signals: Signals) -> Ending:
        sock = self._channel.sock
        self._selector.register(sock, selectors.EVENT_READ)
        self._selector.register(signals.fd, selectors.EVENT_READ)
        while True:
            self._select_what_is_wanted()
            for key, events in self._selector.select(self._patience()):
                if key.fileobj is sock:
                    ending = self._socket_ready(events)
                    if ending is not None:
                        return ending
                elif key.fd == STDIN:
                    self._stdin_ready()
                else:
                    for number in signals.take():
                        self._signalled(number)
            self._expire(time.monotonic())

    def _select_what_is_wanted(self) -> None:
        """Wait for the socket to take more where there is more, and for input where it has a place."""
        writing = selectors.EVENT_WRITE if self._channel.wants_to_write else 0
        self._selector.modify(self._channel.sock, selectors.EVENT_READ | writing)
        wanted = self._input.is_open and (
            self._channel.window > 0
            or self._pause is _Pause.HELP  # any key ends the help
            or self._overlay.shown
        )
        wanted = self._loan.watched if self._loan.lent else wanted
        selected = STDIN in self._selector.get_map()
        if wanted and not selected:
            self._selector.register(STDIN, selectors.EVENT_READ)
        elif selected and not wanted:
            self._selector.unregister(STDIN)

    def _patience(self) -> float | None:
        deadlines = (
            self._input.deadline,
            self._interrupts.deadline,
            self._leave_deadline,
            self._loan.deadline,
            None if self._hinting else self._input.hint_deadline,
        )
        known = [each for each in deadlines if each is not None]
        return max(0.0, min(known) - time.monotonic()) if known else None

    def _expire(self, now: float) -> None:
        self._loan.expire(now)
        self._act(self._input.expire(now))
        self._hint_at_keys(now)
        if self._interrupts.expired(now) is Verdict.DETACH:
            self._detach()
        if self._leave_deadline is not None and now >= self._leave_deadline:
            raise SupervisorSilentError

    def _detach(self) -> None:
        self._channel.send(FrameType.DETACH)
        if self._leave_deadline is None:
            self._leave_deadline = time.monotonic() + LEAVE_TIMEOUT_S

    # --- frames from the supervisor ---

    def _socket_ready(self, events: int) -> Ending | None:
        if events & selectors.EVENT_WRITE:
            self._channel.flush()
        for kind, payload in self._channel.receive():
            ending = self._frame(kind, payload)
            if ending is not None:
                return ending
        return None

    def _frame(self, kind: int, payload: bytes) -> Ending | None:
        match kind:
            case FrameType.STDOUT | FrameType.STDERR:
                self._output.write(kind, payload)
            case FrameType.WELCOME:
                self._welcomed(messages.unpack(Welcome, payload))
            case FrameType.NOTICE:
                self._notify(payload.decode(errors="replace"))
            case FrameType.PAUSED:
                self._paused()
            case FrameType.BACKGROUND if self._terminal is not None:
                self._in_background(self._terminal)
            case FrameType.EXITED:
                return messages.unpack(Exited, payload)
            case FrameType.DETACHED:
                return Detached(payload.decode(errors="replace"))
            case FrameType.FAILED:
                raise_failure(payload)
            case _:
                self._loan.frame(kind, payload)
        return None

    def _welcomed(self, welcome: Welcome) -> None:
        self.painted = self._settings.on_screen
        self._level = welcome.level
        if self._resized_early and self._level > 0:
            self._report_size()  # once more, with what this supervisor understands
        if not self._settings.on_screen:
            self._offsets[STDOUT], self._offsets[STDERR] = welcome.stdout, welcome.stderr

    # --- input ---

    def _stdin_ready(self) -> None:
        if self._loan.lent:
            self._loan.noticed(time.monotonic())
            return
        try:
            data = os.read(STDIN, min(READ_BYTES, self._channel.window) or 1)
        except BlockingIOError:
            return
        except OSError:
            data = b""  # EIO: the terminal is gone; a SIGHUP says so, too
        if self._pause is _Pause.HELP:
            self._resume()
        elif self._overlay.shown and data:
            self._overlay.typed(data)
        else:
            self._act(self._input.feed(data, time.monotonic()))

    def _act(self, actions: Iterable[Action]) -> None:
        for action in actions:
            match action:
                case Send(data):
                    by_itself = self._level > 0 and is_sent_by_terminal(data)
                    kind = FrameType.REPORT if by_itself else FrameType.INPUT
                    self._channel.send_input(data, kind)
                case EndOfInput():
                    self._channel.send(FrameType.INPUT_END)
                case _:
                    self._command(action)

    def _command(self, command: Command) -> None:
        match command:
            case Command.DETACH:
                self._detach()
                self._input.is_open = False
            case Command.STOP:
                self._control.stop()
            case Command.SAVE_SCREEN:
                self._notify(f"screen saved: {self._control.save_screen()}")
            case Command.ANSWER:
                self._ask()
            case Command.HELP if self._level < OVERLAY_LEVEL:
                self._ask_to_pause(_Pause.HELP)
            case Command.HELP:
                self._overlay.help()
            case Command.INTERRUPT:
                self._interrupted()

    def _ask(self) -> None:
        """Put to the user what waits for an answer."""
        if not self._settings.on_screen or self._level < OVERLAY_LEVEL:
            self._notify("answer with moat allow, or moat deny")
        elif not self._overlay.ask():
            self._notify("nothing waits for an answer")

    def _interrupted(self) -> None:
        """Ctrl-C was typed to a viewer without input, or SIGINT has come."""
        if self._settings.passes_signals:
            self._channel.send(FrameType.SIGNAL, bytes([signal.SIGINT]))
        elif self._interrupts.pressed(time.monotonic()) is Verdict.STOP:
            self._notify("stopping the run")
            self._control.stop()
        else:
            self._notify(watching_hint(self._settings.interrupt_window))

    # --- signals ---

    def _signalled(self, number: int) -> None:
        match number:
            case signal.SIGINT if self._loan.lent:
                self._channel.send(FrameType.INTERRUPT)
            case signal.SIGINT:
                self._interrupted()
            case signal.SIGTERM | signal.SIGHUP:
                self._act(self._input.finish())
                self._detach()
            case signal.SIGWINCH:
                self._report_size()
            case signal.SIGTSTP:
                self._ask_to_pause(_Pause.SUSPEND)
            case _:
                pass

    def _report_size(self) -> None:
        if self._terminal is not None:
            size, pixels = self._terminal.size(), self._terminal.pixels()
            cells = (size.columns, size.rows)
            self._resized_early = self._level == 0
            payload = (
                frames.SIZE_AND_PIXELS.pack(*cells, *pixels)
                if self._level > 0
                else frames.SIZE.pack(*cells)
            )
            self._channel.send(FrameType.RESIZE, payload)

    # --- pauses: the terminal is ours for a while ---

    def _ask_to_pause(self, reason: _Pause) -> None:
        self._pause = reason
        self._channel.send(FrameType.PAUSE)

    def _paused(self) -> None:
        match self._pause:
            case _Pause.HELP:
                os.write(STDERR, f"\n{HELP}\n".replace("\n", "\r\n").encode())
            case _Pause.SUSPEND:
                self._suspend()
            case None:
                pass

    def _suspend(self) -> None:
        suspend(self._terminal, raw=self._settings.on_screen)
        self._report_size()
        self._resume()

    def _in_background(self, terminal: LocalTerminal) -> None:
        """Have the shell continue us: somebody types, and the keys aren't ours."""
        if come_to_foreground(terminal, raw=self._settings.on_screen):
            self._report_size()
            self._resume()
        else:
            self._detach()

    def _resume(self) -> None:
        self._pause = None
        self._channel.send(FrameType.RESUME)

    # --- messages of our own ---

    def _notify(self, text: str) -> None:
        """Show a line to the user: on the last row of a screen, or below other output."""
        if not self._settings.on_screen or self._terminal is None:
            os.write(STDERR, f"moat: {text}\n".encode())
        elif self._level > 0:
            self._channel.send(FrameType.HINT, text.encode())
        else:
            from moat.session.terminal.status_row import over_last_row  # noqa: PLC0415

            os.write(STDOUT, over_last_row(text, self._terminal.size()))

    def _hint_at_keys(self, now: float) -> None:
        """Say what may follow the prefix, when its user thinks about that."""
        deadline = self._input.hint_deadline
        if self._hinting is (deadline is not None and now >= deadline) or self._level == 0:
            return
        self._hinting = not self._hinting
        self._channel.send(FrameType.HINT, PREFIX_HINT.encode() if self._hinting else b"")


def _input(settings: ViewSettings, *, has_terminal: bool) -> Input:
    takes_input = settings.takes_input
    machine = (
        KeyMachine(
            settings.escape_prefix,
            interrupts=not takes_input,
            timeout=settings.prefix_timeout,
        )
        if has_terminal and (settings.on_screen or not takes_input)
        else None
    )
    return Input(machine, takes_input=takes_input)
