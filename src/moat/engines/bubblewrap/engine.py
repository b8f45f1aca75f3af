"""The embedded engine: bubblewrap under the shim, on this machine, without a daemon or an image."""

from __future__ import annotations

import json
import logging
import os
import platform
from contextlib import ExitStack
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from moat.engines.bubblewrap import (
    command_line,
    host_checks,
    layout,
    rlimits,
)
from moat.engines.bubblewrap.system import DEVICES
from moat.engines.engine import CommandRefusedError
from moat.engines.under_shim import memory_files, seccomp, shim_client
from moat.engines.under_shim.engine import MAIN, ShimEngine
from moat.engines.under_shim.places import TERMINALS
from moat.engines.under_shim.writable_areas import check_writable
from moat.workspace import snapshot

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moat.engines.engine import Execution
    from moat.errors import EngineError
    from moat.session.io import ProgramIO

log = logging.getLogger(__name__)


class Bubblewrap(ShimEngine):
    """A sandbox made by bubblewrap. Implements `engines.engine.Engine`."""

    async def _spawn_shim(self) -> None:
        shim_client.spawn(self._folder)

    def _explain_isolation_failure(self, reason: str) -> EngineError:
        return host_checks.isolation_failed(reason, self._spec.bubblewrap.program)

    # --- commands ---

    async def start(
        self, authority: bytes, variables: Mapping[str, str] = MappingProxyType({})
    ) -> ProgramIO:
        spec = self._spec
        bwrap = host_checks.require_bubblewrap(spec.bubblewrap.program)
        check_writable(spec, spec.bubblewrap.host_path, bwrap)
        has_input = spec.interactive or spec.tty
        with (
            layout.Layout.of(
                spec, self._folder.private, authority, self._services, variables
            ) as sandbox,
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
                    bwrap,
                    spec.command,
                    tty=spec.tty,
                    stdin=has_input,
                    waits=bool(sandbox.links),
                ),
                "numbers": command_line.NUMBERS,
                "passed": [*passed, *sandbox.descriptors],
                "program": command_line.PROGRAM,
                "filter": seccomp.program(platform.machine(), seccomp.INIT_POLICY).hex(),
                "read_only": DEVICES,
                "links": sandbox.links,
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
        return self._program_io(MAIN, dict(zip(answer["fds"], streams, strict=True)))

    async def execute(self, session: str, execution: Execution) -> ProgramIO:
        bounds = self._bounds_again()
        environment = layout.environment(
            self._spec, tty=execution.tty, variables=execution.variables
        )
        request = {
            "command": execution.command,
            "env": environment | execution.env,
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

    # --- the end ---

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
                for socket in (self._folder.root / shim_client.SOCKET, *self._services):
                    socket.unlink(missing_ok=True)

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


def _filter(bounds: rlimits.Bounds) -> bytes:
    """Return the command's system call filter."""
    policy = {**seccomp.POLICY, **(seccomp.PINNED if bounds.processors else {})}
    return seccomp.program(platform.machine(), policy)
