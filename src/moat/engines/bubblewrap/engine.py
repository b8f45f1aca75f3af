"""The embedded engine: bubblewrap under the shim, on this machine, without a daemon or an image."""

from __future__ import annotations

import json
import logging
import os
import platform
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from moat.engines.bubblewrap import (
    host_checks,
    layout,
    packet_filter,
    rlimits,
    seccomp,
    shim_client,
)
from moat.errors import EngineError
from moat.workspace import cleanup

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from moat.paths import RunFolder
    from moat.spec import RunSpec, TerminalSize


log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SessionState:
    """What the shim knows of a session."""

    pid: int | None
    tty: bool
    exit_code: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """A further command for a running sandbox."""

    command: tuple[str, ...]
    env: dict[str, str]
    workdir: str
    tty: bool
    stdin: bool
    size: TerminalSize


@dataclass(frozen=True, slots=True)
class Happenings:
    """What the engine tells its supervisor; each names the session."""

    started: Callable[[str, int], None]
    exited: Callable[[str, int], None]
    failed: Callable[[str, str], None]
    """(session, why): its command never began."""
    lost: Callable[[], None]
    """The sandbox is gone."""


class Bubblewrap:
    """One run's sandbox. Use: `connect`, then `start` or, for what `connect` found, `streams`."""

    def __init__(
        self,
        spec: RunSpec,
        folder: RunFolder,
        loop: asyncio.AbstractEventLoop,
        happenings: Happenings,
    ) -> None:
        self._spec = spec
        self._folder = folder
        self._loop = loop
        self._happenings = happenings
        self._link: shim_client.ShimLink | None = None
        self.shim_pid: int | None = None

    async def connect(self, *, create: bool) -> dict[str, SessionState] | None:
        """The sessions that exist already; `None` where the sandbox is gone.

        With `create`, a shim is started where none lives.
        """
        if create:
            shim_client.ensure(self._folder)
        sock = shim_client.find(self._folder)
        if sock is None:
            return None
        self._link = shim_client.ShimLink(sock, self._loop, self._on_event, self._happenings.lost)
        try:
            hello, _ = await self._link.call("hello")
        except shim_client.ShimRefusedError as exc:
            raise host_checks.isolation_failed(exc.summary) from exc
        self.shim_pid = hello["pid"]
        return {name: SessionState(**state) for name, state in hello["sessions"].items()}

    async def start(self, authority: bytes) -> dict[str, int]:
        """Starts the run's command; its streams. `started` or `failed` follows.

        `authority`: the certificate, in PEM, that programs in the sandbox are to trust.
        """
        spec = self._spec
        bwrap = host_checks.require_bubblewrap()
        with layout.Layout.of(spec, self._folder.private, authority) as seen:
            cleanup.remember(seen.areas, self._folder)
            program = _memory_file("seccomp", seccomp.program(platform.machine()))
            arguments = _memory_file(
                "arguments", b"".join(os.fsencode(each) + b"\0" for each in seen.arguments)
            )
            try:
                bounds = self._bounds()
                wish = {
                    "sandbox": [bwrap, "--args", "8", "--seccomp", "9"],
                    "command": spec.command,
                    "tty": spec.tty,
                    "stdin": spec.interactive or spec.tty,
                    "size": [spec.size.columns, spec.size.rows],
                    "numbers": [8, 9, *seen.descriptors],
                    "limits": dict(bounds.rlimits),
                    "processors": bounds.processors,
                    "cgroup": bounds.cgroup,
                    "afterwards": cleanup.command(self._folder),
                }
                fds = (arguments, program, *seen.descriptors)
                answer, streams = await self._call("launch", fds, **wish)
            finally:
                os.close(program)
                os.close(arguments)
        return dict(zip(answer["fds"], streams, strict=True))

    async def streams(self, session: str) -> dict[str, int]:
        answer, fds = await self._call("streams", session=session)
        return dict(zip(answer["fds"], fds, strict=True))

    async def execute(self, session: str, what: Execution) -> dict[str, int]:
        """Starts a further command; its streams. `started` or `failed` follows."""
        wish = {
            "command": what.command,
            "env": layout.environment(self._spec, tty=what.tty) | what.env,
            "workdir": what.workdir,
            "tty": what.tty,
            "stdin": what.stdin or what.tty,
            "size": [what.size.columns, what.size.rows],
            "seccomp": seccomp.program(platform.machine()).hex(),
            "limits": rlimits.rlimits(self._spec.limits),
            "processors": rlimits.processors(self._spec.limits),
            "cgroup": self._cgroup(),
        }
        file = _memory_file("wish", json.dumps(wish).encode())
        try:
            answer, fds = await self._call("exec", (file,), session=session)
        finally:
            os.close(file)
        return dict(zip(answer["fds"], fds, strict=True))

    async def signal(self, session: str, number: int) -> None:
        """Raises `ShimRefusedError` where the command is not there."""
        await self._call("signal", session=session, signal=number)

    async def kill(self, session: str) -> None:
        await self._call("kill", session=session)

    async def close_stdin(self, session: str) -> None:
        await self._call("close_stdin", session=session)

    async def forget(self, session: str) -> None:
        await self._call("forget", session=session)

    async def release(self) -> None:
        """Nothing of the sandbox is needed any more: the shim ends, and what it left goes."""
        try:
            await self._call("release")
        finally:
            cgroup = self._cgroup()
            if cgroup is not None:
                self._release_cgroup(cgroup)

    def disarm(self) -> None:
        """Makes harmless what the run has left for the host to obey; no more than once.

        While the shim lives, for it starts another that does so, were we killed over it.
        """
        try:
            cleanup.disarm(self._folder)
        except (OSError, ValueError) as exc:
            # The run's end stands. What was remembered is kept, so the next supervisor tries again.
            log.error("the workspace was not looked through: %s", exc)  # noqa: TRY400

    async def disarm_dead(self, others: list[RunFolder]) -> None:
        """The same for other runs, of whom nobody lives; before `start`."""
        try:
            await self._loop.run_in_executor(None, cleanup.disarm_dead, others, shim_client.lives)
        except (OSError, ValueError) as exc:
            log.error("what another run has left was not looked through: %s", exc)  # noqa: TRY400

    def _release_cgroup(self, cgroup: str) -> None:
        try:
            rlimits.release(cgroup)
        except OSError as exc:
            # Where the shim was killed, the kernel may still be busy killing what it had started.
            log.warning("cgroup left behind: %s", exc)
        else:
            self._folder.cgroup.unlink()

    def _bounds(self) -> rlimits.Bounds:
        """The run's limits, in force; a later supervisor finds the cgroup by its file."""
        bounds = rlimits.apply(self._spec.limits, self._spec.id)
        for words in bounds.words:
            log.info("limit: %s", words)
        if bounds.cgroup is not None:
            self._folder.cgroup.write_text(bounds.cgroup)
        return bounds

    def _cgroup(self) -> str | None:
        try:
            return self._folder.cgroup.read_text()
        except FileNotFoundError:
            return None

    async def listen(self, family: str, kind: str, address: str, port: int) -> int:
        """A socket that is bound in the sandbox's network and survives this supervisor."""
        _, fds = await self._call("listen", family=family, kind=kind, address=address, port=port)
        return fds[0]

    async def packets(self) -> int:
        """A packet socket that tells what the sandbox's network has refused; it survives, too."""
        _, fds = await self._call("packets", filter=packet_filter.program().hex())
        return fds[0]

    async def dial(self, address: str, port: int) -> int:
        """A (non-blocking, perhaps still connecting) socket to a server in the sandbox."""
        _, fds = await self._call("dial", address=address, port=port)
        return fds[0]

    def close(self) -> None:
        if self._link is not None:
            self._link.close()

    async def _call(self, do: str, fds: tuple[int, ...] = (), **fields: Any) -> shim_client.Answer:
        if self._link is None:
            raise shim_client.ShimGoneError("the run has no sandbox")
        return await self._link.call(do, fds, **fields)

    def _on_event(self, event: dict[str, Any]) -> None:
        session = event["session"]
        match event["event"]:
            case "started":
                self._happenings.started(session, event["pid"])
            case "exited":
                self._happenings.exited(session, event["exit_code"])
            case "failed":
                self._happenings.failed(session, event["message"])
            case other:
                raise EngineError(f"the shim reports {other!r}, which this version does not know")


def _memory_file(name: str, content: bytes) -> int:
    fd = os.memfd_create(name, os.MFD_CLOEXEC)
    os.write(fd, content)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd
