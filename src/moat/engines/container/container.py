"""The container of a run: made, found again, removed.

A file in the run's folder says which engine has it, so that later supervisors, and commands without one,
ask the same engine, whatever the user's variables say by then.
"""

from __future__ import annotations

import json
import logging
import os
import platform
import select
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from moat import atomic
from moat.engines.container import images, init_program
from moat.engines.container.api import START_DEADLINE_S, CallRefusedError, EngineAPI
from moat.engines.container.finding import find, require_root
from moat.engines.container.request import container_name, create_body, is_init
from moat.engines.container.states import Condition, ContainerState
from moat.engines.under_shim.places import hostname
from moat.errors import EngineError
from moat.paths import moat_home
from moat.platform.inotify import FolderWatch

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from moat.engines.container.endpoints import Endpoint, EngineName
    from moat.paths import RunFolder
    from moat.spec import RunSpec

log = logging.getLogger(__name__)

_RECORD: Final = "container.json"
_INIT_FOLDER: Final = "container"
_NOT_FOUND: Final = 404
_INIT_S: Final = 10.0
"""Patience with a process that has been started already, and has only to execute the init."""
_EXECUTE_ONLY: Final = 0o111
"""Nobody in the container may read the init's file, so the kernel keeps its process closed to them."""
_READ_ONLY: Final = 0o400


@dataclass(frozen=True, slots=True)
class Container:
    """A container that exists, or has existed."""

    engine: str
    socket: str
    why: str
    """The source of the socket's path."""
    name: str
    image: str
    environment: Mapping[str, str]
    """The variables of its image."""
    pid: int | None = None
    """Process id of the container's init, on this machine."""

    def described(self) -> dict[str, Any]:
        """Return what the run's row and its file keep of it."""
        return {
            "engine": self.engine,
            "socket": self.socket,
            "why": self.why,
            "name": self.name,
            "image": self.image,
            "environment": dict(self.environment),
            "pid": self.pid,
        }

    @property
    def api(self) -> EngineAPI:
        return EngineAPI(self.socket, self.engine)

    def state(self) -> ContainerState:
        """Ask the engine. Raises `EngineError`."""
        return ContainerState.of(self.api.call("GET", f"/containers/{self.name}/json"))

    def thaw(self) -> None:
        """Let a paused container go on; its engine being away is no error. Logs."""
        try:
            if self.state().condition is Condition.PAUSED:
                self.api.call("POST", f"/containers/{self.name}/unpause")
        except EngineError as exc:
            log.info("container %s: %s", self.name, exc.summary)

    def remove(self) -> None:
        """Remove it with all that runs in it and its unnamed volumes. Raises `EngineError`."""
        remove(self.api, self.name)


def remove(api: EngineAPI, name: str) -> None:
    """Remove a container that may be gone already. Raises `EngineError`.

    Podman refuses where the container ends just while it is being removed, so a refusal counts only
    once the container has ended: https://github.com/containers/podman/issues/16142
    """
    try:
        _delete(api, name)
    except CallRefusedError as exc:
        if exc.status == _NOT_FOUND:
            return
        log.info("container %s: %s", name, exc.summary)
    else:
        return
    try:
        api.call("POST", f"/containers/{name}/wait?condition=not-running")
        _delete(api, name)
    except CallRefusedError as exc:
        if exc.status != _NOT_FOUND:
            raise


def _delete(api: EngineAPI, name: str) -> None:
    api.call("DELETE", f"/containers/{name}?force=true&v=true")


@dataclass(frozen=True, slots=True)
class Made:
    """A new container, and the descriptors by which a shim enters it; a context manager."""

    container: Container
    init: int
    """A pidfd."""
    alive: int

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self.init)
        os.close(self.alive)


def recorded(folder: RunFolder) -> Container | None:
    """Return the run's container as it was recorded; `None` where it has none."""
    try:
        fields = json.loads((folder.root / _RECORD).read_text())
    except FileNotFoundError:
        return None
    return Container(**fields)


