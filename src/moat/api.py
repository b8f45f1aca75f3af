r"""Runs from Python, for programs that drive agents.

    moat = Moat()
    run = await moat.start(["claude"], path="~/app", tty=True, interactive=True)
    await run.wait(idle=2)
    await run.send("fix the failing test\\r")
    print(await run.screen())

It is a client like any other: it holds nothing, and a run goes on without it. Stores and sockets are
used in threads, so that the event loop never waits for a disk.
"""

from __future__ import annotations

import asyncio
import base64
import time
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from moat.client import removal
from moat.client.connect.channel import Channel, ChannelLostError
from moat.client.connect.supervisor_client import SupervisorClient
from moat.client.display.screen import read_screen
from moat.client.watch.wait import (
    WaitResult,
    wait_for_exit,
    wait_for_idle,
    wait_for_input,
    wait_for_text,
)
from moat.client.workspace_copy import WorkspaceCopies
from moat.config import settings
from moat.config.compile import HostContext, RunOptions
from moat.config.creation import create_run
from moat.credentials.run_secrets import RunSecrets
from moat.egress.traffic import reader as traffic
from moat.errors import MoatError, UsageError
from moat.ground.own_files import separate_own_files
from moat.keyboard.key_names import encode_key
from moat.paths import MAIN_SESSION
from moat.runs.store import Run as Row
from moat.runs.store import Store
from moat.session.journal.index import Stream
from moat.session.journal.reader import JournalReader
from moat.spec import TerminalSize
from moat.spec.rules import Rule
from moat.wire.frames import FrameType
from moat.wire.messages import UPGRADE, Exited, Hello, unpack

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType
    from typing import Self, TypeVar

    from moat.config.run_image import ImageRequest
    from moat.spec import Grant

    T = TypeVar("T")

__all__ = ["Attachment", "Moat", "MoatError", "Run", "WaitResult"]


class Moat:
    """The runs of one store (`$MOAT_HOME`, or `home`)."""

    def __init__(self, home: Path | None = None) -> None:
        self._home = home

    async def start(
        self,
        command: Sequence[str] = (),
        *,
        path: str | Path = ".",
        tty: bool = False,
        interactive: bool = False,
        size: TerminalSize | None = None,
        env: Mapping[str, str] | None = None,
        **options: Any,
    ) -> Run:
        """Start a run, and return once its command has begun. Raise `MoatError`.

        `options` are the other fields of `config.compile.RunOptions`: `name`, `mounts`, `workdir`,
        `memory`, `network_policy`, `allow`, `deny`, ... Nobody is asked about what the project's file
        opens: unless it was agreed to before, or `trust_project` is true, that is a `ConsentError`.
        """
        run_options = RunOptions(
            path=str(path),
            command=tuple(command),
            interactive=interactive,
            tty=tty,
            env=tuple(f"{name}={value}" for name, value in (env or {}).items()),
            **options,
        )

        def begin(store: Store) -> Row:
            if separate_own_files():
                raise UsageError(
                    "Moat's files were those of other environments, too (hard links, as uv makes them);"
                    " now they are its own",
                    "Start this program again: it has loaded them already",
                )
            # A caller that asks for a TTY is its terminal.
            own = settings.load(store.home)
            host = HostContext(
                stdin_is_terminal=tty,
                stdout_is_terminal=tty,
                size=size or TerminalSize(),
                grants=partial(_grants, store.home),
                secrets=RunSecrets(store.home, own.programs),
                copier=WorkspaceCopies(store.home, lambda _: None),
                images=partial(_image, store.home),
            )
            row = create_run(store, run_options, own, host)
            _supervisor(store, row.id).get("/v1/run", until="started")
            return row

        row = await self._in_store(begin)
        return Run(self._home, row.id, row.name)

    async def runs(self, *, ended: bool = False) -> list[Run]:
        """Return the runs, newest first, with or without those that have ended."""
        rows = await self._in_store(lambda store: store.all(ended=ended))
        return [Run(self._home, row.id, row.name) for row in rows]

    async def run(self, reference: str) -> Run:
        """Return a run by its id, the unique beginning of one, or its name.

        Raise `RunNotFoundError`.
        """
        row = await self._in_store(lambda store: store.find(reference))
        return Run(self._home, row.id, row.name)

    async def _in_store(self, act: Callable[[Store], T]) -> T:
        return await _in_store(self._home, act)


