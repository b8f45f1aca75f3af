"""The keyboard of a passed terminal, read here: no other process is between a key and the program.

The client lends it and goes on holding the terminal: while it is stopped or in the background, what is
typed there is not for it, and is left to whoever is in the foreground. The client is told what the
program has not taken yet, so that it isn't lost with this supervisor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from moat.keyboard.input import Input
from moat.keyboard.interrupts import Interrupts, Verdict
from moat.keyboard.key_forms import is_sent_by_terminal
from moat.keyboard.keys import Command, KeyMachine, Send
from moat.keyboard.overlay import PREFIX_HINT, Overlay, Question, watching_hint
from moat.wire import frames
from moat.wire.frames import FrameType

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterable

    from moat.keyboard.input import Action
    from moat.platform.foreground import Foreground
    from moat.supervisor.client_tty import PassedTerminal
    from moat.supervisor.connection import FrameConnection
    from moat.wire.messages import Keyboard

_READ_BYTES: Final = 4096
"""More than a terminal holds."""


class Desk(Protocol):
    """The terminal's program and its run, as far as keys act on them."""

    def type(self, data: bytes, taken: Callable[[int], None], *, by_itself: bool) -> None:
        """Pass input on, now or once there is a program. `by_itself`: the user has not done it."""
        ...

    def detach(self) -> None: ...
    def stop(self) -> None: ...
    def save_screen(self) -> str:
        """Return a line that says what came of it."""
        ...

    def question(self) -> Question | None: ...
    def answer(self, question: Question, *, allow: bool, then: Callable[[], None]) -> None: ...
    def hint(self, text: str) -> None:
        """Show a line for a while; an empty one ends that."""
        ...

    def overlay(self, lines: str) -> None: ...


class LentKeyboard:
    """Reads a keyboard while its client is in the foreground, and does what the keys say."""

    def __init__(
        self,
        terminal: PassedTerminal,
        foreground: Foreground,
        keyboard: Keyboard,
        connection: FrameConnection,
        loop: asyncio.AbstractEventLoop,
        desk: Desk,
    ) -> None:
        """Take over `foreground`, and read nothing before `resume`. Raises `ValueError` for nonsense."""
        self._terminal = terminal
        self._foreground = foreground
        self._connection = connection
        self._loop = loop
        self._desk = desk
        self._input = Input(_machine(keyboard), takes_input=keyboard.takes_input)
        self._pasting = keyboard.pasting
        self._interrupts = Interrupts(keyboard.interrupt_window)
        self._window = keyboard.interrupt_window
        self._overlay = Overlay(desk, desk.overlay)
        self._held = 0
        """Bytes that were read and that the program has not taken."""
        self._passing: int | None = None
        """Number of bytes that the program took at once, of the input being passed on."""
        self._wanted = False
        self._reading = False
        self._hinting = False
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    # --- when to read ---

    def resume(self) -> None:
        self._wanted = True
        self._read_if_due()

    def pause(self) -> None:
        """Leave what is typed to others."""
        self._wanted = False
        self._read_if_due()

    def finish(self) -> None:
        """Pass on what is held back, as nothing will follow it: a prefix that was typed is not lost."""
        self._act(self._input.finish())

    def close(self) -> None:
        if self._closed:
            return
        self.pause()
        self._closed = True
        self._cancel_timer()
        self._foreground.close()

    def _read_if_due(self) -> None:
        due = self._wanted and not self._closed and self._held < frames.INPUT_WINDOW
        if due and not self._reading:
            self._loop.add_reader(self._terminal.fd, self._readable)
        elif self._reading and not due:
            self._loop.remove_reader(self._terminal.fd)
        self._reading = due

    # --- reading ---

    def _readable(self) -> None:
        # After a time in which this process was stopped, the client may have taken its keyboard back,
        # and have sent what was typed before that which waits here now.
        self._connection.receive()
        if not self._reading:
            return
        if not self._foreground.is_held():
            self.pause()
            self._connection.send(FrameType.BACKGROUND)
            return
        data = self._terminal.read(_READ_BYTES)
        if data is None:
            return
        if not data:
            self.pause()  # hung up, of which a signal tells the client
        elif self._overlay.shown:
            self._overlay.typed(data)
        else:
            self._act(self._input.feed(data, self._loop.time()))
        self._report_pasting()
        self._set_timer()

    def _report_pasting(self) -> None:
        """Let the next supervisor know that what comes then is pasted text, and no commands."""
        if self._input.pasting is not self._pasting:
            self._pasting = self._input.pasting
            self._send(FrameType.PASTING, bytes([self._pasting]))

    # --- time ---

    def _set_timer(self) -> None:
        self._cancel_timer()
        deadlines = (
            self._input.deadline,
            self._interrupts.deadline,
            None if self._hinting else self._input.hint_deadline,
        )
        known = [each for each in deadlines if each is not None]
        if known and not self._closed:
            self._timer = self._loop.call_at(min(known), self._expire)
        if self._hinting and self._input.hint_deadline is None:
            self._hinting = False
            self._desk.hint("")

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _expire(self) -> None:
        self._timer = None
        now = self._loop.time()
        self._act(self._input.expire(now))
        hint = self._input.hint_deadline
        if hint is not None and now >= hint and not self._hinting:
            self._hinting = True
            self._desk.hint(PREFIX_HINT)
        if self._interrupts.expired(now) is Verdict.DETACH:
            self._desk.detach()
        self._set_timer()

    # --- acting ---

    def interrupted(self) -> None:
        """Ctrl-C was typed where the program takes no input, or SIGINT has come to the client."""
        if self._interrupts.pressed(self._loop.time()) is Verdict.STOP:
            self._desk.hint("stopping the run")
            self._desk.stop()
        else:
            self._desk.hint(watching_hint(self._window))
        self._set_timer()

    def _act(self, actions: Iterable[Action]) -> None:
        for action in actions:
            match action:
                case Send(data):
                    self._pass_on(data)
                case Command():
                    self._command(action)
                case _:
                    pass  # the end of input, which a terminal doesn't have

    def _command(self, command: Command) -> None:
        match command:
            case Command.DETACH:
                self._desk.detach()
            case Command.STOP:
                self._desk.stop()
            case Command.SAVE_SCREEN:
                self._desk.hint(self._desk.save_screen())
            case Command.ANSWER:
                if not self._overlay.ask():
                    self._desk.hint("nothing waits for an answer")
            case Command.HELP:
                self._overlay.help()
            case Command.INTERRUPT:
                self.interrupted()

    # --- input, and what of it the program has not taken ---

    def _pass_on(self, data: bytes) -> None:
        self._passing = 0
        self._desk.type(data, self._taken, by_itself=is_sent_by_terminal(data))
        rest, self._passing = data[self._passing :], None
        if rest:
            self._held += len(rest)
            self._send(FrameType.HELD, rest)
            self._read_if_due()

    def _taken(self, count: int) -> None:
        if self._passing is not None:
            self._passing += count
            return
        self._held -= count
        self._send(FrameType.TAKEN, frames.COUNT.pack(count))
        self._read_if_due()

    def _send(self, kind: FrameType, payload: bytes) -> None:
        if not self._closed and self._connection.open:
            self._connection.send(kind, payload)


def _machine(keyboard: Keyboard) -> KeyMachine:
    return KeyMachine(
        bytes.fromhex(keyboard.prefix),
        interrupts=not keyboard.takes_input,
        timeout=keyboard.prefix_timeout,
        pasting=keyboard.pasting,
    )
