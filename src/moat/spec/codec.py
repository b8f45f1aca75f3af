"""`RunSpec` to JSON and back.

Strict in what it reads: an unknown version or a field of the wrong kind is a `ValueError` that
names the field, because a run must never start from half a specification.
"""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from typing import Any, cast

from moat.spec.run import Limits, Mount, RunId, RunSpec, TerminalSize

VERSION = 1


def dumps(spec: RunSpec) -> str:
    return json.dumps({"version": VERSION, **asdict(spec)}, indent=2, ensure_ascii=False)


def loads(text: str) -> RunSpec:
    """Raises `ValueError` naming what is wrong."""
    raw: object = json.loads(text)
    if not isinstance(raw, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004  callers catch the one error of a bad text
    given = cast("dict[str, Any]", raw)
    version = given.pop("version", None)
    if version != VERSION:
        raise ValueError(f"version {version!r} is not {VERSION}")
    unknown = given.keys() - {f.name for f in fields(RunSpec)}
    if unknown:
        raise ValueError(f"unknown field {min(unknown)!r}")
    try:
        checked: dict[str, Any] = given | {
            "id": RunId(_text(given, "id")),
            "name": _text(given, "name"),
            "workspace": _text(given, "workspace"),
            "command": tuple(_texts(given, "command")),
            "exclude": tuple(_texts(given, "exclude")),
            "mounts": tuple(Mount(**m) for m in given["mounts"]),
            "limits": Limits(**given["limits"]),
            "size": TerminalSize(**given["size"]),
            "env": {str(k): str(v) for k, v in given["env"].items()},
        }
        return RunSpec(**checked)
    except (KeyError, TypeError, AttributeError) as exc:
        raise ValueError(f"incomplete or malformed: {exc}") from exc


def _text(given: dict[str, Any], name: str) -> str:
    value = given[name]
    if not isinstance(value, str):
        raise TypeError(f"{name} is not a string")
    return value


def _texts(given: dict[str, Any], name: str) -> list[str]:
    value = given[name]
    if not isinstance(value, list) or not all(
        isinstance(v, str) for v in cast("list[object]", value)
    ):
        raise TypeError(f"{name} is not a list of strings")
    return cast("list[str]", value)
