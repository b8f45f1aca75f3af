"""Services of a run, as files and options ask for them. Pure.

A file has a map of them by name: `cache: redis@7`, or the fields of the table below. The command line
has `[NAME=]KIND[@VERSION]`. `moat.services` makes them complete.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, get_args

from moat.config import volumes
from moat.config.engine_choice import check_image
from moat.config.fields import Field, positive
from moat.config.ports import TAKEN
from moat.errors import UsageError
from moat.spec.service import ADDRESS, ReadyProtocol
from moat.spec.units import parse_duration, parse_memory

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from moat.spec import Service

MOST_SERVICES: Final = 16
_NAME: Final = re.compile(r"[a-z](?:[a-z0-9-]{0,30}[a-z0-9])?", re.ASCII)
_VERSION: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", re.ASCII)
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*", re.ASCII)
_LOOPBACK: Final = re.compile(r"127\.\d{1,3}\.\d{1,3}\.\d{1,3}", re.ASCII)
_PASSWORD: Final = "{password}"  # noqa: S105  the place of one
_HOW: Final = "Write KIND[@VERSION], such as postgres@17, with NAME= before it if you like"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceRequest:
    """A service that a file or an option asks for."""

    name: str
    kind: str = ""
    """The name of an entry of the registry; empty where `image` is all that is said."""
    version: str = ""
    image: str = ""
    ports: tuple[int, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    command: tuple[str, ...] = ()
    volume: str = ""
    url: str = ""
    ready: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """The fields of `spec.service.Readiness` that are given."""
    memory: int | None = None


def check_kind(text: str) -> None:
    """Check the name of an entry of the registry. Raises `ValueError`."""
    if not _NAME.fullmatch(text):
        raise ValueError(f"{text!r} is no name of lower-case letters, digits and hyphens")


def check_version(text: str) -> None:
    """Check a version, which is the tag of an image. Raises `ValueError`."""
    if not _VERSION.fullmatch(text):
        raise ValueError(f"{text!r} is no version, such as 17 or 7.4-alpine")


def check_image_name(text: str) -> None:
    """Check the reference of an image without a tag. Raises `ValueError`."""
    check_image(text)
    if ":" in text.rpartition("/")[2] or "@" in text:
        raise ValueError(f"{text!r} has a tag, which the version is")


def check_port(text: str) -> None:
    """Check a TCP port of a service. Raises `ValueError`."""
    number = int(text) if re.fullmatch(r"[0-9]{1,5}", text) else 0
    if not 0 < number < 1 << 16:
        raise ValueError(f"{text!r} is not a port, which is 1 to 65535")
    if number in TAKEN:
        raise ValueError(f"port {number} leads to Moat's own proxy in a run")


def check_variable(name: str, _: str) -> None:
    """Check the name of a variable. Raises `ValueError`."""
    if not _VARIABLE.fullmatch(name):
        raise ValueError(f"{name!r} is not the name of a variable")


def _check_use(text: str) -> None:
    _kind_and_version(text)


def _check_address(text: str) -> None:
    if not _LOOPBACK.fullmatch(text):
        raise ValueError(f"{text!r} is no address like {ADDRESS}")


def _check_path(text: str) -> None:
    if not re.fullmatch(r"/[!-~]*", text):
        raise ValueError(f"{text!r} is no path of a URL, such as /health")


def _check_command(words: str | list[str]) -> None:
    if _PASSWORD in " ".join(shlex.split(words) if isinstance(words, str) else words):
        raise ValueError("everybody on this machine can read a command, so it has no {password}")


def _check_volume(text: str) -> None:
    name, colon, target = text.partition(":")
    volumes.check_name(name)
    if colon:
        volumes.check_target(target)


def _check_timeout(text: object) -> None:
    positive(parse_duration(str(text)))


READY: Final[Mapping[str, Field]] = {
    "protocol": Field(
        "enum",
        "What it is asked: to accept a connection (`tcp`), a request (`http`), or its greeting.",
        choices=get_args(ReadyProtocol),
    ),
    "port": Field("string", "Port to ask at (its first one).", check_port),
    "path": Field("string", "Path of the request, for `http` (`/`).", _check_path),
    "address": Field("string", f"Address to ask at ({ADDRESS}).", _check_address),
    "timeout": Field("quantity", "Time within which it has to be ready (60s).", _check_timeout),
}


def _check(name: str, given: Mapping[str, Any]) -> None:
    _check_name(name)
    if "image" in given and "use" not in given and not given.get("ports"):
        raise ValueError(f"{name}: ports are missing; the first one is the one that is waited for")
    if "use" not in given and "image" not in given:
        check_kind(name)


FIELD: Final = Field(
    "named",
    "Services beside the command, by the name that the runs reach them by: KIND[@VERSION] (see `moat"
    " service list`), or fields; has them run on docker, or the --engine.",
    each=_check,
    scalar="use",
    fields={
        "use": Field("string", "What it is: KIND[@VERSION] (the service's name).", _check_use),
        "image": Field("string", "Another image for it; without `use`, any image.", check_image),
        "ports": Field(
            "strings",
            "Its TCP ports, the main one first; an image has to have some.",
            each=check_port,
        ),
        "env": Field(
            "map",
            "Variables of its container; {password} stands for a random one.",
            each=check_variable,
        ),
        "command": Field("command", "Arguments of the image's entrypoint.", _check_command),
        "volume": Field(
            "string",
            "Volume in which its data lasts from run to run: NAME, or NAME:PATH (see `moat volume`).",
            _check_volume,
        ),
        "url": Field(
            "string", "MOAT_NAME_URL, in which {host}, {port} and {password} are replaced."
        ),
        "memory": Field(
            "quantity", "Its memory, like 512m (that of `limits`).", lambda v: parse_memory(str(v))
        ),
        "ready": Field("object", "The sign by which it is known to be ready.", fields=READY),
    },
)


def ready_fields(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the checked fields of a section `ready` as those of `spec.service.Readiness`."""
    fields = dict(given)
    if "port" in fields:
        fields["port"] = int(fields["port"])
    if "timeout" in fields:
        fields["timeout"] = parse_duration(str(fields["timeout"]))
    return fields


