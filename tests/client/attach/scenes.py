"""Where a view runs: standard descriptors of its own, and a supervisor that the test plays."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import termios
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from moat.client.attach.loan import Loan, Typed
from moat.client.attach.terminal import LocalTerminal
from moat.client.attach.view import View, ViewSettings
from moat.client.connect.channel import Channel
from moat.platform import sockets
from moat.spec import TerminalSize
from moat.wire import frames
from moat.wire.frames import FrameReader, FrameType
from moat.wire.messages import Hello
from moat.wire.tty import encode

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from moat.client.attach.endings import Ending
    from moat.keyboard.overlay import Question

TIMEOUT_S = 120
PREFIX = b"\x1f"
STANDARD = (0, 1, 2)


class Desk:
    """A terminal, or pipes; its ends are the user's."""

    def __init__(self, *, terminal: bool) -> None:
        if terminal:
            self.keyboard, end = os.openpty()
            self.output = self.errors = self.keyboard
            self.ends = (end, end, end)
            self.resize(TerminalSize())
        else:
            stdin, self.keyboard = os.pipe()
            self.output, stdout = os.pipe()
            self.errors, stderr = os.pipe()
            self.ends = (stdin, stdout, stderr)
        self.terminal = terminal

    def close(self) -> None:
        for fd in {self.keyboard, self.output, self.errors, *self.ends}:
            with suppress(OSError):  # a test may have closed it
                os.close(fd)

    def type(self, keys: bytes) -> None:
        view = memoryview(keys)
        while view:
            view = view[os.write(self.keyboard, view) :]

    def end_input(self) -> None:
        os.close(self.keyboard)

    def resize(self, size: TerminalSize) -> None:
        termios.tcsetwinsize(self.keyboard, (size.rows, size.columns))

    def shows(self, expected: bytes) -> bytes:
        """Return the output up to what is expected."""
        return _read_until(self.output, expected)

    def complains(self, expected: bytes) -> bytes:
        """The same for standard error."""
        return _read_until(self.errors, expected)

    @property
    def line_discipline(self) -> list[Any]:
        return termios.tcgetattr(self.ends[0])

    @contextmanager
    def sat_at(self) -> Generator[None]:
        """Make the desk's ends the standard descriptors of this process."""
        before = [os.dup(fd) for fd in STANDARD]
        try:
            for end, fd in zip(self.ends, STANDARD, strict=True):
                os.dup2(end, fd)
            yield
        finally:
            for saved, fd in zip(before, STANDARD, strict=True):
                os.dup2(saved, fd)
                os.close(saved)


def _read_until(fd: int, expected: bytes) -> bytes:
    data = b""
    while expected not in data:
        assert select.select([fd], [], [], TIMEOUT_S)[0], f"{expected!r} is not in {data!r}"
        got = os.read(fd, 1 << 16)
        assert got, f"{expected!r} is not in {data!r}"
        data += got
    return data


class PlayedSupervisor:
    """The supervisor's end of the connection, in a thread of its own."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.sock.settimeout(TIMEOUT_S)
        self._reader = FrameReader()
        self._received: list[tuple[int, bytes]] = []
        self.hello: dict[str, Any] = {}
        self.fds: list[int] = []

    def greet(self) -> None:
        """Take the HELLO: from then on the view handles signals."""
        data, self.fds = sockets.receive(self.sock, 1 << 16, 4)
        self._received += self._reader.feed(data)
        self.hello = json.loads(self.expect(FrameType.HELLO))

    def next_frame(self) -> tuple[int, bytes]:
        while not self._received:
            data = self.sock.recv(1 << 16)
            assert data, "the view has left"
            self._received += self._reader.feed(data)
        return self._received.pop(0)

    def expect(self, kind: FrameType) -> bytes:
        """Return the payload of the next frame, which is of this kind."""
        got, payload = self.next_frame()
        assert got == kind, f"{FrameType(got).name} {payload[:40]!r} instead of {kind.name}"
        return payload

    def expect_input(self, size: int) -> bytes:
        """Return so many bytes of input, in however many frames."""
        data = b""
        while len(data) < size:
            data += self.expect(FrameType.INPUT)
        return data

    def expect_hang_up(self) -> None:
        """Wait until the view has left."""
        assert self.sock.recv(1) == b""

    def send(self, kind: FrameType, payload: bytes = b"") -> None:
        self.sock.sendall(frames.encode(kind, payload))

    def send_message(self, kind: FrameType, **fields: Any) -> None:
        self.send(kind, json.dumps(fields).encode())

    def exit(self, code: int = 0) -> None:
        self.send_message(FrameType.EXITED, exit_code=code)

    def close(self) -> None:
        """Die: without a last frame, where the script has sent none."""
        for fd in self.fds:
            os.close(fd)
        self.sock.close()


def send_signal(number: signal.Signals) -> None:
    """Send it to the view's thread, which may be in the middle of a call."""
    signal.pthread_kill(threading.main_thread().ident or 0, number)


class Scene:
    """One view, from its HELLO to its end; implements `client.attach.view.RunControl`."""

    def __init__(self, *, terminal: bool = True, **settings: Any) -> None:
        self.desk = Desk(terminal=terminal)
        self.offsets = {1: 0, 2: 0}
        self.stops = 0
        self.questions: list[Question] = []
        self.answers: list[tuple[str, bool]] = []
        self.painted = False
        self.typed = Typed()
        self.lent = False
        self._settings = ViewSettings(
            **{
                "takes_input": True,
                "on_screen": terminal,
                "escape_prefix": PREFIX,
                "passes_signals": False,
                "interrupt_window": 30.0,
                **settings,
            }
        )

    def stop(self) -> None:
        self.stops += 1

    def save_screen(self) -> str:
        return "/runs/screen.txt"

    def question(self) -> Question | None:
        return self.questions[0] if self.questions else None

    def answer(self, question: Question, *, allow: bool, then: Callable[[], None]) -> None:
        self.questions.remove(question)
        self.answers.append((question.name, allow))
        then()

    def play(self, script: Callable[[PlayedSupervisor, Desk], None]) -> Ending:
        """Run a view against the script; return, or raise, what the view does.

        What goes wrong in the script is raised first: the view only hears a broken connection then.
        """
        ours, theirs = socket.socketpair()
        supervisor = PlayedSupervisor(theirs)
        failures: list[BaseException] = []

        def play() -> None:
            try:
                supervisor.greet()
                script(supervisor, self.desk)
            except BaseException as exc:  # noqa: BLE001  raised where it is seen
                failures.append(exc)
            finally:
                supervisor.close()

        with self.desk.sat_at(), Channel(ours) as channel:
            thread = threading.Thread(target=play)
            thread.start()
            try:
                return self._view(channel)
            finally:
                channel.close()
                thread.join()
                if failures:
                    raise failures[0]

    def _view(self, channel: Channel) -> Ending:
        terminal = LocalTerminal(0, 1) if self.desk.terminal else None
        on_screen = self._settings.on_screen
        if terminal is not None:
            terminal.take(raw=on_screen)
        loan = Loan(channel, self.typed, lent=self.lent)
        view = View(channel, self._settings, terminal, self.offsets, self, loan)
        try:
            saved = [] if terminal is None else encode(terminal.saved)
            return view.run(Hello(terminal=on_screen, passed=on_screen), saved)
        finally:
            self.painted = view.painted
            if terminal is not None:
                terminal.restore()
