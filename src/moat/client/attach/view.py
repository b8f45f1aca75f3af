"""One attached connection, seen from the user's side: keys in, output out, signals between.

No asyncio: a selector over the socket, the keyboard and a pipe that signals write to. The supervisor
paints the terminal itself where it could open it; what comes in frames is written here.
"""

from __future__ import annotations

import os
import selectors
import signal
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NoReturn

from moat.client.attach import keys
from moat.client.attach.interrupts import Interrupts, Verdict
from moat.client.attach.notice import bar
from moat.client.attach.signals import Signals
from moat.client.output import write_all
from moat.errors import MoatError
from moat.wire import frames, messages
from moat.wire.frames import FrameType
from moat.wire.messages import Exited, Failure, Hello, Welcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from moat.client.attach.channel import Channel
    from moat.client.attach.terminal import LocalTerminal
    from moat.session.terminal.filter import OutputFilter

STDIN, STDOUT, STDERR = 0, 1, 2
READ_BYTES: Final = 1 << 16
# A supervisor answers DETACH at once; one that is stopped or stuck must not keep the user.
LEAVE_TIMEOUT_S: Final = 2.0

HELP: Final = """
  d  detach: the run goes on          k  stop the run
  s  save the screen to a file        ?  this help
  the prefix twice sends it to the program.    Any key goes back.
"""


@dataclass(frozen=True, slots=True)
class Detached:
    reason: str


Outcome = Exited | Detached


class SupervisorSilentError(Exception):
    """The supervisor did not answer DETACH: it hangs, or was stopped. We leave without it."""


class LeaveNowError(Exception):
    """Told to leave while our reader did not read: what it has not taken is lost to it."""


