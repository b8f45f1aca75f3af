"""A service that was asked for, made complete by its entry of the registry. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from moat.errors import UsageError
from moat.services.variables import PASSWORD
from moat.spec.service import Readiness, Service, ServiceVolume

if TYPE_CHECKING:
    from collections.abc import Callable

    from moat.config.services import ServiceRequest
    from moat.services.entry import Entry


def resolve(
    request: ServiceRequest, find: Callable[[str], Entry], place: Callable[[str], str]
) -> Service:
    """Return the service. Raises `UsageError`.

    `find` returns an entry by its name, `place` the folder of a volume by its name.
    """
    if request.kind:
        return _of_entry(request, find(request.kind), place)
    ready = replace(Readiness(), **request.ready)
    scheme = "http" if ready.protocol == "http" else "tcp"
    variables = {"URL": request.url or f"{scheme}://{{host}}:{{port}}"}
    if any(PASSWORD in text for text in request.env.values()):
        variables["PASSWORD"] = PASSWORD
    return Service(
        name=request.name,
        image=request.image,
        ports=request.ports,
        env=request.env,
        command=request.command,
        variables=variables,
        volume=_volume(request, "", place),
        ready=ready,
        memory=request.memory,
    )


def _of_entry(request: ServiceRequest, entry: Entry, place: Callable[[str], str]) -> Service:
    given: dict[str, Any] = {"URL": request.url} if request.url else {}
    return Service(
        name=request.name,
        kind=entry.id,
        image=request.image or f"{entry.image}:{request.version or entry.default}",
        ports=request.ports or entry.ports,
        env={**entry.env, **request.env},
        command=request.command or entry.command,
        files=entry.files,
        variables={**entry.variables, **given},
        volume=_volume(request, entry.data, place),
        ready=replace(entry.ready, **request.ready),
        memory=request.memory,
    )


def _volume(
    request: ServiceRequest, data: str, place: Callable[[str], str]
) -> ServiceVolume | None:
    if not request.volume:
        return None
    name, _, target = request.volume.partition(":")
    if not target and not data:
        raise UsageError(
            f"service {request.name}: nothing says where it keeps its data",
            f"Write volume: {name}:/PATH",
        )
    return ServiceVolume(name=name, target=target or data, folder=place(name))
