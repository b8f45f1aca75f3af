"""Finding the engine of a name on this machine."""

from __future__ import annotations

import logging
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from moat.engines.container import endpoints
from moat.engines.container.api import EngineAPI
from moat.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from moat.engines.container.endpoints import Endpoint, EngineName

log = logging.getLogger(__name__)


def find(engine: EngineName, variables: Mapping[str, str]) -> Endpoint:
    """Return the endpoint to use, whose `socket` is a path. Raises `EngineError`.

    `variables` are the user's; see `endpoints.VARIABLES`.
    """
    found = endpoints.chosen(engine, variables)
    if found is None and engine == "docker":
        found = _of_context(variables)
    if found is None:
        home = os.path.expanduser("~")  # noqa: PTH111
        places = endpoints.usual(engine, variables, home)
        found = next((each for each in places if each.socket and _is_socket(each.socket)), None)
        if found is None:
            raise EngineError(
                f"no {engine} was found: nothing listens at {places[0].socket}, or elsewhere",
                f"start it ({_start(engine)}), or use an engine that is here: moat doctor",
            )
    if found.socket is None:
        raise EngineError(
            f"the {engine} at {found.address} ({found.why}) is not on this machine",
            "Moat enters containers from outside, so it must run where they do",
        )
    return found


def require_root(engine: str) -> None:
    """Raise `EngineError` for a user who can't enter containers."""
    if os.geteuid() != 0:
        raise EngineError(
            f"the engine {engine} needs root: Moat enters the container to capture its network",
            f"sudo moat run --engine {engine}; or use bubblewrap, which needs no root",
        )


def connect(engine: EngineName, variables: Mapping[str, str]) -> EngineAPI:
    """Return the engine that `find` finds. Raises `EngineError`."""
    return EngineAPI(find(engine, variables).socket or "", engine)


def all_here() -> Iterator[EngineAPI]:
    """Yield the engines that this process's own variables lead to. Logs why there is none."""
    variables = {name: os.environ[name] for name in endpoints.VARIABLES if name in os.environ}
    names: tuple[EngineName, ...] = ("docker", "podman")
    for name in names:
        try:
            yield connect(name, variables)
        except EngineError as exc:
            log.info("%s", exc.summary)


def _of_context(variables: Mapping[str, str]) -> Endpoint | None:
    folder = Path(variables.get("DOCKER_CONFIG") or Path.home() / ".docker")
    try:
        config = folder / "config.json"
        name = endpoints.context_name(variables, config.read_text() if config.exists() else "")
        if name is None:
            return None
        return endpoints.context_endpoint(name, (folder / endpoints.context_file(name)).read_text())
    except (OSError, ValueError) as exc:
        raise EngineError(
            f"Docker's context can't be read from {folder}: {exc}",
            "choose another: docker context use default; or set DOCKER_HOST",
        ) from exc


def _is_socket(path: str) -> bool:
    try:
        return stat.S_ISSOCK(os.stat(path).st_mode)  # noqa: PTH116
    except OSError:
        return False


def _start(engine: EngineName) -> str:
    return f"systemctl start {engine}" + (".socket" if engine == "podman" else "")
