"""The list of all runs on a page, as it changes, and the answers to what they ask.

One thread looks at the runs (`client.watch.glances`), for all pages together, and only while there is
one. A page that takes its time gets the newest list next, and never an old one.
"""

from __future__ import annotations

import asyncio
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

from websockets.exceptions import ConnectionClosed

from moat.client.connect.supervisor_client import SupervisorClient
from moat.client.watch.glances import Glance, Glances, Snapshot
from moat.errors import MoatError, UsageError
from moat.web import messages
from moat.web.messages import AnswerQuestion, AskQuestions, ShowEnded
from moat.web.tasks import until_first
from moat.web.threads import in_store

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator
    from pathlib import Path

    from websockets.asyncio.server import ServerConnection

    from moat.runs.store import Run, Store

MOST_RUNS: Final = 500
"""Runs that a page shows, the newest first."""
_SHOWN_CHARACTERS: Final = 1000
"""Of a command, which may be as long as the kernel allows."""
_AT_ONCE: Final = 8
"""Supervisors that are asked at the same time for one page."""


class RunsFeed:
    """The newest snapshot of all runs, for the pages that are open."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._loop = asyncio.get_running_loop()
        self._pages: set[Subscription] = set()
        self._glances: Glances | None = None

    @contextmanager
    def subscribed(self) -> Generator[Subscription]:
        page = Subscription(self._fit)
        self._pages.add(page)
        try:
            if self._glances is None:
                self._glances = Glances(self._home, self._deliver)
                self._glances.start()
            self._fit()
            yield page
        finally:
            self._pages.remove(page)
            if not self._pages and self._glances is not None:
                self._glances.stop()
                self._glances = None

    def _fit(self) -> None:
        """Look at the runs that some page shows; whoever is new gets them at once."""
        if self._glances is not None:
            self._glances.show_all(everything=any(page.shows_ended for page in self._pages))

    def _deliver(self, snapshot: Snapshot) -> None:
        """Take a snapshot, in the thread that looks."""
        try:
            self._loop.call_soon_threadsafe(self._publish, snapshot)
        except RuntimeError:
            return  # the loop is closed: the server ends

    def _publish(self, snapshot: Snapshot) -> None:
        for page in self._pages:
            page.put(snapshot)


class Subscription:
    """The snapshots of one page, of which the newest is kept."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self.shows_ended = False
        self._changed = changed
        self._newest: Snapshot | None = None
        self._there = asyncio.Event()

    def show_ended(self, *, shown: bool) -> None:
        self.shows_ended = shown
        self._changed()

    def put(self, snapshot: Snapshot) -> None:
        self._newest = snapshot
        self._there.set()

    async def next(self) -> Snapshot:
        """Return the newest snapshot that was not returned before. Raise `MoatError` without one."""
        while (newest := self._newest) is None:
            self._there.clear()
            await self._there.wait()
        self._newest = None
        if newest.error:
            raise MoatError(newest.error)
        return newest


class RunsPage:
    """One page with the list of runs: lists go to it, and questions and answers come from it."""

    def __init__(
        self, socket: ServerConnection, home: Path, page: Subscription, *, read_only: bool
    ) -> None:
        self._socket = socket
        self._home = home
        self._page = page
        self._read_only = read_only
        self._at_once = asyncio.Semaphore(_AT_ONCE)
        self._asking: set[asyncio.Task[None]] = set()

    async def serve(self) -> None:
        """Serve the page until it leaves. Raise `MoatError`, and `ValueError` for nonsense."""
        try:
            await until_first(self._send_lists(), self._listen())
        finally:
            for each in self._asking:
                each.cancel()

    async def _send_lists(self) -> None:
        sent = ""
        while True:
            text = _list(await self._page.next())
            if text != sent:
                await self._socket.send(text)
                sent = text

    async def _listen(self) -> None:
        while True:
            match messages.read(await self._socket.recv()):
                case ShowEnded(shown):
                    self._page.show_ended(shown=shown)
                case AskQuestions(run):
                    await self._begin(self._ask(run))
                case AnswerQuestion() as answer:
                    await self._begin(self._answer(answer))
                case other:
                    raise ValueError(f"a message {type(other).__name__} about runs")

    async def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Start something that a supervisor may hold up, once not too much of it is under way."""
        await self._at_once.acquire()
        task = asyncio.create_task(work)
        self._asking.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._asking.discard(task)
        self._at_once.release()

    async def _ask(self, run: str) -> None:
        """Send the questions of a run that wait for an answer."""

        def ask(store: Store) -> list[dict[str, str]]:
            return _supervisor(store, run).get("/v1/questions")["questions"]

        try:
            fields: dict[str, Any] = {"questions": await in_store(self._home, ask)}
        except MoatError as error:
            fields = {"questions": [], "error": error.summary}
        await self._tell("questions", run=run, **fields)

    async def _answer(self, answer: AnswerQuestion) -> None:
        def post(store: Store) -> None:
            if self._read_only:
                raise UsageError("this page is read-only")
            _supervisor(store, answer.run).post("/v1/answer", name=answer.name, allow=answer.allow)

        try:
            await in_store(self._home, post)
            error = ""
        except MoatError as failure:
            error = failure.summary
        await self._tell("answered", run=answer.run, name=answer.name, error=error)

    async def _tell(self, kind: str, **fields: Any) -> None:
        with suppress(ConnectionClosed):
            await self._socket.send(messages.write(kind, **fields))


def _supervisor(store: Store, run_id: str) -> SupervisorClient:
    run = store.get(run_id)
    if run.ended:
        raise UsageError(f"run {run.name} has ended")
    return SupervisorClient(store.home, store.folder(run.id))


def _list(snapshot: Snapshot) -> str:
    runs = snapshot.runs[:MOST_RUNS]
    entries = [_entry(run, snapshot.glances.get(run.id, Glance())) for run in runs]
    return messages.write("runs", runs=entries, left_out=len(snapshot.runs) - len(runs))


def _entry(run: Run, glance: Glance) -> dict[str, Any]:
    return {
        "id": run.id,
        "name": run.name,
        "state": str(run.state),
        "ended": run.ended,
        "exit_code": run.exit_code,
        "error": run.error,
        "engine": run.engine,
        "command": " ".join(run.command)[:_SHOWN_CHARACTERS],
        "program": (run.command or ("",))[0].rpartition("/")[2][:_SHOWN_CHARACTERS],
        "workspace": run.workspace,
        "tty": run.tty,
        "interactive": run.interactive,
        "created_at": run.created_at,
        "stopped_at": run.stopped_at,
        "viewers": run.viewers,
        "waiting": run.waiting.split(),
        "waits_for": run.waits_for,
    } | glance._asdict()
