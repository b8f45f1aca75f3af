"""Glances at all runs, taken again whenever something has changed.

The store and the folders of the runs say that something has (inotify), so nothing happens while nothing
does. What then changes all the time is looked at once a second, and of many runs at a few each time.
"""

from __future__ import annotations

import os
import select
import threading
import time
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from moat.client.connect.supervisor_client import SupervisorClient
from moat.client.watch.run_list import RunList
from moat.egress.budget.prices import DOLLAR
from moat.egress.budget.spending import Spent
from moat.egress.traffic.reader import TrafficReader
from moat.errors import MoatError
from moat.paths import MAIN_SESSION, RunFolder
from moat.platform.inotify import FolderWatch
from moat.runs.store import Store
from moat.session.journal.index import Stream
from moat.session.journal.reader import JournalReader

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from moat.runs.store import Run

EVERY_S: Final = 1.0
"""The shortest time between two looks."""
AT_ONCE: Final = 12
"""The number of runs whose screens are looked at each time."""
LEFT_ALONE_S: Final = 60.0
"""A run whose supervisor doesn't answer is left alone for this long."""
_TAIL: Final = 4096
"""Bytes of the output of a run without a terminal in which its last line is looked for."""


class Glance(NamedTuple):
    """The looks of one run."""

    last_line: str = ""
    requests: int = 0
    denied: int = 0
    tokens: int = 0
    """Tokens of language models."""
    dollars: float = 0.0
    """Their cost, as far as it is known."""
    unpriced: int = 0
    """Tokens among them whose cost isn't known."""


class Snapshot(NamedTuple):
    """All runs at one moment, and what they look like, by their ids."""

    runs: list[Run]
    glances: Mapping[str, Glance]
    error: str = ""
    """Why the runs can't be read."""


class _HasFile(Protocol):
    def fileno(self) -> int: ...


class _Seen:
    """The last glance at one run, and the state of its files then."""

    def __init__(self) -> None:
        self.glance = Glance()
        self.output = self.traffic = -1
        self.last_entry = 0
        self.looked = self.not_before = 0.0
        """Times of the last look, and of the next one allowed."""


