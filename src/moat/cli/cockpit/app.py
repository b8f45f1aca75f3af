"""The life of `moat top`: snapshots, keys and signals in, lines and commands out."""

from __future__ import annotations

import os
import queue
import select
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

from moat.cli.cockpit.cockpit import Cockpit, Command, keys
from moat.cli.cockpit.table import Row, model_use, short_age
from moat.cli.cockpit.terminal import Painter
from moat.cli.found import supervisor_of
from moat.cli.output import colours, seconds_since_epoch
from moat.client.attach.terminal import LocalTerminal
from moat.client.display.quarantine_notice import show_quarantine_notice
from moat.client.removal import remove_all
from moat.client.watch.glances import Glance, Glances, Snapshot
from moat.errors import MoatError
from moat.runs.store import Store

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from moat.runs.store import Run

_STDIN, _STDOUT = 0, 1
_AGES_S: Final = 10.0
"""Nothing tells of runs that grow older, so they are looked at this often."""
_ENDING: Final = (signal.SIGTERM, signal.SIGHUP)
_DONE: Final = {"stop": "stopped", "kill": "killed", "destroy": "destroyed"}


class App:
    """One `moat top`, on the terminal of this process."""

    def __init__(self, home: Path, *, everything: bool) -> None:
        self._home = home
        self._cockpit = Cockpit(everything=everything)
        self._painter = Painter(_STDOUT)
        self._terminal = LocalTerminal(_STDIN, _STDOUT)
        self._coloured = bool(colours())
        self._woken, self._wake = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._news: queue.SimpleQueue[Snapshot | str] = queue.SimpleQueue()
        """Snapshots, and messages of commands that are over."""
        self._glances = Glances(home, self._tell)
        self._snapshot = Snapshot([], {})
        self._ended_by = 0
        """The signal that has asked us to end."""
        self._quarantined: list[str] = []
        """Lines about what was put aside after runs that were ended here: told on the way out."""
        self._touched: dict[str, None] = {}
        """Runs that were stopped or killed here."""

    def run(self) -> int:
        """Show the table until the user has had enough; return the exit code."""
        with self._signals(), self._terminal:
            try:
                self._take()
                if self._cockpit.everything:
                    self._glances.show_all(everything=True)
                self._glances.start()
                while self._turn():
                    pass
            finally:
                self._glances.stop()
                self._painter.leave()
        self._say_goodbye()
        return 128 + self._ended_by if self._ended_by else 0

    @contextmanager
    def _signals(self) -> Generator[None]:
        """Have signals wake the loop: resized windows, and requests to end."""

        def handle(number: int, _frame: object) -> None:
            if number in _ENDING:
                self._ended_by = number

        handled = (*_ENDING, signal.SIGWINCH, signal.SIGINT)
        before = {number: signal.signal(number, handle) for number in handled}
        old = signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(old)
            for number, handler in before.items():
                signal.signal(number, handler)

    def _take(self) -> None:
        self._terminal.take(raw=True)
        self._painter.enter()
        self._fit()

    def _fit(self) -> bool:
        size = self._terminal.size()
        changed = self._cockpit.size != (size.columns, size.rows)
        self._cockpit.size = (size.columns, size.rows)
        return changed

    # --- one turn of the loop ---

    def _turn(self) -> bool:
        """Show what there is, and wait for something to happen; return `False` at the end."""
        self._painter.paint(self._cockpit.lines(coloured=self._coloured))
        ready, _, _ = select.select([_STDIN, self._woken], [], [], _AGES_S)
        if self._ended_by:
            return False
        if self._woken in ready:
            self._hear()
        if _STDIN not in ready:
            self._cockpit.show(rows(self._snapshot, time.time()))
        else:
            typed = os.read(_STDIN, 4096)
            if not typed:
                return False
            for key in keys(typed):
                command = self._cockpit.press(key)
                if command is not None and not self._obey(command):
                    return False
        return True

    def _hear(self) -> None:
        with suppress(BlockingIOError):
            os.read(self._woken, 4096)
        if self._fit():
            self._painter.forget()
        with suppress(queue.Empty):
            while True:
                news = self._news.get_nowait()
                if isinstance(news, str):
                    self._cockpit.message = news
                elif news.error:
                    raise MoatError(news.error)
                else:
                    self._snapshot = news

    def _tell(self, news: Snapshot | str) -> None:
        """Take news from a thread."""
        self._news.put(news)
        with suppress(BlockingIOError):
            os.write(self._wake, b"n")

    # --- commands ---

    def _obey(self, command: Command) -> bool:
        match command:
            case Command("quit"):
                return False
            case Command("repaint"):
                self._painter.forget()
            case Command("all"):
                self._cockpit.everything = not self._cockpit.everything
                self._glances.show_all(everything=self._cockpit.everything)
            case Command("attach", Row() as row):
                self._attach(row)
            case Command(what, Row() as row):
                self._cockpit.message = f"{row.name}: {what} ..."
                threading.Thread(target=self._carry_out, args=(what, row), daemon=True).start()
            case _:
                pass
        return True

    def _attach(self, row: Row) -> None:
        """Lend the terminal to `moat attach`, and take it again when that is over."""
        self._painter.leave()
        self._terminal.restore()
        command = [sys.executable, "-I", "-m", "moat", "attach", row.id]
        done = subprocess.run(command, env=dict(os.environ), check=False)
        self._take()
        if done.returncode:
            self._cockpit.message = f"{row.name}: attach ended with exit code {done.returncode}"

    def _carry_out(self, what: str, row: Row) -> None:
        """Do what the user has said yes to, in a thread: to stop a run takes its time."""
        try:
            with Store(self._home) as store:
                run = store.get(row.id)
                if what == "destroy":
                    for removal in remove_all(store, [run], force=True, keeps_work=True):
                        self._quarantined += removal.quarantined
                        if removal.error is not None:
                            raise removal.error
                else:
                    supervisor_of(store, run).post(f"/v1/{what}")
                    self._touched[row.id] = None
        except MoatError as error:
            self._tell(f"{row.name}: {error.summary}")
        else:
            self._tell(f"{row.name} is {_DONE[what]}")

    def _say_goodbye(self) -> None:
        """Tell what was put aside, which there was no room for in the table."""
        for line in self._quarantined:
            sys.stderr.write(f"moat: after the run: {line}\n")
        with Store(self._home) as store:
            for run_id in self._touched:
                show_quarantine_notice(store.folder(run_id))


def rows(snapshot: Snapshot, now: float) -> list[Row]:
    """Return what the table says of the runs."""
    return [_row(run, snapshot.glances.get(run.id, Glance()), now) for run in snapshot.runs]


def _row(run: Run, glance: Glance, now: float) -> Row:
    seconds: Any = now - seconds_since_epoch(run.created_at)
    net = f"{glance.requests}" if glance.requests or glance.denied else ""
    if glance.denied:
        net += f"/{glance.denied}"
    state = str(run.state) if run.exit_code is None else f"{run.state} ({run.exit_code})"
    return Row(
        id=run.id,
        name=run.name,
        state=state,
        # A request that waits for an answer holds up the agent, too.
        waits_for="network" if run.waiting else run.waits_for,
        command=run.command[0].rpartition("/")[2] if run.command else "",
        net=net,
        tokens=model_use(glance.tokens, glance.dollars, glance.unpriced),
        age=short_age(seconds),
        last_line=run.error or glance.last_line,
        ended=run.ended,
    )
