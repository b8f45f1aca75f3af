"""The engines that this version has, by the name that a specification gives.

Each is loaded when it is needed: a client or a starting supervisor pays for no other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from moat.errors import EngineError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from moat.engines.container.images import MadeImage
    from moat.engines.engine import Check, Engine, EngineEvents
    from moat.engines.services import Services
    from moat.paths import RunFolder
    from moat.runs.store import Run
    from moat.spec import RunSpec


def make(
    spec: RunSpec, folder: RunFolder, loop: asyncio.AbstractEventLoop, events: EngineEvents
) -> Engine:
    """Return the engine of a run, not connected yet. Raises `EngineError`."""
    match spec.engine:
        case "bubblewrap":
            from moat.engines.bubblewrap.engine import Bubblewrap  # noqa: PLC0415

            return Bubblewrap(spec, folder, loop, events)
        case "docker" | "podman":
            from moat.engines.container.engine import ContainerEngine  # noqa: PLC0415

            return ContainerEngine(spec, folder, loop, events)
        case name:
            raise _unknown(name)


def check_version(spec: RunSpec, folder: RunFolder) -> None:
    """Raise `UnsupportedSandboxError` if another version of Moat holds the run's sandbox.

    `Engine.connect` does so, too. This is for a supervisor that has not touched the run yet.
    """
    match spec.engine:
        case "bubblewrap" | "docker" | "podman":
            from moat.engines.under_shim import shim_client  # noqa: PLC0415

            shim_client.check_version(folder)
        case name:
            raise _unknown(name)


def warm_up(spec: RunSpec, folder: RunFolder) -> None:
    """Begin what takes long in making a sandbox, before the supervisor has loaded.

    Raises `EngineError`. Nothing is lost where this was not called, or was called twice.
    """
    match spec.engine:
        case "bubblewrap":
            from moat.engines.bubblewrap import layout  # noqa: PLC0415
            from moat.engines.under_shim import shim_client  # noqa: PLC0415

            shim_client.ensure(folder)
            layout.search_ahead(spec)
        case "docker" | "podman":
            pass  # nothing but the engine takes long, and it is asked once
        case name:
            raise _unknown(name)


def weaknesses(spec: RunSpec) -> list[str]:
    """Return a line for each limit of the run that can't be kept strictly on this machine."""
    match spec.engine:
        case "bubblewrap":
            from moat.engines.bubblewrap import rlimits  # noqa: PLC0415

            return rlimits.weaknesses(spec.limits)
        case "docker" | "podman":
            return []
        case name:
            raise _unknown(name)


def has_sandbox(run: Run, folder: RunFolder) -> bool:
    """Return whether a run's sandbox exists, when its supervisor does not. Raises `EngineError`."""
    match run.engine:
        case "bubblewrap" | "docker" | "podman":
            from moat.engines.under_shim import shim_client  # noqa: PLC0415

            return shim_client.lives(folder)
        case name:
            raise _unknown(name)


def kill(run: Run, folder: RunFolder) -> None:
    """Kill a sandbox without the help of a supervisor, and wait for its end.

    For runs that no supervisor can take over any more. Raises `EngineError`.
    """
    match run.engine:
        case "bubblewrap":
            from moat.engines.under_shim import shim_client  # noqa: PLC0415

            shim_client.kill(run.engine_data, folder)
        case "docker" | "podman":
            from moat.engines.container import container, services  # noqa: PLC0415
            from moat.engines.under_shim import shim_client  # noqa: PLC0415

            shim_client.kill(run.engine_data, folder)
            services.remove_all(folder)
            container.remove_recorded(folder)
        case name:
            raise _unknown(name)


def services_of(spec: RunSpec, folder: RunFolder) -> Services:
    """Return the services of a run whose sandbox has been made. Raises `EngineError`."""
    match spec.engine:
        case "docker" | "podman":
            from moat.engines.container.services import ContainerServices  # noqa: PLC0415

            return ContainerServices(spec, folder)
        case name:
            raise EngineError(f"{name} runs no services", "moat run --engine docker")


def service_log(spec: RunSpec, folder: RunFolder, service: str) -> bytes:
    """Return what a service has written, at least the end of it. Raises `EngineError`."""
    return services_of(spec, folder).log(service)


def checks(programs: Mapping[str, str]) -> list[Check]:
    """Return what the engines need of this machine and whether it is there; starts processes.

    `programs` are the paths of those that the user has chosen.
    """
    from moat.engines.bubblewrap import host_checks  # noqa: PLC0415
    from moat.engines.container import host_checks as container_checks  # noqa: PLC0415

    return [*host_checks.checks(programs.get("bwrap", "")), *container_checks.checks()]


def remove_leftovers(home: Path, is_alive: Callable[[str], bool]) -> list[str]:
    """Remove what engines have of the store `home` that belongs to no living run; return its names.

    `is_alive` tells of the id of a run.
    """
    from moat.engines.container import leftovers  # noqa: PLC0415

    return leftovers.remove_leftovers(home, is_alive)


def made_images(home: Path) -> list[MadeImage]:
    """Return the images that engines have made of dependencies for the store `home`."""
    from moat.engines.container import leftovers  # noqa: PLC0415

    return leftovers.made_images(home)


def remove_images(home: Path, is_used: Callable[[MadeImage], bool]) -> list[str]:
    """Remove those of these images that aren't used; return their names."""
    from moat.engines.container import leftovers  # noqa: PLC0415

    return leftovers.remove_images(home, is_used)


def _unknown(name: str) -> EngineError:
    return EngineError(
        f"there is no engine {name!r}", "This version has bubblewrap, docker and podman"
    )