class Run:
    """A handle on a run, which holds no resource."""

    def __init__(self, home: Path | None, run_id: str, name: str) -> None:
        self._home = home
        self.id = run_id
        self.name = name

    def __repr__(self) -> str:
        return f"<Run {self.id} {self.name}>"

    async def inspect(self) -> dict[str, Any]:
        """Return the run as `moat list --json` shows it."""
        return await self._with(lambda store: store.get(self.id).as_json())

    async def send(self, text: str | bytes) -> None:
        """Type into the run, and return once its terminal or pipe has taken everything."""
        data = text.encode() if isinstance(text, str) else text
        encoded = base64.b64encode(data).decode()
        await self._with(lambda store: _supervisor(store, self.id).post("/v1/send", data=encoded))

    async def press(self, *keys: str) -> None:
        """Press keys by their names: Enter, C-c, Up, F5, ..."""
        await self.send(b"".join(encode_key(key) for key in keys))

    async def screen(self) -> str:
        """Return what its terminal shows now, or showed last, as text."""
        return await self._with(lambda store: read_screen(store, store.get(self.id), "text"))

    async def wait(
        self,
        *,
        idle: float | None = None,
        text: str | None = None,
        for_user: bool = False,
        timeout: float | None = None,
    ) -> WaitResult:
        """Wait for `idle` seconds without output, for `text` (a regular expression), or for the end.

        With `for_user`, wait until the run waits for its user; `inspect` tells for what (`waits_for`).
        `timeout` is in seconds.
        """

        def wait(store: Store) -> WaitResult:
            row = store.get(self.id)
            if text is not None:
                return wait_for_text(store, row, text, timeout)
            if idle is not None:
                return wait_for_idle(store, row, idle, timeout)
            if for_user:
                return wait_for_input(store, row, timeout)[0]
            return wait_for_exit(store, row, timeout)

        return await self._with(wait)

    async def logs(self, stream: str = "stdout") -> bytes:
        """Return the recorded output of the command to `stdout` or `stderr`."""

        def read(store: Store) -> bytes:
            journal = JournalReader(store.folder(self.id).journal / MAIN_SESSION)
            return b"".join(data for _, data in journal.chunks(Stream[stream.upper()]))

        return await self._with(read)

    async def trace(self) -> AsyncIterator[dict[str, Any]]:
        """Yield what has gone over its network, oldest first, as `moat trace --json` prints it."""

        def read(store: Store, after: int) -> list[dict[str, Any]]:
            path = store.folder(self.id).database
            if not traffic.is_readable(path):
                return []
            with traffic.TrafficReader(path) as reader:
                rows = reader.rows(traffic.Filter(), time.time(), after=after)
                return [row.as_json() for row in islice(rows, 1000)]

        after = 0
        while found := await self._with(lambda store, after=after: read(store, after)):
            for each in found:
                yield each
            after = found[-1]["id"]

    async def policy(self) -> dict[str, Any]:
        """Return what it may reach and what waits for an answer, as `moat policy --json` prints it."""
        return await self._with(lambda store: _supervisor(store, self.id).get("/v1/policy"))

    async def allow(self, rule: str) -> None:
        """Allow `[METHOD] host[:port][/path]` from now on, before all other rules."""
        await self._add_rule("allow", rule)

    async def deny(self, rule: str) -> None:
        """Deny `[METHOD] host[:port][/path]` from now on, before all other rules."""
        await self._add_rule("deny", rule)

    async def _add_rule(self, verdict: str, rule: str) -> None:
        Rule.parse(f"{verdict} {rule}")
        await self._with(
            lambda store: _supervisor(store, self.id).post("/v1/policy", verdict=verdict, rule=rule)
        )

    async def stop(self, timeout: float | None = None) -> dict[str, Any]:
        """Ask the command to end, kill it after `timeout` seconds, and return the run as it is then."""
        return await self._with(
            lambda store: _supervisor(store, self.id).post("/v1/stop", signal=None, timeout=timeout)
        )

    async def destroy(self) -> None:
        """Remove the run and everything recorded of it. One that has not ended is killed first."""
        await self._with(lambda store: removal.remove(store, store.get(self.id), force=True))

    async def attach(self, *, read_only: bool = False) -> Attachment:
        """Attach to the run, whose output from now on can be iterated over."""
        channel = await self._with(
            lambda store: Channel(_supervisor(store, self.id).upgrade("/v1/attach", UPGRADE).sock)
        )
        channel.greet(Hello(read_only=read_only, tail=0))
        return Attachment(channel)

    async def _with(self, act: Callable[[Store], T]) -> T:
        return await _in_store(self._home, act)


class Attachment:
    """An attached session: an async context manager, and an async iterator over its output."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self.exit_code: int | None = None
        """The exit code, once the iteration has ended with the command."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._channel.close()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield output until the command has ended or the viewer is detached.

        Raise `ChannelLostError` where the supervisor dies.
        """
        loop = asyncio.get_running_loop()
        while True:
            data = await loop.sock_recv(self._channel.sock, 1 << 18)
            if not data:
                raise ChannelLostError
            for kind, payload in self._channel.frames(data):
                match kind:
                    case FrameType.STDOUT | FrameType.STDERR:
                        yield payload
                    case FrameType.EXITED:
                        self.exit_code = unpack(Exited, payload).exit_code
                        return
                    case FrameType.DETACHED:
                        return
                    case _:
                        continue


def _supervisor(store: Store, run_id: str) -> SupervisorClient:
    return SupervisorClient(store.home, store.folder(run_id))


def _image(home: Path, request: ImageRequest) -> str:
    from moat.client.images import RunImages  # noqa: PLC0415  most runs make no image

    return RunImages(home)(request)


def _grants(home: Path, names: Iterable[str], profile: str) -> tuple[Grant, ...]:
    from moat.credentials.granted import GrantedCredentials  # noqa: PLC0415  few runs have grants

    return GrantedCredentials(home, None).grants(names, profile)


async def _in_store(home: Path | None, act: Callable[[Store], T]) -> T:
    def work() -> T:
        with Store(home) as store:
            return act(store)

    return await asyncio.to_thread(work)
