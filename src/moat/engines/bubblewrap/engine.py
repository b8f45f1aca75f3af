"""The embedded engine: bubblewrap under the shim, on this machine, without a daemon or an image."""

from __future__ import annotations

import json
import logging
import os
import platform
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from moat.engines.bubblewrap import (
    command_line,
    host_checks,
    layout,
    memory_files,
    packet_filter,
    rlimits,
    seccomp,
    shim_client,
    writable_areas,
)
from moat.engines.bubblewrap.system import DEVICES, TERMINALS
from moat.engines.engine import CommandRefusedError, SandboxGoneError
from moat.session.io import PipeIO, ProgramIO, TerminalIO
from moat.session.journal.index import Stream
from moat.workspace import snapshot

if TYPE_CHECKING:
    import asyncio

    from moat.engines.engine import EngineEvents, Execution, SessionState
    from moat.paths import RunFolder
    from moat.spec import RunSpec

log = logging.getLogger(__name__)

_MAIN: Final = "main"


class Bubblewrap:
    """A sandbox made by bubblewrap. Implements `engines.engine.Engine`."""

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

    @property
    def data(self) -> dict[str, Any]:
        return {"shim": {"pid": self._shim_pid}}

    async def connect(self, *, create: bool) -> dict[str, SessionState] | None:
        if create:
            shim_client.ensure(self._folder)
        hello = await self._greet()
        if hello is not None and hello.replaceable:
            self._post("release")
            self.close()
            shim_client.spawn(self._folder)
            hello = await self._greet()
        if hello is None:
            return None
        self._shim_pid = hello.pid
        return hello.sessions

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
            chosen = self._spec.bubblewrap.program
            raise host_checks.isolation_failed(exc.summary, chosen) from exc

    # --- commands ---

    async def start(self, authority: bytes) -> ProgramIO:
        spec = self._spec
        bwrap = writable_areas.trusted_bubblewrap(spec)
        has_input = spec.interactive or spec.tty
        with (
            layout.Layout.of(spec, self._folder.private, authority) as sandbox,
            ExitStack() as opened,
        ):
            snapshot.take(sandbox.writable_folders, self._folder)
            bounds = self._bounds()
            words = b"".join(os.fsencode(each) + b"\0" for each in sandbox.arguments)
            passed = {
                command_line.ARGUMENTS: memory_files.plain("arguments", words),
                command_line.SECCOMP: memory_files.plain("seccomp", _filter(bounds)),
                command_line.PROGRAM: memory_files.sealed_copy(Path(bwrap)),
            }
            for fd in passed.values():
                opened.callback(os.close, fd)
            request = {
                "argv": command_line.command_line(
                    bwrap, spec.command, tty=spec.tty, stdin=has_input
                ),
                "numbers": command_line.NUMBERS,
                "passed": [*passed, *sandbox.descriptors],
                "program": command_line.PROGRAM,
                "filter": seccomp.program(platform.machine(), seccomp.INIT_POLICY).hex(),
                "read_only": DEVICES,
                "tty": spec.tty,
                "stdin": has_input,
                "size": [spec.size.columns, spec.size.rows],
                "limits": dict(bounds.rlimits),
                "processors": bounds.processors,
                "cgroup": bounds.cgroup,
                "pid_max": bounds.pid_max,
                "terminals": TERMINALS,
                "clean_up": snapshot.cleanup_command(self._folder),
            }
            fds = (*passed.values(), *sandbox.descriptors)
            answer, streams = await self._call("launch", fds, **request)
        return self._program_io(_MAIN, dict(zip(answer["fds"], streams, strict=True)))

    async def execute(self, session: str, execution: Execution) -> ProgramIO:
        bounds = self._bounds_again()
        request = {
            "command": execution.command,
            "env": layout.environment(self._spec, tty=execution.tty) | execution.env,
            "workdir": execution.workdir,
            "tty": execution.tty,
            "stdin": execution.stdin or execution.tty,
            "size": [execution.size.columns, execution.size.rows],
            "seccomp": _filter(bounds).hex(),
            "limits": dict(bounds.rlimits),
            "processors": bounds.processors,
            "cgroup": bounds.cgroup,
        }
        file = memory_files.plain("request", json.dumps(request).encode())
        try:
            answer, fds = await self._call("exec", (file,), session=session)
        finally:
            os.close(file)
        return self._program_io(session, dict(zip(answer["fds"], fds, strict=True)))

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

    # --- the end ---

    async def recorded_exit(self) -> int | None:
        """Return the exit code that the shim wrote to disk; a damaged file is logged."""
        path = self._folder.exits / f"{_MAIN}.json"
        try:
            return int(json.loads(path.read_text())["exit_code"])
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError) as exc:
            log.error("exit status %s can't be read: %s", path, exc)  # noqa: TRY400  no traceback
            return None

    async def release(self) -> None:
        gone = True
        try:
            await self._call("release")
        except CommandRefusedError:
            gone = False
            raise
        finally:
            self._release_cgroup()
            if gone:
                (self._folder.root / shim_client.SOCKET).unlink(missing_ok=True)

    def close(self) -> None:
        if self._link is not None:
            self._link.close()

    # --- limits ---

    @property
    def _cgroup_file(self) -> Path:
        """The file in which a later supervisor finds the run's cgroup."""
        return self._folder.root / "cgroup"

    def _bounds(self) -> rlimits.Bounds:
        """Put the run's limits in force."""
        bounds = rlimits.apply(self._spec.limits, self._spec.id)
        for description in bounds.descriptions:
            log.info("limit: %s", description)
        if bounds.cgroup is not None:
            self._cgroup_file.write_text(bounds.cgroup)
        return bounds

    def _bounds_again(self) -> rlimits.Bounds:
        """Return what bounds the run's first command, for one that joins it."""
        return rlimits.Bounds.of(self._spec.limits, self._cgroup())

    def _cgroup(self) -> str | None:
        try:
            return self._cgroup_file.read_text()
        except FileNotFoundError:
            return None

    def _release_cgroup(self) -> None:
        cgroup = self._cgroup()
        if cgroup is None:
            return
        try:
            rlimits.release(cgroup)
        except OSError as exc:
            # Where the shim was killed, the kernel may still be busy killing what it had started.
            log.warning("cgroup left behind: %s", exc)
        else:
            self._cgroup_file.unlink()

    # --- the shim ---

    async def _call(
        self, do: str, fds: tuple[int, ...] = (), /, **fields: Any
    ) -> shim_client.Answer:
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
                self._events.command_exited(session, exit_code)
            case {"event": "failed", "session": session, "message": message}:
                self._events.command_failed(session, message or "the sandbox ended early")
            case _:
                log.info("the shim reports something that this version doesn't know: %s", event)


def _filter(bounds: rlimits.Bounds) -> bytes:
    """Return the command's system call filter."""
    policy = {**seccomp.POLICY, **(seccomp.PINNED if bounds.processors else {})}
    return seccomp.program(platform.machine(), policy)
