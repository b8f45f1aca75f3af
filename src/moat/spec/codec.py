"""`RunSpec` to JSON and back.

Strict in what it reads: an unknown version, or a field that is missing, unknown or of the wrong kind,
is a `ValueError` that names it, because a run must never start from half a specification.
"""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from typing import Any, Final, TypeVar, cast, get_args

from moat.spec.network import Capture, Network, PolicyMode, Timeouts
from moat.spec.run import Limits, Mount, MountMode, RunId, RunSpec, TerminalSize

VERSION: Final = 1

# Runs that began before there was such a field are still read: for them it is the default. Fields that
# come later belong here, too, where a default is what older runs live by.
_MAY_LACK: Final = frozenset({"network", "trusted_files"})

# What JSON holds for a field, by its annotation. `bool` is an `int` to Python, but not here.
_KINDS: Final[dict[str, tuple[type, ...]]] = {
    "RunId": (str,),
    "str": (str,),
    "MountMode": (str,),
    "bool": (bool,),
    "int": (int,),
    "int | None": (int, type(None)),
    "float": (int, float),
    "float | None": (int, float, type(None)),
    "tuple[str, ...]": (list,),
    "tuple[Mount, ...]": (list,),
    "Mapping[str, str]": (dict,),
    "Limits": (dict,),
    "TerminalSize": (dict,),
    "Network": (dict,),
    "PolicyMode": (str,),
    "Capture": (str,),
    "Timeouts": (dict,),
}

Part = TypeVar("Part", RunSpec, Mount, Limits, TerminalSize, Network, Timeouts)


def dumps(spec: RunSpec) -> str:
    # Escaped: arguments and paths may be no UTF-8.
    return json.dumps({"version": VERSION, **asdict(spec)}, indent=2)


def loads(text: str) -> RunSpec:
    """Raises `ValueError` naming what is wrong."""
    try:
        raw: object = json.loads(text)
    except RecursionError as exc:
        raise ValueError("nested too deep") from exc
    given = _object(raw, "the specification")
    version = given.pop("version", None)
    if version != VERSION:
        raise ValueError(f"version {version!r} is not {VERSION}")
    complete = _checked(RunSpec, given, may_lack=_MAY_LACK)
    read: dict[str, Any] = complete | {
        "id": RunId(complete["id"]),
        "command": _texts(RunSpec, complete, "command"),
        "exclude": _texts(RunSpec, complete, "exclude"),
        "trusted_files": _texts(RunSpec, complete, "trusted_files"),
        "env": _map(RunSpec, complete, "env"),
        "mounts": tuple(_mount(each) for each in complete["mounts"]),
        "limits": _part(Limits, complete["limits"]),
        "size": _part(TerminalSize, complete["size"]),
        "network": _network(complete["network"]) if "network" in complete else Network(),
    }
    return RunSpec(**read)


def _mount(value: object) -> Mount:
    mount = _part(Mount, value)
    _one_of(MountMode, mount.mode, "Mount.mode")
    return mount


def _network(value: object) -> Network:
    given = _object(value, "Network")
    # Before the two were told apart, everything went through the one.
    given.setdefault("upstream_http_proxy", given.get("upstream_proxy"))
    complete = _checked(Network, given)
    _one_of(PolicyMode, complete["policy"], "Network.policy")
    _one_of(Capture, complete["capture"], "Network.capture")
    lists = ("rules", "allow", "tcp", "passthrough", "private")
    read: dict[str, Any] = complete | {
        **{name: _texts(Network, complete, name) for name in lists},
        "hosts": _map(Network, complete, "hosts"),
        "timeouts": _part(Timeouts, complete["timeouts"]),
    }
    return Network(**read)


def _one_of(literal: object, value: object, where: str) -> None:
    if value not in get_args(literal):
        raise ValueError(f"{where}: {value!r} is no {literal}")


def _part(kind: type[Part], value: object) -> Part:
    return kind(**_checked(kind, _object(value, kind.__name__)))


def _object(value: object, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{what} is not a JSON object")  # noqa: TRY004  one error for a bad text
    return cast("dict[str, Any]", value)


def _checked(
    kind: type[Part], given: dict[str, Any], *, may_lack: frozenset[str] = frozenset()
) -> dict[str, Any]:
    """The fields, all of them, each of its kind."""
    known = {each.name: str(each.type) for each in fields(kind)}
    for name in given.keys() - known.keys():
        raise ValueError(f"{kind.__name__} has no field {name!r}")
    for name, annotation in known.items():
        if name not in given:
            if name in may_lack:
                continue
            raise ValueError(f"{kind.__name__} lacks {name}")
        accepted = _KINDS[annotation]
        value = given[name]
        if not isinstance(value, accepted) or (isinstance(value, bool) and bool not in accepted):
            raise ValueError(f"{kind.__name__}.{name}: {value!r} is no {annotation}")
    return given


def _texts(kind: type[Part], complete: dict[str, Any], name: str) -> tuple[str, ...]:
    """The strings of a list, or of a map's values."""
    value: list[Any] | dict[str, Any] = complete.get(name, [])
    texts = tuple(value.values() if isinstance(value, dict) else value)
    for each in texts:
        if not isinstance(each, str):
            raise ValueError(f"{kind.__name__}.{name}: {each!r} is not a string")  # noqa: TRY004  as above
    return texts


def _map(kind: type[Part], complete: dict[str, Any], name: str) -> dict[str, str]:
    return dict(zip(complete[name], _texts(kind, complete, name), strict=True))