def make(spec: RunSpec, folder: RunFolder) -> Made:
    """Make the run's container and start its init. Raises `EngineError`.

    What another supervisor has begun is removed first: nothing has entered it.
    """
    require_root(spec.engine)
    engine: EngineName = "podman" if spec.engine == "podman" else "docker"
    endpoint = find(engine, spec.container.variables)
    assert endpoint.socket is not None  # noqa: S101  `find` returns no other
    api = EngineAPI(endpoint.socket, engine)
    image, environment = _image(api, spec.container.image)
    name = container_name(spec.id)
    made = Container(engine, endpoint.socket, endpoint.why, name, image, environment)
    _record(made, folder)
    remove(api, name)
    inside = _init_folder(folder)
    with ExitStack() as on_failure:
        # Open before the init opens it, and would wait.
        alive = os.open(inside / init_program.ALIVE, os.O_RDWR | os.O_CLOEXEC)
        on_failure.callback(os.close, alive)
        on_failure.callback(_remove_after_failure, made)
        home = str(moat_home())
        body = create_body(
            spec, home=home, image=image, init_folder=str(inside), hostname=hostname(spec)
        )
        api.call("POST", f"/containers/create?name={name}", body, deadline=START_DEADLINE_S)
        with FolderWatch(inside, opens=True) as opened:
            api.call("POST", f"/containers/{name}/start", deadline=START_DEADLINE_S)
            pid = made.state().pid
            init = _open_init(pid, spec.id, endpoint, opened)
        on_failure.callback(os.close, init)
        started = replace(made, pid=pid)
        _record(started, folder)
        on_failure.pop_all()
    return Made(started, init, alive)


def remove_recorded(folder: RunFolder) -> None:
    """Remove the run's container, if it has one. Raises `EngineError`."""
    known = recorded(folder)
    if known is not None:
        known.remove()


def _image(api: EngineAPI, reference: str) -> tuple[str, dict[str, str]]:
    """Return the id of an image, and its variables."""
    if not reference:
        raise EngineError(
            f"the engine {api.name} needs an image",
            "moat run --image debian:stable, or base_image: or dependencies: in agent.yaml",
        )
    described = images.describe(api, reference)
    config: dict[str, Any] = described.get("Config") or {}
    variables: list[str] = config.get("Env") or []
    return described["Id"], dict(each.split("=", 1) for each in variables if "=" in each)


def _init_folder(folder: RunFolder) -> Path:
    """Make the folder with the init and its FIFO, which the container shows."""
    inside = folder.root / _INIT_FOLDER
    inside.mkdir(mode=0o755, exist_ok=True)
    init, alive = inside / init_program.INIT, inside / init_program.ALIVE
    init.unlink(missing_ok=True)
    init.write_bytes(init_program.program(platform.machine()))
    init.chmod(_EXECUTE_ONLY)
    alive.unlink(missing_ok=True)
    os.mkfifo(alive, _READ_ONLY)
    return inside


def _open_init(pid: int | None, run_id: str, endpoint: Endpoint, opened: FolderWatch) -> int:
    """Return a pidfd of the container's init, having seen that it is one of this machine's processes.

    An engine says that a container has started before its runtime has become the init. The init opens
    its FIFO, which `opened` tells.
    """
    elsewhere = EngineError(
        f"the container runs where its processes can't be seen from here ({endpoint.address})",
        "an engine in a virtual machine, such as Docker Desktop's, can't be used: run Moat in there",
    )
    if pid is None:
        raise elsewhere
    try:
        init = os.pidfd_open(pid)
    except OSError as exc:
        raise elsewhere from exc
    try:
        deadline = time.monotonic() + _INIT_S
        while not is_init(Path(f"/proc/{pid}/cmdline").read_bytes(), run_id):
            left = max(0.0, deadline - time.monotonic())
            if opened not in select.select([opened, init], [], [], left)[0]:
                raise elsewhere
            opened.drain()
    except BaseException as exc:
        os.close(init)
        if isinstance(exc, OSError):
            raise elsewhere from exc
        raise
    return init


def _remove_after_failure(made: Container) -> None:
    try:
        made.remove()
    except EngineError as exc:
        log.error("the container %s is left behind: %s", made.name, exc.summary)  # noqa: TRY400  no traceback


def _record(made: Container, folder: RunFolder) -> None:
    content = json.dumps(made.described()).encode()
    atomic.replace_file(folder.root / _RECORD, content, durable=False)
