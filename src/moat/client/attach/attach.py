"""Attaching to a session from a terminal or a pipe: the one path of `run`, `attach` and `exec`.

A supervisor that dies is replaced, and the next view goes on where the last one was. A run that has
ended is shown from its journal. The terminal is restored on every way out.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from moat.client.attach.endings import Detached, OutputClosedError, SupervisorSilentError
from moat.client.attach.loan import LENDING_LEVEL, Loan, Typed
from moat.client.attach.terminal import LocalTerminal, in_foreground
from moat.client.attach.view import View, ViewSettings
from moat.client.connect.channel import Channel, ChannelLostError
from moat.client.connect.restart_limit import RestartLimit
from moat.client.connect.supervisor_client import SupervisorClient, SupervisorLeftError
from moat.client.display.output import STDERR, STDIN, STDOUT, write_all
from moat.client.display.quarantine_notice import show_quarantine_notice
from moat.errors import EXIT_FAILURE, MoatError, RunNotActiveError
from moat.keyboard.interrupts import WINDOW_S
from moat.keyboard.keys import PREFIX_TIMEOUT_S
from moat.keyboard.overlay import Question
from moat.paths import MAIN_SESSION
from moat.session.terminal.reset import CANCEL, reset_sequence
from moat.spec import PixelSize
from moat.wire import tty
from moat.wire.messages import NO_SESSION, UPGRADE, Exited, Hello, Keyboard

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from moat.client.attach.endings import Ending
    from moat.client.attach.handover import Handover
    from moat.runs.store import Run, Store


_SILENT: Final = "detached from a supervisor that does not answer"


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachOptions:
    session: str = MAIN_SESSION
    read_only: bool = False
    interactive: bool | None = None
    """Standard input goes to the program; `None`: if the run was started so."""
    escape_prefix: bytes
    """See `KeyMachine`."""
    fresh: bool = False
    """The session was started by this very command, which stands for it in scripts."""
    tty: bool | None = None
    """The session has a TTY; `None`: if the run has one."""
    interrupt_window: float = WINDOW_S
    prefix_timeout: float = PREFIX_TIMEOUT_S
    """See `KeyMachine`."""
    status_row: bool = True
    """Lines of Moat's own are shown on the last row of the screen."""
    handover: Handover | None = None
    """The state that this process took over, if it took over."""


def attach(store: Store, run: Run, options: AttachOptions) -> int:
    """Show the session until it ends or the user detaches; return the exit code for our process."""
    attachment = _Attachment(store, run, options)
    if options.handover is not None and (ending := _ending(options.handover)) is not None:
        return attachment.finish(ending)
    with attachment.terminal or nullcontext():
        try:
            ending = attachment.view_until_ended()
        except OutputClosedError:
            return attachment.output_closed()
        except SupervisorSilentError:
            attachment.reset_screen()
            ending = Detached(_SILENT)
    return attachment.finish(ending)


