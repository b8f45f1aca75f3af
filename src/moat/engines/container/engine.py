"""Containers of Docker Engine or Podman, one for each run, entered by the shim."""

from __future__ import annotations

import json
import logging
import os
import platform
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, TypeVar

from moat.engines.container import container, services
from moat.engines.container.cgroups import folders as cgroup_folders
from moat.engines.container.contents import Contents, command_environment
from moat.engines.engine import CommandRefusedError
from moat.engines.under_shim import memory_files, seccomp, shim_client
from moat.engines.under_shim.engine import MAIN, ShimEngine
from moat.engines.under_shim.places import TERMINALS
from moat.engines.under_shim.writable_areas import check_writable
from moat.errors import EngineError
from moat.workspace import snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from moat.engines.engine import Execution, SessionState
    from moat.session.io import ProgramIO

T = TypeVar("T")
log = logging.getLogger(__name__)

# A message carries 250 descriptors at most (`shim.protocol`), and a mount's description is short.
_MOUNTS_AT_ONCE: Final = 200


class ContainerEngine(ShimEngine):
    """A run's container. Implements `engines.engine.Engine`."""

    _container: container.Container | None = None

    @property
    def data(self) -> dict[str, Any]:
        described = {} if self._container is None else self._container.described()
        return {**super().data, "container": described}

    async def connect(self, *, create: bool) -> dict[str, SessionState] | None:
        self._container = container.recorded(self._folder)
        return await super().connect(create=create)

    async def _spawn_shim(self) -> None:
        made = await self._in_thread(self._make_container)
        self._container = made.container
        with made:
            shim_client.spawn(self._folder, (made.init, made.alive))

    def _make_container(self) -> container.Made:
        services.remove_all(self._folder)  # those of a supervisor that has died
        return container.make(self._spec, self._folder)

    def _explain_isolation_failure(self, reason: str) -> EngineError:
        return EngineError(
            f"the container's network can't be captured: {reason}",
            "moat doctor shows what this machine lacks",
        )

    # --- commands ---

    async def start(
        self, authority: bytes, variables: Mapping[str, str] = MappingProxyType({})
    ) -> ProgramIO:
        spec = self._spec
        check_writable(spec, spec.bubblewrap.host_path)
        with Contents.of(spec, self._folder.private, authority, self._services) as contents:
            snapshot.take(contents.writable_folders, self._folder)
            for mounts, descriptors in contents.mounts.batches(_MOUNTS_AT_ONCE):
                await self._call("mount", descriptors, mounts=mounts, terminals=TERMINALS)
        request = self._request(
            command=spec.command,
            environment=command_environment(
                spec, self._image_environment, tty=spec.tty, variables=variables
            ),
            workdir=spec.workdir,
            tty=spec.tty,
            stdin=spec.interactive or spec.tty,
            size=[spec.size.columns, spec.size.rows],
        )
        clean_up = snapshot.cleanup_command(self._folder)
        return await self._begin("launch", request, MAIN, clean_up=clean_up)

    async def execute(self, session: str, execution: Execution) -> ProgramIO:
        environment = command_environment(
            self._spec, self._image_environment, tty=execution.tty, variables=execution.variables
        )
        request = self._request(
            command=execution.command,
            environment=environment | execution.env,
            workdir=execution.workdir,
            tty=execution.tty,
            stdin=execution.stdin or execution.tty,
            size=[execution.size.columns, execution.size.rows],
        )
        return await self._begin("exec", request, session)

    def _request(
        self, *, environment: Mapping[str, str], workdir: str, tty: bool, **fields: object
    ) -> dict[str, Any]:
        return {
            "env": environment,
            "workdir": workdir,
            "tty": tty,
            "seccomp": seccomp.program(platform.machine()).hex(),
            "limits": {},
            "processors": [],
            "cgroup": None,
            "cgroups": self._cgroups(),
            "user": [os.geteuid(), os.getegid()],
            **fields,
        }

    async def _begin(
        self, do: str, request: Mapping[str, Any], session: str, **fields: object
    ) -> ProgramIO:
        file = memory_files.plain("request", json.dumps(request).encode())
        try:
            answer, streams = await self._call(do, (file,), session=session, **fields)
        finally:
            os.close(file)
        return self._program_io(session, dict(zip(answer["fds"], streams, strict=True)))

    @property
    def _image_environment(self) -> Mapping[str, str]:
        return {} if self._container is None else self._container.environment

    def _cgroups(self) -> list[str]:
        """Return the cgroups of the container, which are those of its init. Raises `EngineError`."""
        pid = None if self._container is None else self._container.pid
        try:
            membership = Path(f"/proc/{pid}/cgroup").read_text()
        except OSError as exc:
            raise CommandRefusedError("the run's container has ended") from exc
        return cgroup_folders(membership, Path("/proc/self/mountinfo").read_text())

    async def kill(self, session: str) -> None:
        await super().kill(session)
        if session == MAIN and self._container is not None:
            # What an engine has frozen isn't killed before it goes on.
            await self._in_thread(self._container.thaw)

    # --- the end ---

    async def release(self) -> None:
        try:
            await self._call("release")
        finally:
            if self._container is not None:
                await self._in_thread(self._remove)
            for socket in (self._folder.root / shim_client.SOCKET, *self._services):
                socket.unlink(missing_ok=True)

    def _remove(self) -> None:
        assert self._container is not None  # noqa: S101  the caller has looked
        try:
            services.remove_all(self._folder)  # first: an engine keeps a network that is in use
            self._container.remove()
        except EngineError as exc:
            log.error("the container is left behind: %s; moat prune tries again", exc.summary)  # noqa: TRY400  no traceback

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await self._loop.run_in_executor(None, work)
