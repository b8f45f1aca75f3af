"""What drives a shim in these tests: a real engine, and a record of what it was told."""

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
    """The engine, with the descriptors of a session as the shim hands them over."""

    def _program_io(self, session: str, fds: dict[str, int]) -> Any:
        return fds

    @property
    def shim_pid(self) -> int | None:
        return self.data["shim"]["pid"]

    async def close_stdin(self, session: str) -> None:
        await self._call("close_stdin", session=session)


@dataclass
class Supervising:
    """An engine and what it has told."""

    spec: RunSpec
    folder: RunFolder
    engine: DescriptorsOnly = field(init=False)
    told: asyncio.Queue[tuple[str, object]] = field(init=False)
    heir: Supervising | None = None

    def __post_init__(self) -> None:
        self.told = asyncio.Queue()
        self.engine = DescriptorsOnly(self.spec, self.folder, asyncio.get_running_loop(), self)

    def command_started(self, _session: str, pid: int) -> None:
        self.told.put_nowait(("started", pid))

    def command_exited(self, _session: str, exit_code: int) -> None:
        self.told.put_nowait(("exited", exit_code))

    def command_failed(self, _session: str, reason: str) -> None:
        self.told.put_nowait(("failed", reason))

    def sandbox_lost(self) -> None:
        self.told.put_nowait(("lost", None))

    async def successor(self) -> tuple[Supervising, dict[str, SessionState]]:
        """The next supervisor of the run, and what it has found."""
        self.heir = successor = Supervising(self.spec, self.folder)
        found = await successor.engine.connect(create=False)
        assert found is not None
        return successor, found

    async def expect(self, what: str) -> object:
        async with asyncio.timeout(20):
            happened, value = await self.told.get()
        assert happened == what, (happened, value)
        return value

    async def run_to_end(self) -> tuple[bytes, bytes, int]:
        """(stdout, stderr, exit code) of a command without a TTY."""
        fds = await self.engine.start(b"")
        await self.expect("started")
        code = await self.expect("exited")
        return drain(fds["stdout"]), drain(fds["stderr"]), int(str(code))

    async def output(self, fd: int, expected: bytes) -> None:
        """Waits until the command has written just that."""
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


def further(*command: str, **wishes: Any) -> Execution:
    """What `moat exec` asks for, without a terminal or input where nothing else is said."""
    nothing = Execution(
        command=command, env={}, workdir="/", tty=False, stdin=False, size=TerminalSize()
    )
    return replace(nothing, **wishes)
