"""Watching a session from a terminal or a pipe: the one path of `run`, `attach` and `exec`.

`attach` connects, hands the terminal to a `View`, and deals with what ends it. A supervisor that dies
is replaced and the view goes on where it was; a run that has ended is shown from its journal. The
terminal is restored on every way out.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from moat.client.attach.channel import Channel, ChannelLostError
from moat.client.attach.interrupts import WINDOW_S
from moat.client.attach.terminal import LocalTerminal
from moat.client.attach.view import (
    STDERR,
    STDIN,
    STDOUT,
    Detached,
    Manners,
    OutputClosedError,
    SupervisorSilentError,
    View,
    raise_failure,
)
from moat.client.connect.request import Supervised, SupervisorLeftError
from moat.client.connect.restart_limit import Deaths
from moat.client.output import write_all
from moat.client.quarantine_notice import show_quarantine_notice
from moat.errors import EXIT_FAILURE, MoatError, RunNotActiveError
from moat.wire import messages, tty
from moat.wire.frames import FrameType
from moat.wire.messages import MAIN_SESSION, NO_SESSION, UPGRADE, Exited, Failure, Hello
from moat.wire.terminal_reset import CANCEL, reset_sequence

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from moat.client.attach.keys import EscapeKeys
    from moat.client.attach.view import Outcome
    from moat.runs.store import Run, Store


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachOptions:
    session: str = MAIN_SESSION
    read_only: bool = False
    interactive: bool | None = None
    """Whether standard input goes to the program; `None`: as the run was started."""
    escape_keys: EscapeKeys | None
    fresh: bool = False
    """The session was started by this very command, which stands for it in scripts."""
    tty: bool | None = None
    """Whether the session has a TTY; `None`: as the run."""
    interrupt_window: float = WINDOW_S


def attach(store: Store, run: Run, options: AttachOptions) -> int:
    """Shows the session until it ends or the user detaches; the exit code for our process."""
    attachment = _Attachment(store, run, options)
    with ExitStack() as stack:
        if attachment.terminal is not None:
            stack.enter_context(attachment.terminal)
        try:
            outcome = attachment.follow_through()
        except OutputClosedError:
            return attachment.output_closed()
        except SupervisorSilentError:
            attachment.clear_screen()
            outcome = Detached("detached from a supervisor that does not answer")
    return attachment.farewell(outcome)


def follow(
    store: Store, run: Run, offsets: dict[str, int], write: Callable[[str, bytes], None]
) -> int:
    """`logs -f`: hands on what is written to the journal, from `offsets` on, until the end."""
    ask = Supervised(store.home, store.folder(run.id))
    names = {FrameType.STDOUT: "stdout", FrameType.STDERR: "stderr"}
    at = {kind: offsets.get(name, 0) for kind, name in names.items()}
    deaths = Deaths(store, run)
    while not store.get(run.id).ended:
        try:
            channel = Channel(ask.upgrade("/v1/attach", UPGRADE))
            with channel.sock:
                channel.sock.setblocking(True)
                hello = Hello(
                    read_only=True, stdout=at[FrameType.STDOUT], stderr=at[FrameType.STDERR]
                )
                channel.greet(json.dumps(asdict(hello)).encode(), [])
                while True:
                    for kind, payload in channel.receive():
                        if kind in (FrameType.STDOUT, FrameType.STDERR):
                            write(names[FrameType(kind)], payload)
                            at[FrameType(kind)] += len(payload)
                        elif kind == FrameType.EXITED:
                            return 0
                        elif kind == FrameType.FAILED:
                            raise_failure(messages.unpack(Failure, payload))
        except RunNotActiveError:
            break
        except (ChannelLostError, SupervisorLeftError) as exc:
            deaths.another(exc)  # a new supervisor goes on from `at`
    return 0


class _Attachment:
    """One `attach`, over all the connections that it takes."""

    def __init__(self, store: Store, run: Run, options: AttachOptions) -> None:
        self._store = store
        self._run = run
        self._options = options
        self._ask = Supervised(store.home, store.folder(run.id))
        has_tty = run.tty if options.tty is None else options.tty
        wants_input = run.interactive if options.interactive is None else options.interactive
        stdin_is_terminal, stdout_is_terminal = os.isatty(STDIN), os.isatty(STDOUT)
        self._manners = Manners(
            takes_input=wants_input and not options.read_only,
            on_screen=has_tty and stdout_is_terminal,
            escape_keys=options.escape_keys,
            passes_signals=(options.fresh or wants_input)
            and not options.read_only
            and not (stdin_is_terminal and stdout_is_terminal),
            interrupt_window=options.interrupt_window,
        )
        self.terminal = (
            LocalTerminal(STDIN, STDOUT)
            if stdin_is_terminal and _in_foreground() and (stdout_is_terminal or not has_tty)
            else None
        )
        self._offsets = {FrameType.STDOUT: -1, FrameType.STDERR: -1}
        self._painted = False

    # --- connections ---

    def follow_through(self) -> Outcome:
        """One view after the other until one ends as it should."""
        deaths = Deaths(self._store, self._run)
        while True:
            try:
                return self._watch()
            except (ChannelLostError, SupervisorLeftError) as exc:
                self.clear_screen()
                deaths.another(exc)
            except RunNotActiveError:
                return self._show_ended()
            except MoatError as error:
                if error.code != NO_SESSION or not self._exit_record.exists():
                    raise
                return self._show_ended()

    @property
    def _exit_record(self) -> Path:
        """How a session ended is on disk before anything of it is dropped."""
        return self._store.folder(self._run.id).exits / f"{self._options.session}.json"

    def _watch(self) -> Outcome:
        if self._store.get(self._run.id).ended and not self._is_supervised():
            return self._show_ended()
        channel = Channel(self._ask.upgrade("/v1/attach", UPGRADE))
        with channel.sock:
            if self.terminal is not None:
                self.terminal.take(raw=self._manners.on_screen)
            view = View(
                channel, self._manners, self.terminal, self._offsets, self._stop, self._save_screen
            )
            hello, greeting = self._hello()
            try:
                return view.run(hello, greeting)
            finally:
                self._painted = view.painted

    def _is_supervised(self) -> bool:
        from moat.client.connect.launch import is_supervised  # noqa: PLC0415

        return is_supervised(self._store.folder(self._run.id))

    def _hello(self) -> tuple[Hello, bytes]:
        size = self.terminal.size() if self.terminal is not None else None
        on_screen = self._manners.on_screen and size is not None
        hello = Hello(
            session=self._options.session,
            columns=size.columns if size is not None else 0,
            rows=size.rows if size is not None else 0,
            terminal=on_screen,
            passed=on_screen,
            read_only=self._options.read_only,
            stdout=self._offsets[FrameType.STDOUT],
            stderr=self._offsets[FrameType.STDERR],
            tail=-1 if self._options.fresh else self._store.spec(self._run.id).scrollback,
            scrollback=not self._painted,
        )
        content = asdict(hello)
        if self.terminal is not None:
            content["termios"] = tty.encode(self.terminal.saved)
        return hello, json.dumps(content).encode()

    # --- what the keys can ask for ---

    def _stop(self) -> None:
        self._ask.begin("/v1/stop")

    def _save_screen(self) -> str:
        path = (
            self._store.folder(self._run.id).root / f"screen-{time.strftime('%Y%m%d-%H%M%S')}.txt"
        )
        path.write_text(self._ask.text("/v1/screen", format="contents"), encoding="utf-8")
        return str(path)

    # --- the end ---

    def clear_screen(self) -> None:
        """Our supervisor died: nobody but us can turn off what the program has turned on."""
        if self._painted:
            write_all(STDOUT, CANCEL + reset_sequence(alternate=True))

    def _show_ended(self) -> Outcome:
        """The end of a run that is over, from its journal."""
        run = self._store.get(self._run.id)
        folder = self._store.folder(run.id)
        session = folder.journal / self._options.session
        if self._manners.on_screen:
            self._show_last_screen(session)
        else:
            self._show_rest(session)
        if self._options.session != MAIN_SESSION:
            path = self._exit_record
            return Exited(json.loads(path.read_text())["exit_code"] if path.exists() else None)
        return Exited(run.exit_code, str(run.state))

    def _show_last_screen(self, session: Path) -> None:
        from moat.session.rebuild import rebuild_screen  # noqa: PLC0415  loads the emulator

        spec = self._store.spec(self._run.id)
        screen = rebuild_screen(session, spec.scrollback, spec.size)
        try:
            rows = screen.rows_vt(0, screen.size.columns, screen.size.rows)
        finally:
            screen.close()
        while rows and not rows[-1].strip():
            rows.pop()
        write_all(STDOUT, b"".join(row + b"\x1b[m\r\n" for row in rows))

    def _show_rest(self, session: Path) -> None:
        from moat.session.journal.index import Stream  # noqa: PLC0415
        from moat.session.journal.journal import JournalReader  # noqa: PLC0415  rarely needed

        reader = JournalReader(session)
        tail = -1 if self._options.fresh else self._store.spec(self._run.id).scrollback
        for stream, kind, fd in (
            (Stream.STDOUT, FrameType.STDOUT, STDOUT),
            (Stream.STDERR, FrameType.STDERR, STDERR),
        ):
            start = self._offsets[kind]
            for _, data in reader.chunks(
                stream, start if start >= 0 else reader.tail(stream, tail)
            ):
                write_all(fd, data)

    def output_closed(self) -> int:
        """Our reader has gone, or we were told to go while it did not read.

        A command that a script started would be told by SIGPIPE; one that was there before us goes
        on.
        """
        if self._options.fresh:
            self._ask.begin("/v1/signal", signal=int(signal.SIGPIPE))
        # What Python would still flush at exit can't be written either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), STDOUT)
        return 128 + signal.SIGPIPE

    def farewell(self, outcome: Outcome) -> int:
        if isinstance(outcome, Exited) and self._options.session == MAIN_SESSION:
            show_quarantine_notice(self._store.folder(self._run.id))
        match outcome:
            case Detached(reason):
                back = f"moat attach {self._run.name}"
                sys.stderr.write(
                    f"moat: {reason or 'detached'}; the run goes on. Come back: {back}\n"
                )
                return 0
            case Exited(exit_code=int(code)):
                return code
            case Exited(state=state):
                run = self._store.get(self._run.id)
                why = run.error or "its exit status is not known"
                sys.stderr.write(f"moat: run {run.name} is {state}: {why}\n")
                return EXIT_FAILURE


def _in_foreground() -> bool:
    """Whether the terminal may be read and changed: a background job would be stopped for it."""
    try:
        return os.tcgetpgrp(STDIN) == os.getpgrp()
    except OSError:
        return False