class Glances:
    """Looks at the runs of a store in a thread, from `start` to `stop`."""

    def __init__(self, home: Path, deliver: Callable[[Snapshot], None]) -> None:
        """`deliver` is called in the thread, with each snapshot."""
        self._home = home
        self._deliver = deliver
        self._everything = False
        self._stopped = False
        self._woken, self._wake = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._closing = threading.Lock()
        self._closed = False
        self._seen: dict[str, _Seen] = {}
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Tell the thread to end, which a supervisor may hold up: whoever wants that waits by `join`."""
        self._stopped = True
        self._look_now()

    def join(self) -> None:
        """Return once the thread has ended."""
        self._thread.join()

    def show_all(self, *, everything: bool) -> None:
        """Look at once, with the runs that have ended or without."""
        self._everything = everything
        self._look_now()

    def _look_now(self) -> None:
        with self._closing, suppress(BlockingIOError):  # it is about to
            if not self._closed:
                os.write(self._wake, b"x")

    # --- the thread ---

    def _watch(self) -> None:
        try:
            with Store(self._home) as store, FolderWatch(self._home) as changes:
                while not self._stopped:
                    self._look(store, changes)
        except (MoatError, OSError) as exc:
            why = exc.summary if isinstance(exc, MoatError) else str(exc)
            self._deliver(Snapshot([], {}, why))
        finally:
            with self._closing:
                self._closed = True
                os.close(self._woken)
                os.close(self._wake)

    def _look(self, store: Store, changes: FolderWatch) -> None:
        """Look once, deliver, and return when it is time for the next look."""
        began = time.monotonic()
        listing = RunList(store, ended=self._everything)
        with ExitStack() as opened:
            supervisors = listing.supervisors(opened)
            runs = listing.read()
            for run in runs:
                if not run.ended and run.id not in self._seen:
                    self._follow(store.folder(run.id), changes)
            more = self._glance(store, runs)
            self._deliver(Snapshot(runs, {each: seen.glance for each, seen in self._seen.items()}))
            self._wait((changes, *supervisors), EVERY_S if more else None)
        if not self._stopped:
            self._wait((), began + EVERY_S - time.monotonic())
        self._drain(changes)

    def _wait(self, files: tuple[_HasFile, ...], seconds: float | None) -> None:
        waiting = select.poll()  # select(2) ends at descriptor 1023
        waiting.register(self._woken, select.POLLIN)
        for each in files:
            waiting.register(each, select.POLLIN)
        waiting.poll(None if seconds is None else max(0.0, seconds) * 1000)

    def _drain(self, changes: FolderWatch) -> None:
        with suppress(BlockingIOError):
            os.read(self._woken, 1000)
        while select.select([changes], [], [], 0)[0]:
            changes.drain()

    @staticmethod
    def _follow(folder: RunFolder, changes: FolderWatch) -> None:
        for each in (folder.root, folder.journal / MAIN_SESSION):
            with suppress(OSError):  # it isn't made yet, or is removed already
                changes.add(each)

    def _glance(self, store: Store, runs: list[Run]) -> bool:
        """Look at those that have changed; return whether more of them have."""
        known = {run.id for run in runs}
        self._seen = {each: seen for each, seen in self._seen.items() if each in known}
        left = AT_ONCE
        for run in sorted(runs, key=lambda run: self._seen.get(run.id, _NEVER).looked):
            if run.ended:
                continue
            folder = store.folder(run.id)
            seen = self._seen.setdefault(run.id, _Seen())
            output, traffic = _size(folder.journal / MAIN_SESSION), _stamp(folder.root)
            if (output, traffic) == (seen.output, seen.traffic):
                continue
            now = time.monotonic()
            if now < seen.not_before:
                continue
            if left == 0:
                return True
            left -= 1
            seen.looked = now
            if traffic != seen.traffic:
                seen.traffic = traffic
                self._count(folder, seen)
            if output != seen.output:
                seen.output = output
                self._read(store, run, folder, seen)
        return False

    def _read(self, store: Store, run: Run, folder: RunFolder, seen: _Seen) -> None:
        """Read the last line of a run's screen, or of its output."""
        try:
            if run.tty:
                text = SupervisorClient(store.home, folder).text("/v1/screen", format="last")
            else:
                text = _tail(folder)
        except (MoatError, OSError):
            seen.not_before = time.monotonic() + LEFT_ALONE_S
            return
        lines = [line for line in text.splitlines() if line.strip()]
        seen.glance = seen.glance._replace(last_line=lines[-1] if lines else "")

    @staticmethod
    def _count(folder: RunFolder, seen: _Seen) -> None:
        with suppress(MoatError, OSError), TrafficReader(folder.database) as reader:
            if reader.is_made:
                last, requests, denied = reader.totals(after=seen.last_entry)
                seen.last_entry = last
                spent = Spent(reader.spent())
                seen.glance = seen.glance._replace(
                    requests=seen.glance.requests + requests,
                    denied=seen.glance.denied + denied,
                    tokens=spent.tokens,
                    dollars=spent.cost / DOLLAR,
                    unpriced=spent.unpriced_tokens,
                )


_NEVER: Final = _Seen()


def _size(folder: Path) -> int:
    """Return the size of the files of a journal, which grows with its output."""
    with suppress(OSError), os.scandir(folder) as entries:
        return sum(each.stat().st_size for each in entries)
    return 0


def _stamp(folder: Path) -> int:
    """Return what changes with each write to the run's traffic."""
    with suppress(OSError):
        return os.stat(folder / "run.db-wal").st_mtime_ns  # noqa: PTH116  strings, for speed
    return 0


def _tail(folder: RunFolder) -> str:
    reader = JournalReader(folder.journal / MAIN_SESSION)
    start = reader.end(Stream.STDOUT) - _TAIL
    pieces = [data for _, data in reader.chunks(Stream.STDOUT, max(0, start))]
    return b"".join(pieces).decode(errors="replace")