def parse(text: str) -> ServiceRequest:
    """Return the service of an option. Raises `UsageError`."""
    name, equals, rest = text.rpartition("=")
    try:
        kind, version = _kind_and_version(rest)
        name = name if equals else kind
        _check_name(name)
    except ValueError as exc:
        raise UsageError(str(exc), _HOW) from exc
    return ServiceRequest(name=name, kind=kind, version=version)


def joined(
    own: Mapping[str, Any], project: Mapping[str, Any], options: Iterable[str]
) -> tuple[ServiceRequest, ...]:
    """Return the services of the user's settings, of the project's file and of the command line.

    A later one takes the place of one of the same name. Raises `UsageError`.
    """
    requests = {name: _request(name, given) for name, given in {**own, **project}.items()}
    listed: dict[str, ServiceRequest] = {}
    for each in map(parse, options):
        if each.name in listed:
            raise UsageError(
                f"two services are called {each.name}",
                f"Give one another name: --service NAME={each.kind}",
            )
        listed[each.name] = each
    requests |= listed
    if len(requests) > MOST_SERVICES:
        raise UsageError(f"a run has {MOST_SERVICES} services at most, not {len(requests)}")
    return tuple(requests.values())


def check_together(services: Iterable[Service]) -> None:
    """Raise `UsageError` for services that can't be had together."""
    ports: dict[int, str] = {}
    folders: dict[str, str] = {}
    for service in services:
        for port in service.ports:
            if port in ports:
                raise UsageError(
                    f"services {ports[port]} and {service.name} both have port {port}",
                    "All services of a run share one network: have one listen on another port",
                )
            ports[port] = service.name
        if service.volume is not None:
            if service.volume.folder in folders:
                raise UsageError(
                    f"services {folders[service.volume.folder]} and {service.name} have the same"
                    " volume",
                    "Each needs its own",
                )
            folders[service.volume.folder] = service.name


def _request(name: str, given: Mapping[str, Any]) -> ServiceRequest:
    kind, version = "", ""
    if "use" in given or "image" not in given:
        kind, version = _kind_and_version(given.get("use", name))
    command = given.get("command", ())
    memory = given.get("memory")
    return ServiceRequest(
        name=name,
        kind=kind,
        version=version,
        image=given.get("image", ""),
        ports=tuple(map(int, given.get("ports", ()))),
        env=given.get("env", {}),
        command=tuple(shlex.split(command) if isinstance(command, str) else command),
        volume=given.get("volume", ""),
        url=given.get("url", ""),
        ready=ready_fields(given.get("ready", {})),
        memory=None if memory is None else parse_memory(str(memory)),
    )


def _kind_and_version(text: str) -> tuple[str, str]:
    kind, at, version = text.partition("@")
    check_kind(kind)
    if at:
        check_version(version)
    return kind, version


def _check_name(name: str) -> None:
    check_kind(name)
    if name == "localhost":
        raise ValueError("a service can't be called localhost")