class _Attachment:
    """One `attach`, over all the connections that it takes."""

    def __init__(self, store: Store, run: Run, options: AttachOptions) -> None:
        self._store = store
        self._run = run
        self._options = options
        self._client = SupervisorClient(store.home, store.folder(run.id))
        has_tty = run.tty if options.tty is None else options.tty
        self._settings = _settings(run, options, has_tty=has_tty)
        self.terminal = _terminal(has_tty=has_tty)
        self._offsets = {STDOUT: -1, STDERR: -1}
        """Offsets up to which output has been written; negative before the first byte."""
        self._painted = False
        self._typed = Typed()
        if options.handover is not None:
            self._painted = options.handover.was_painted
            self._typed.held += bytes.fromhex(options.handover.held)
            self._typed.pasting = options.handover.pasting

    # --- connections ---

    def view_until_ended(self) -> Ending:
        """Serve one connection after the other until one ends as it should."""
        limit = RestartLimit(self._store, self._run)
        while True:
            try:
                return self._view()
            except (ChannelLostError, SupervisorLeftError) as exc:
                self.reset_screen()
                limit.supervisor_died(exc)
            except RunNotActiveError:
                return self._show_ended()
            except MoatError as error:
                if error.code != NO_SESSION or not self._exit_record.exists():
                    raise
                return self._show_ended()

    @property
    def _exit_record(self) -> Path:
        """The file with the session's exit status, which is there before anything of it is dropped."""
        return self._store.folder(self._run.id).exits / f"{self._options.session}.json"

    def _view(self) -> Ending:
        if self._store.get(self._run.id).ended and not self._is_supervised():
            return self._show_ended()
        sock, level = self._client.upgrade("/v1/attach", UPGRADE)
        with Channel(sock) as channel:
            if self.terminal is not None:
                self.terminal.take(raw=self._settings.on_screen)
            keyboard = self._keyboard if level >= LENDING_LEVEL else None
            loan = Loan(channel, self._typed, lent=keyboard is not None)
            view = View(channel, self._settings, self.terminal, self._offsets, self, loan)
            termios = [] if self.terminal is None else tty.encode(self.terminal.saved)
            try:
                return view.run(self._hello(keyboard), termios)
            finally:
                self._painted = view.painted

    def _is_supervised(self) -> bool:
        from moat.client.connect.launch import is_supervised  # noqa: PLC0415

        return is_supervised(self._store.folder(self._run.id))

    @property
    def _keyboard(self) -> Keyboard | None:
        """The keyboard, where the supervisor may read it: that of the terminal which it is passed."""
        terminal, settings = self.terminal, self._settings
        if terminal is None or not (settings.on_screen and terminal.reads_what_it_shows()):
            return None
        return Keyboard(
            prefix=settings.escape_prefix.hex(),
            takes_input=settings.takes_input,
            prefix_timeout=settings.prefix_timeout,
            interrupt_window=settings.interrupt_window,
            pasting=self._typed.pasting,
            later=bool(self._typed.held),
        )

    def _hello(self, keyboard: Keyboard | None) -> Hello:
        size = self.terminal.size() if self.terminal is not None else None
        pixels = self.terminal.pixels() if self.terminal is not None else PixelSize()
        on_screen = self._settings.on_screen and size is not None
        return Hello(
            session=self._options.session,
            columns=size.columns if size is not None else 0,
            rows=size.rows if size is not None else 0,
            terminal=on_screen,
            passed=on_screen,
            read_only=self._options.read_only,
            stdout=self._offsets[STDOUT],
            stderr=self._offsets[STDERR],
            tail=self._tail,
            scrollback=not self._painted,
            width=pixels.width,
            height=pixels.height,
            status_row=self._options.status_row,
            keyboard=keyboard,
        )

    @property
    def _tail(self) -> int:
        """Return the number of last lines of earlier output to show; -1 for all of it."""
        return -1 if self._options.fresh else self._store.spec(self._run.id).scrollback

    # --- what the escape keys ask for ---

    def stop(self) -> None:
        self._client.begin("/v1/stop")

    def save_screen(self) -> str:
        path = (
            self._store.folder(self._run.id).root / f"screen-{time.strftime('%Y%m%d-%H%M%S')}.txt"
        )
        path.write_text(self._client.text("/v1/screen", format="contents"), encoding="utf-8")
        return str(path)

    def question(self) -> Question | None:
        waiting = self._client.get("/v1/questions")["questions"]
        return Question(waiting[0]["name"], waiting[0]["text"]) if waiting else None

    def answer(self, question: Question, *, allow: bool, then: Callable[[], None]) -> None:
        self._client.post("/v1/answer", name=question.name, allow=allow)
        then()

    # --- the end ---

    def reset_screen(self) -> None:
        """Turn off the modes that the program has set: its supervisor died and can't."""
        if self._painted:
            reset_screen()

    def _show_ended(self) -> Ending:
        """Show the end of a session that is over, from its journal."""
        from moat.client.display.journal import (  # noqa: PLC0415  most sessions are not over
            print_last_screen,
            print_output,
        )

        run = self._store.get(self._run.id)
        journal = self._store.folder(run.id).journal / self._options.session
        if self._settings.on_screen:
            print_last_screen(journal, self._store.spec(run.id))
        else:
            print_output(journal, self._offsets, self._tail)
        if self._options.session == MAIN_SESSION:
            return Exited(run.exit_code, str(run.state), run.error or "")
        path = self._exit_record
        return Exited(json.loads(path.read_text())["exit_code"] if path.exists() else None)

    def output_closed(self) -> int:
        """Leave: our reader has gone.

        SIGPIPE would end a command that a script started, so it is passed on to one that we have
        started. One that was there before goes on.
        """
        if self._options.fresh:
            self._client.begin("/v1/signal", signal=int(signal.SIGPIPE))
        # Python flushes standard output at exit, which would fail.
        os.dup2(os.open(os.devnull, os.O_WRONLY), STDOUT)
        return 128 + signal.SIGPIPE

    def finish(self, ending: Ending) -> int:
        """Say how the view ended, and return the exit code."""
        if isinstance(ending, Exited) and self._options.session == MAIN_SESSION:
            show_quarantine_notice(self._store.folder(self._run.id))
        match ending:
            case Detached(reason):
                main = self._options.session == MAIN_SESSION
                what = "the run" if main else "the command"
                session = "" if main else f"/{self._options.session}"
                back = f"moat attach {self._run.name}{session}"
                sys.stderr.write(
                    f"moat: {reason or 'detached'}; {what} goes on. Come back: {back}\n"
                )
                return 0
            case Exited(exit_code=int(code), because=because):
                if because:
                    sys.stderr.write(f"moat: run {self._run.name}: {because}\n")
                return code
            case Exited(state=state):
                run = self._store.get(self._run.id)
                why = run.error or "its exit status is not known"
                sys.stderr.write(f"moat: run {run.name} is {state}: {why}\n")
                return EXIT_FAILURE


def reset_screen() -> None:
    """Turn off all modes that a program may have set in this terminal."""
    write_all(STDOUT, CANCEL + reset_sequence(alternate=True))


def _ending(handover: Handover) -> Ending | None:
    """Return how the session has ended for its user already, if it has."""
    return Detached(_SILENT) if handover.what == "silent" else handover.ended


def _settings(run: Run, options: AttachOptions, *, has_tty: bool) -> ViewSettings:
    wants_input = run.interactive if options.interactive is None else options.interactive
    is_watched = os.isatty(STDIN) and os.isatty(STDOUT)
    return ViewSettings(
        takes_input=wants_input and not options.read_only,
        on_screen=has_tty and os.isatty(STDOUT),
        escape_prefix=options.escape_prefix,
        passes_signals=(options.fresh or wants_input) and not options.read_only and not is_watched,
        interrupt_window=options.interrupt_window,
        prefix_timeout=options.prefix_timeout,
    )


def _terminal(*, has_tty: bool) -> LocalTerminal | None:
    """The terminal that keys come from; `None` where they don't, or where we may not change it."""
    if os.isatty(STDIN) and in_foreground(STDIN) and (os.isatty(STDOUT) or not has_tty):
        return LocalTerminal(STDIN, STDOUT)
    return None
