"""The common part of the engines whose commands are children of the shim.

Such an engine says where the commands begin, and starts the first one. Input and output, further
sockets of the sandbox's network, signals and exit statuses are the shim's, whatever the sandbox is.
"""

from __future__ import annotations

import errno
import json
import logging
from typing import TYPE_CHECKING, Any, Final

from moat.engines.engine import CommandRefusedError, EngineError, SandboxGoneError
from moat.engines.under_shim import packet_filter, shim_client
from moat.platform import sockets
from moat.session.io import PipeIO, ProgramIO, TerminalIO
from moat.session.journal.index import Stream
from moat.spec.grants import SERVICES

if TYPE_CHECKING:
    import asyncio
    import socket
    from collections.abc import Sequence
    from pathlib import Path

    from moat.engines.engine import EngineEvents, SessionState
    from moat.paths import RunFolder
    from moat.spec import RunSpec

log = logging.getLogger(__name__)

MAIN: Final = "main"


class ShimEngine:
    """The part of `engines.engine.Engine` that is a conversation with the shim."""

    def __init__(
        self,
        spec: RunSpec,
        folder: RunFolder,
        loop: asyncio.AbstractEventLoop,
        events: EngineEvents,
    ) -> None:
        self._spec = spec
        self._folder = folder
        self._loop = loop
        self._events = events
        self._link: shim_client.ShimLink | None = None
        self._shim_pid: int | None = None
        self._services: dict[Path, str] = {}
        """The sockets of `keep_service` on this machine, and their paths in the sandbox."""

    @property
    def data(self) -> dict[str, Any]:
        return {"shim": {"pid": self._shim_pid}}

    async def connect(self, *, create: bool) -> dict[str, SessionState] | None:
        if create and not shim_client.lives(self._folder):
            await self._spawn_shim()
        hello = await self._greet()
        if hello is not None and hello.replaceable:
            self._post("release")
            self.close()
            await self._spawn_shim()
            hello = await self._greet()
        if hello is None:
            return None
        self._shim_pid = hello.pid
        return hello.sessions

    async def _spawn_shim(self) -> None:
        """Start a shim in the network of the sandbox."""
        raise NotImplementedError

    def _explain_isolation_failure(self, reason: str) -> EngineError:
        """Return the error for a shim that could not enter the network of the sandbox."""
        raise NotImplementedError

    async def _greet(self) -> shim_client.Hello | None:
        sock = shim_client.find(self._folder)
        if sock is None:
            return None
        self._link = shim_client.ShimLink(
            sock, self._loop, self._on_event, self._events.sandbox_lost
        )
        try:
            return await self._link.hello()
        except CommandRefusedError as exc:
            raise self._explain_isolation_failure(exc.summary) from exc

    async def streams(self, session: str) -> ProgramIO:
        answer, fds = await self._call("streams", session=session)
        return self._program_io(session, dict(zip(answer["fds"], fds, strict=True)))

    def _program_io(self, session: str, fds: dict[str, int]) -> ProgramIO:
        if "terminal" in fds:
            return TerminalIO(self._loop, fds["terminal"], fds["pipe_read"], fds["pipe_write"])
        outputs = {
            stream: fds[name]
            for name, stream in (("stdout", Stream.STDOUT), ("stderr", Stream.STDERR))
            if name in fds
        }
        return PipeIO(
            self._loop,
            outputs,
            fds.get("stdin"),
            stdin_closed=lambda: self._post("close_stdin", session=session),
        )

    async def signal(self, session: str, number: int) -> None:
        await self._call("signal", session=session, signal=number)

    async def kill(self, session: str) -> None:
        await self._call("kill", session=session)

    async def forget(self, session: str) -> None:
        await self._call("forget", session=session)

    # --- the sandbox's network ---

    async def listen(self, family: str, kind: str, address: str, port: int) -> int:
        _, fds = await self._call("listen", family=family, kind=kind, address=address, port=port)
        return fds[0]

    async def blocked(self) -> int:
        _, fds = await self._call("packets", filter=packet_filter.program().hex())
        return fds[0]

    async def dial(self, address: str, port: int) -> int:
        _, fds = await self._call("dial", address=address, port=port)
        return fds[0]

    async def keep(self, name: str, sock: socket.socket | None = None) -> int | None:
        try:
            _, fds = await self._call("keep", () if sock is None else (sock.fileno(),), name=name)
        except CommandRefusedError as exc:
            if exc.errno != errno.ENOENT:
                raise
            return None
        return fds[0]

    async def keep_service(self, name: str) -> int:
        kept = await self.keep(name)
        if kept is None:
            with sockets.listen(self._folder.root, name) as made:
                _, (kept,) = await self._call("keep", (made.fileno(),), name=name)
        self._services[self._folder.root / name] = f"{SERVICES}/{name}"
        return kept

    # --- the end ---

    async def recorded_exit(self) -> int | None:
        """Return the exit code that the shim wrote to disk; a damaged file is logged."""
        path = self._folder.exits / f"{MAIN}.json"
        try:
            return int(json.loads(path.read_text())["exit_code"])
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError) as exc:
            log.error("exit status %s can't be read: %s", path, exc)  # noqa: TRY400  no traceback
            return None

    def close(self) -> None:
        if self._link is not None:
            self._link.close()

    # --- the shim ---

    async def _call(self, do: str, fds: Sequence[int] = (), /, **fields: Any) -> shim_client.Answer:
        if self._link is None:
            raise SandboxGoneError("the run has no sandbox")
        return await self._link.call(do, fds, **fields)

    def _post(self, do: str, /, **fields: Any) -> None:
        if self._link is not None:
            self._link.post(do, **fields)

    def _on_event(self, event: dict[str, Any]) -> None:
        match event:
            case {"event": "started", "session": session, "pid": pid}:
                self._events.command_started(session, pid)
            case {"event": "exited", "session": session, "exit_code": exit_code}:
                if event.get("out_of_memory"):
                    self._events.memory_used_up(session)
                self._events.command_exited(session, exit_code)
            case {"event": "failed", "session": session, "message": message}:
                self._events.command_failed(session, message or "the sandbox ended early")
            case _:
                log.info("the shim reports something that this version doesn't know: %s", event)
