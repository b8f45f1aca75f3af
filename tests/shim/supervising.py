"""A real engine that drives a shim, and a record of its events."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from moat.engines.bubblewrap.engine import Bubblewrap
from moat.engines.engine import Execution, SessionState
from moat.spec import RunSpec, TerminalSize

if TYPE_CHECKING:
    from moat.paths import RunFolder


class DescriptorsOnly(Bubblewrap):
    """The engine, which gives the descriptors of a session as the shim passes them."""

    def _program_io(self, session: str, fds: dict[str, int]) -> Any:
        return fds

    @property
    def shim_pid(self) -> int | None:
        return self.data["shim"]["pid"]

    async def close_stdin(self, session: str) -> None:
        await self._call("close_stdin", session=session)


@dataclass
class Supervising:
    """An engine and the events that it has reported."""

    spec: RunSpec
    folder: RunFolder
    engine: DescriptorsOnly = field(init=False)
    events: asyncio.Queue[tuple[str, object]] = field(init=False)
    heir: Supervising | None = None

    def __post_init__(self) -> None:
        self.events = asyncio.Queue()
        self.engine = DescriptorsOnly(self.spec, self.folder, asyncio.get_running_loop(), self)

    def command_started(self, _session: str, pid: int) -> None:
        self.events.put_nowait(("started", pid))

    def command_exited(self, _session: str, exit_code: int) -> None:
        self.events.put_nowait(("exited", exit_code))

    def command_failed(self, _session: str, reason: str) -> None:
        self.events.put_nowait(("failed", reason))

    def sandbox_lost(self) -> None:
        self.events.put_nowait(("lost", None))

    async def successor(self) -> tuple[Supervising, dict[str, SessionState]]:
        """Connect the next supervisor of the run; return it and the sessions that it found."""
        self.heir = successor = Supervising(self.spec, self.folder)
        found = await successor.engine.connect(create=False)
        assert found is not None
        return successor, found

    async def expect(self, what: str) -> object:
        async with asyncio.timeout(120):
            happened, value = await self.events.get()
        assert happened == what, (happened, value)
        return value

    async def run_to_end(self) -> tuple[bytes, bytes, int]:
        """Return (stdout, stderr, exit code) of a command without a TTY."""
        fds = await self.engine.start(b"")
        await self.expect("started")
        code = await self.expect("exited")
        return drain(fds["stdout"]), drain(fds["stderr"]), int(str(code))

    async def output(self, fd: int, expected: bytes) -> None:
        """Wait until the command has written exactly this."""
        loop = asyncio.get_running_loop()
        readable = asyncio.Event()
        got = b""
        loop.add_reader(fd, readable.set)
        while len(got) < len(expected):
            await readable.wait()
            readable.clear()
            got += os.read(fd, len(expected) - len(got))
        loop.remove_reader(fd)
        assert got == expected


def drain(fd: int) -> bytes:
    os.set_blocking(fd, True)
    data = b""
    while piece := os.read(fd, 65536):
        data += piece
    os.close(fd)
    return data


def further(*command: str, **fields: Any) -> Execution:
    """Return an execution as `moat exec` asks for it, by default without a terminal or input."""
    nothing = Execution(
        command=command, env={}, workdir="/", tty=False, stdin=False, size=TerminalSize()
    )
    return replace(nothing, **fields)
