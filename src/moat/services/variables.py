"""The texts of a service with its password in them, and what is shown of it without. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import quote

from moat.spec.service import ADDRESS

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping

    from moat.spec.service import Service

PASSWORD: Final = "{password}"  # noqa: S105  the place of one
_NAMED: Final = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")


class Filled(NamedTuple):
    """What a service and the commands of its run get."""

    env: Mapping[str, str]
    files: Mapping[str, str]
    variables: Mapping[str, str]
    """Variables of the run's commands, without their common beginning."""


def filled(service: Service, password: str) -> Filled:
    """Return the texts of a service with its password and its address in them."""
    env = {name: text.replace(PASSWORD, password) for name, text in service.env.items()}
    files = {path: text.replace(PASSWORD, password) for path, text in service.files.items()}
    known = {**env, "password": password, "host": ADDRESS, "port": str(service.ports[0])}
    variables = {"HOST": ADDRESS, "PORT": known["port"]}
    for name, text in service.variables.items():
        values = known
        if name == "URL":
            values = {each: quote(value, safe="") for each, value in known.items()}
        variables[name] = _with(text, values)
    return Filled(env, files, variables)


def as_json(services: Iterable[Service], running: Container[str]) -> list[dict[str, Any]]:
    """Return what `moat inspect` shows of services; `running` are the names of those that do."""
    return [
        {
            "name": each.name,
            "kind": each.kind,
            "image": each.image,
            "ports": list(each.ports),
            "volume": None if each.volume is None else each.volume.name,
            "running": each.name in running,
        }
        for each in services
    ]


def _with(text: str, values: Mapping[str, str]) -> str:
    """Return a text with the values that it names; other braces stay as they are."""
    return _NAMED.sub(lambda match: values.get(match[1], match[0]), text)
