"""Started as `python -I -m moat.telemetry.follower HOME RUN`; descriptor 3 has the settings.

It follows one run's record and sends spans as they are completed. What the collector doesn't take waits
in a queue, and once that is full the oldest are dropped and counted: `moat export RUN --otlp` can send
all of them again. It ends with the run.
"""

from __future__ import annotations

import json
import logging
import os
import select
import sys
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from moat.client.connect import spawn
from moat.client.watch.follow import follow
from moat.config.secret_references import parse
from moat.credentials.secret_sources import Sources
from moat.errors import MoatError
from moat.runs.store import Store
from moat.telemetry.otlp import BATCH, Sender, check_installed
from moat.telemetry.record import Record
from moat.telemetry.spans import resource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from moat.runs.store import Run
    from moat.telemetry.spans import Span

log = logging.getLogger(__name__)

MOST_WAITING: Final = 10_000
"""Spans that wait for a collector which doesn't answer."""
EVERY_S: Final = 1.0
"""The shortest time between two looks at the record."""
RETRY_S: Final = 15.0
"""The time that a collector is left alone which has not taken spans."""
_SETTINGS: Final = 3
_LOG: Final = "telemetry.log"
_NICENESS: Final = 10


# --- the client's side ---


def start(home: Path, run_id: str, settings: Mapping[str, Any]) -> None:
    """Start a process for a run. Raises `OSError`, and `MoatError` without the SDK."""
    check_installed()
    headers: dict[str, str] = settings.get("headers", {})
    names = [word for each in headers.values() if (word := _variable(each)) is not None]
    variables = {name: os.environ[name] for name in names if name in os.environ}
    given = {"endpoint": settings["endpoint"], "headers": headers, "variables": variables}
    path = home / "runs" / run_id / _LOG
    told = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    # Not in its arguments or environment, where other processes could read it.
    memory = os.memfd_create("telemetry", os.MFD_CLOEXEC)
    try:
        os.write(memory, json.dumps(given).encode())
        os.lseek(memory, 0, os.SEEK_SET)
        module = (__name__, str(home), run_id)
        spawn.start(module, spawn.environment(str(home)), (told, told, memory))
    finally:
        os.close(told)
        os.close(memory)


def _variable(reference: str) -> str | None:
    found = parse(reference)
    return found.words[0] if found.scheme == "env" else None


# --- the process ---


class Takes(Protocol):
    """Takes spans, as `otlp.Sender` does."""

    def send(self, spans: Sequence[Span]) -> bool: ...


class Queue:
    """Spans on their way to a collector, in the order in which they were completed."""

    def __init__(self, sender: Takes, clock: Callable[[], float] = time.monotonic) -> None:
        self._sender = sender
        self._clock = clock
        self._waiting: deque[Span] = deque()
        self._not_before = float("-inf")
        self.sent = self.dropped = 0

    def add(self, spans: Iterable[Span]) -> None:
        """Take spans, and give up the oldest where there is no room."""
        for each in spans:
            if len(self._waiting) >= MOST_WAITING:
                self._waiting.popleft()
                self.dropped += 1
            self._waiting.append(each)

    def flush(self, *, last: bool = False) -> None:
        """Send what waits, unless the collector is left alone; the `last` time it is asked once more."""
        if not last and self._clock() < self._not_before:
            return
        while self._waiting:
            batch = [self._waiting[number] for number in range(min(BATCH, len(self._waiting)))]
            if not self._sender.send(batch):
                if self._not_before == float("-inf"):
                    log.warning("the collector takes no spans; they wait")
                self._not_before = self._clock() + RETRY_S
                break
            for _ in batch:
                self._waiting.popleft()
            self.sent += len(batch)
            self._not_before = float("-inf")
        if last:
            self.dropped += len(self._waiting)
            self._waiting.clear()


def send_all(store: Store, run: Run, queue: Queue) -> None:
    """Send the spans of a run until it has ended."""
    with Record(store, run) as record:
        for _ in follow(store, run):
            queue.add(record.news())
            queue.flush()
            if not store.get(run.id).ended:
                select.select([], [], [], EVERY_S)  # what is completed meanwhile is sent together
        queue.add(record.news())
        queue.add(record.end(store.get(run.id)))
    queue.flush(last=True)
    log.info("%d spans were sent, %d were dropped", queue.sent, queue.dropped)


def main(home: Path, run_id: str) -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    with os.fdopen(_SETTINGS, "rb") as file:
        settings = json.loads(file.read())
    os.nice(_NICENESS)
    try:
        with Store(home) as store:
            run, spec = store.get(run_id), store.spec(run_id)
            writable = (
                spec.work_folder,
                *(each.source for each in spec.mounts if each.mode == "rw"),
            )
            places = tuple(map(os.path.realpath, writable))
            headers = Sources(settings["variables"], {}, places).look_up(settings["headers"])
            sender = Sender(settings["endpoint"], headers, resource(spec))
            try:
                send_all(store, run, Queue(sender))
            finally:
                sender.close()
    except MoatError as error:
        log.error("no more spans are sent: %s", error.summary)  # noqa: TRY400  no traceback


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
