"""Commands of the user's that are started when something happens to the run (`on_event`, `notify`).

A hostile program can have events happen all the time. So few commands run at once, few wait, and one
that fails is told once.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import signal
import sys
from collections import deque
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from moat.event_stream import as_json
from moat.events import Fault
from moat.ground import programs
from moat.supervisor import notify

if TYPE_CHECKING:
    import asyncio

    from moat.events import Event
    from moat.supervisor.context import RunContext

log = logging.getLogger(__name__)

DEADLINE_S: Final = 30.0
"""A command that takes longer is killed."""
AT_ONCE: Final = 4
MOST_WAITING: Final = 64
"""The number of commands that wait for others to end; those behind them aren't started at all."""
_PROCESS: Final = Path(__file__).with_name("hook_process.py")
_PARKING: Final = 16
"""The lowest number of a descriptor that is passed on."""


class _Due(NamedTuple):
    """A command that is to be started; of several, the first that is installed."""

    choices: tuple[tuple[str, ...], ...]
    event: bytes

    @property
    def name(self) -> str:
        return self.choices[0][0]


class Hooks:
    """A subscriber of events that starts what the user has for them."""

    def __init__(self, run: RunContext) -> None:
        self._run = run
        self._spec = run.spec
        self._waiting: deque[_Due] = deque()
        self._running: dict[int, str] = {}
        """The command that each pipe tells the outcome of."""
        self._failed: set[str] = set()

    @property
    def busy(self) -> bool:
        """Tell whether a command runs or waits."""
        return bool(self._running or self._waiting)

    def __call__(self, at: float, event: Event) -> None:
        if not self._spec.on_event and self._spec.notify == "off":
            return
        due: list[tuple[tuple[str, ...], ...]] = [
            (hook.command,) for hook in self._spec.on_event if event.KIND in hook.events
        ]
        if text := notify.message(event):
            if self._spec.notify == "bell":
                self._ring()
            elif self._spec.notify == "desktop" and not self._run.viewers.attached:
                due.append(notify.commands(f"moat: {self._spec.name}", text))
        for choices in due:
            if len(self._waiting) >= MOST_WAITING:
                self._tell(choices[0][0], "events come quicker than it ends: some are left out")
            else:
                self._waiting.append(_Due(choices, self._line(at, event)))
        self._start_more(AT_ONCE - len(self._running))

    def close(self) -> None:
        """Start the newest of what waits, and listen no more. What runs goes on to its deadline."""
        while len(self._waiting) > AT_ONCE:
            self._waiting.popleft()
        self._start_more(AT_ONCE)
        for pipe in self._running:
            self._run.loop.remove_reader(pipe)
            os.close(pipe)
        self._running.clear()

    def _line(self, at: float, event: Event) -> bytes:
        run = {"id": self._spec.id, "name": self._spec.name, "workspace": self._spec.workspace}
        return json.dumps(as_json(at, event) | {"run": run}).encode() + b"\n"

    def _ring(self) -> None:
        for viewer in self._run.viewers.attached:
            viewer.ring()

    def _start_more(self, count: int) -> None:
        while count > 0 and self._waiting:
            count -= 1
            self._start(self._waiting.popleft())

    def _start(self, due: _Due) -> None:
        command, reason = _found(due)
        if command is None:
            self._tell(due.name, reason)
            return
        try:
            pipe = _spawn(command, due.event)
        except OSError as exc:
            self._tell(due.name, f"it can't be started: {exc.strerror}")
            return
        self._running[pipe] = due.name
        self._run.loop.add_reader(pipe, self._ended, pipe, self._run.loop)

    def _ended(self, pipe: int, loop: asyncio.AbstractEventLoop) -> None:
        outcome = os.read(pipe, 1000).decode(errors="replace")
        loop.remove_reader(pipe)
        os.close(pipe)
        name = self._running.pop(pipe)
        if outcome != "ok":
            self._tell(name, outcome or "it was killed")
        self._start_more(AT_ONCE - len(self._running))
        self._run.changes.notify()

    def _tell(self, name: str, reason: str) -> None:
        """Report a command that has failed, the first time that it does."""
        if name not in self._failed:
            self._failed.add(name)
            log.error("the hook %s: %s", name, reason)
            self._run.emit(Fault("hook", f"{name}: {reason}"))


def _found(due: _Due) -> tuple[tuple[str, ...] | None, str]:
    """Return the command with the path of its program, or the reason why there is none."""
    passed_over: list[str] = []
    for name, *words in due.choices:
        search = programs.search(name, name if name.startswith("/") else "")
        if search.path is not None:
            return (search.path, *words), ""
        passed_over += search.passed_over
    return None, "; ".join(passed_over) or "there is no such program in the system's folders"


def _spawn(command: tuple[str, ...], event: bytes) -> int:
    """Start the command with the event as its input; return the pipe that tells its outcome."""
    with ExitStack() as opened:

        def kept(fd: int) -> int:
            opened.callback(os.close, fd)
            return fd

        given = kept(os.memfd_create("event", os.MFD_CLOEXEC))
        os.write(given, event)
        os.lseek(given, 0, os.SEEK_SET)
        null = kept(os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC))
        listened, told = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        kept(told)
        with ExitStack() as failed:
            failed.callback(os.close, listened)
            # From numbers that the process doesn't get, so that none takes the place of another.
            parked = [
                kept(fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _PARKING))
                for fd in (given, null, null, told)
            ]
            os.posix_spawn(
                sys.executable,
                [sys.executable, "-I", "-S", str(_PROCESS), f"{DEADLINE_S:g}", *command],
                dict(os.environ) | {"PATH": os.pathsep.join(programs.PLACES)},
                file_actions=[(os.POSIX_SPAWN_DUP2, fd, own) for own, fd in enumerate(parked)],
                setsid=True,
                setsigmask=(),
                setsigdef=(signal.SIGCHLD, signal.SIGPIPE, signal.SIGHUP, signal.SIGINT),
            )
            failed.pop_all()
    return listened