class OutputClosedError(Exception):
    """Whoever read our output has gone (EPIPE)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manners:
    """How this viewer behaves; decided before it connects."""

    takes_input: bool
    """Standard input goes to the program."""
    on_screen: bool
    """A TTY session on a terminal."""
    escape_keys: keys.EscapeKeys | None
    passes_signals: bool
    """SIGINT goes to the command: nobody sits here."""
    interrupt_window: float


class View:
    """Runs one connection to its end."""

    def __init__(
        self,
        channel: Channel,
        manners: Manners,
        terminal: LocalTerminal | None,
        offsets: dict[FrameType, int],
        stop: Callable[[], None],
        save_screen: Callable[[], str],
    ) -> None:
        self._channel = channel
        self._manners = manners
        self._terminal = terminal
        self.offsets = offsets
        """How far the output has been written, by frame type: where a next connection goes on."""
        self.painted = False
        """Something of the program's may be on the terminal."""
        self._stop = stop
        self._save_screen = save_screen
        self._interrupts = Interrupts(manners.interrupt_window)
        reads_keys = terminal is not None and (manners.on_screen or not manners.takes_input)
        self._keys = (
            keys.KeyMachine(manners.escape_keys, interrupts=not manners.takes_input)
            if reads_keys
            else None
        )
        self._key_deadline: float | None = None
        self._leave_deadline: float | None = None
        self._stdin_open = manners.takes_input or self._keys is not None
        self._suspending = False
        self._helping = False
        # Not epoll: it refuses regular files, and standard input may be one.
        self._selector = selectors.PollSelector()
        self._writing = False
        self._filters: dict[int, OutputFilter] = {}

    # --- the loop ---

    def run(self, hello: Hello, greeting: bytes) -> Outcome:
        """Raises `ChannelLostError`, `MoatError` for a failed start, `OutputClosedError`."""
        try:
            return self._run(hello, greeting)
        except LeaveNowError:
            return Detached("")

    def _run(self, hello: Hello, greeting: bytes) -> Outcome:
        with Signals(self._interrupt_write) as signals:
            passed = [STDOUT] if hello.passed else []
            self._channel.greet(greeting, passed)
            self._selector.register(self._channel.sock, selectors.EVENT_READ)
            self._selector.register(signals.fd, selectors.EVENT_READ)
            self._watch_stdin()
            while True:
                outcome = self._turn(signals)
                if outcome is not None:
                    return outcome

    def _turn(self, signals: Signals) -> Outcome | None:
        wanted = selectors.EVENT_READ
        if self._channel.wants_to_write:
            wanted |= selectors.EVENT_WRITE
        self._selector.modify(self._channel.sock, wanted)
        for key, events in self._selector.select(self._patience()):
            if key.fd == STDIN:
                self._stdin_ready()
            elif key.fd == signals.fd:
                for number in signals.arrived():
                    self._signalled(number)
            else:
                if events & selectors.EVENT_WRITE:
                    self._channel.flush()
                for kind, payload in self._channel.receive():
                    outcome = self._frame(kind, payload)
                    if outcome is not None:
                        return outcome
        self._timers()
        self._watch_stdin()
        if self._leave_deadline is not None and time.monotonic() >= self._leave_deadline:
            raise SupervisorSilentError
        return None

    def _patience(self) -> float | None:
        deadlines = [
            each
            for each in (self._key_deadline, self._interrupts.deadline, self._leave_deadline)
            if each is not None
        ]
        return max(0.0, min(deadlines) - time.monotonic()) if deadlines else None

    def _timers(self) -> None:
        now = time.monotonic()
        if self._keys is not None and self._key_deadline is not None and now >= self._key_deadline:
            self._key_deadline = None
            self._act(self._keys.timeout())
        if self._interrupts.expired(now) is Verdict.DETACH:
            self._detach()

    def _detach(self) -> None:
        self._channel.send(FrameType.DETACH)
        if self._leave_deadline is None:
            self._leave_deadline = time.monotonic() + LEAVE_TIMEOUT_S

    # --- output ---

    def _frame(self, kind: int, payload: bytes) -> Outcome | None:
        match kind:
            case FrameType.STDOUT:
                self._write(STDOUT, payload)
                self.offsets[FrameType.STDOUT] += len(payload)
            case FrameType.STDERR:
                self._write(STDERR, payload)
                self.offsets[FrameType.STDERR] += len(payload)
            case FrameType.WELCOME:
                self._welcomed(messages.unpack(Welcome, payload))
            case FrameType.NOTICE:
                self._say(payload.decode(errors="replace"))
            case FrameType.PAUSED:
                self._on_paused()
            case FrameType.EXITED:
                return messages.unpack(Exited, payload)
            case FrameType.DETACHED:
                return Detached(payload.decode(errors="replace"))
            case FrameType.FAILED:
                raise_failure(messages.unpack(Failure, payload))
            case _:
                pass  # a newer supervisor says more than we know
        return None

    def _welcomed(self, welcome: Welcome) -> None:
        self.painted = self._manners.on_screen
        if not self._manners.on_screen:
            self.offsets[FrameType.STDOUT] = welcome.stdout
            self.offsets[FrameType.STDERR] = welcome.stderr

    def _write(self, fd: int, data: bytes) -> None:
        harmless = self._harmless(fd, data)
        self._writing = True
        try:
            write_all(fd, harmless)
        except BrokenPipeError as exc:
            raise OutputClosedError from exc
        finally:
            self._writing = False

    def _harmless(self, fd: int, data: bytes) -> bytes:
        """What a run without a TTY writes has met no filter yet, and may be here on a terminal."""
        if self._manners.on_screen or not os.isatty(fd):
            return data
        if fd not in self._filters:
            from moat.session.terminal.filter import OutputFilter  # noqa: PLC0415  not for pipes

            self._filters[fd] = OutputFilter()
        return self._filters[fd].feed(data)

    def _interrupt_write(self, number: int) -> None:
        """A reader of ours that has stopped must not keep a SIGTERM from us."""
        if self._writing and number in (signal.SIGTERM, signal.SIGHUP):
            raise LeaveNowError

    # --- input ---

    def _watch_stdin(self) -> None:
        """Reads standard input while it is open and the program's window has room."""
        wanted = self._stdin_open and (self._channel.window > 0 or self._helping)
        watched = STDIN in self._selector.get_map()
        if wanted and not watched:
            self._selector.register(STDIN, selectors.EVENT_READ)
        elif watched and not wanted:
            self._selector.unregister(STDIN)

    def _stdin_ready(self) -> None:
        try:
            data = os.read(STDIN, min(READ_BYTES, self._channel.window) or 1)
        except BlockingIOError:
            return
        except OSError:
            data = b""  # EIO: the terminal is gone; a SIGHUP says so, too
        if self._helping:
            self._end_help()
        elif self._keys is None:
            self._pass_on(data)
        elif data:
            self._act(self._keys.feed(data))
            self._key_deadline = (
                time.monotonic() + self._keys.patience if self._keys.pending else None
            )
        else:
            self._act(self._keys.end())
            self._pass_on(b"")

    def _pass_on(self, data: bytes) -> None:
        if not data:
            self._stdin_open = False
            if self._manners.takes_input:
                self._channel.send(FrameType.INPUT_END)
        elif self._manners.takes_input:
            self._channel.send_input(data)

    def _act(self, actions: list[keys.Action]) -> None:
        for action in actions:
            match action:
                case keys.Send(data):
                    self._pass_on(data)
                case keys.Detach():
                    self._detach()
                    self._stdin_open = False
                case keys.Stop():
                    self._stop()
                case keys.Snapshot():
                    self._say(f"screen saved: {self._save_screen()}")
                case keys.Help():
                    self._helping = True
                    self._channel.send(FrameType.PAUSE)
                case keys.Interrupt():
                    self._interrupted()

    def _interrupted(self) -> None:
        if self._manners.passes_signals:
            self._channel.send(FrameType.SIGNAL, bytes([signal.SIGINT]))
            return
        match self._interrupts.pressed(time.monotonic()):
            case Verdict.STOP:
                self._say("stopping the run")
                self._stop()
            case _:
                window = f"{self._manners.interrupt_window:g}"
                self._say(
                    f"Ctrl-C again within {window} s stops the run; else it goes on by itself"
                )

    # --- signals ---

    def _signalled(self, number: int) -> None:
        match number:
            case signal.SIGINT:
                self._interrupted()
            case signal.SIGTERM | signal.SIGHUP:
                if self._keys is not None:
                    self._act(self._keys.end())  # a prefix that was typed is not lost with us
                self._detach()
            case signal.SIGWINCH if self._terminal is not None:
                size = self._terminal.size()
                self._channel.send(FrameType.RESIZE, frames.SIZE.pack(size.columns, size.rows))
            case signal.SIGTSTP:
                self._suspending = True
                self._channel.send(FrameType.PAUSE)
            case _:
                pass

    def _on_paused(self) -> None:
        """The terminal is ours: for the help text, or to be suspended."""
        if self._helping:
            os.write(STDERR, HELP.replace("\n", "\r\n").encode())
        elif self._suspending:
            self._suspending = False
            if self._terminal is not None:
                self._terminal.restore()
            # Not a SIGTSTP of our own: that one is handled here.
            os.kill(os.getpid(), signal.SIGSTOP)
            if self._terminal is not None:
                self._terminal.take(raw=self._manners.on_screen)
                self._signalled(signal.SIGWINCH)
            self._channel.send(FrameType.RESUME)

    def _end_help(self) -> None:
        self._helping = False
        self._channel.send(FrameType.RESUME)

    # --- words of our own ---

    def _say(self, text: str) -> None:
        """A line for the user: below the program's output, or on the screen's last row."""
        if self._manners.on_screen and self._terminal is not None:
            os.write(STDOUT, bar(text, self._terminal.size()))
        else:
            os.write(STDERR, f"moat: {text}\n".encode())


def raise_failure(failure: Failure) -> NoReturn:
    error = MoatError(failure.summary, failure.hint)
    error.code = failure.code
    raise error
