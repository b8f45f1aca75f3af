"""The sockets on which container engines listen, in the order in which they are tried, and why.

Pure. `finding` looks at the machine. What the user has chosen counts alone: where nothing answers
there, no other engine is taken in its place.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

EngineName = Literal["docker", "podman"]

VARIABLES: Final = (
    *("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "CONTAINER_HOST", "XDG_RUNTIME_DIR"),
)
"""The user's variables that say where an engine listens."""

_UNIX: Final = "unix://"
_HOST_VARIABLE: Final[Mapping[EngineName, str]] = {
    "docker": "DOCKER_HOST",
    "podman": "CONTAINER_HOST",
}
_DEFAULT_CONTEXT: Final = "default"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address of an engine, and where it is from."""

    address: str
    why: str

    @property
    def socket(self) -> str | None:
        """The path of a unix socket; `None` where the engine is on another machine."""
        if self.address.startswith(_UNIX):
            return self.address.removeprefix(_UNIX)
        return self.address if self.address.startswith("/") else None


def chosen(engine: EngineName, variables: Mapping[str, str]) -> Endpoint | None:
    """Return the address in the engine's own variable; `None` where the user has set none."""
    name = _HOST_VARIABLE[engine]
    address = variables.get(name)
    return Endpoint(address, name) if address else None


def context_name(variables: Mapping[str, str], config: str) -> str | None:
    """Return the name of the Docker context in use; `None` for the default one.

    `config` is the text of Docker's `config.json`, empty where there is none. Raises `ValueError`.
    """
    name = variables.get("DOCKER_CONTEXT") or _object(config or "{}").get("currentContext")
    if name is not None and not isinstance(name, str):
        raise ValueError("currentContext is no name")
    return None if name in {None, "", _DEFAULT_CONTEXT} else name


def context_file(name: str) -> str:
    """Return the path of a context's description, relative to Docker's folder."""
    return f"contexts/meta/{sha256(name.encode()).hexdigest()}/meta.json"


def context_endpoint(name: str, description: str) -> Endpoint:
    """Return the address in the description of a context. Raises `ValueError`."""
    try:
        address: Any = _object(description)["Endpoints"]["docker"]["Host"]
    except (KeyError, TypeError):
        address = None
    if not isinstance(address, str):
        raise ValueError("it names no host")  # noqa: TRY004  bad content, like bad JSON
    return Endpoint(address, f"Docker's context {name}")


def usual(engine: EngineName, variables: Mapping[str, str], home: str) -> list[Endpoint]:
    """Return the places where engines listen whom nobody has told anything."""
    runtime = variables.get("XDG_RUNTIME_DIR")
    if engine == "podman":
        places = {"/run/podman/podman.sock": "Podman's own socket"}
        if runtime:
            places[f"{runtime}/podman/podman.sock"] = "rootless Podman"
    else:
        places = {"/var/run/docker.sock": "Docker's own socket"}
        if runtime:
            places[f"{runtime}/docker.sock"] = "rootless Docker"
        places |= {
            f"{home}/.docker/run/docker.sock": "Docker Desktop",
            f"{home}/.docker/desktop/docker.sock": "Docker Desktop",
            f"{home}/.colima/default/docker.sock": "Colima",
            f"{home}/.orbstack/run/docker.sock": "OrbStack",
            f"{home}/.rd/docker.sock": "Rancher Desktop",
        }
    return [Endpoint(f"{_UNIX}{path}", why) for path, why in places.items()]


def _object(text: str) -> dict[str, Any]:
    value = json.loads(text)
    if not isinstance(value, dict):
        raise ValueError("it is no JSON object")  # noqa: TRY004  bad content, like bad JSON
    return value  # pyright: ignore[reportUnknownVariableType]  a JSON object
