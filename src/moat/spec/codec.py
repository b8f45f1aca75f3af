"""`RunSpec` to JSON and back: the file `spec.json`.

A run lives longer than the version of Moat that began it, so a file of any earlier version is read, for
ever. Every field that came after the first version has a default; where a file has no such field, the
run lives by that default. The file is written in one piece before the run begins: a field is missing
because its version had none, never because it was lost.

Backwards it is strict. A version, or a field at any depth, that this Moat doesn't know is a
`ValueError`: it may restrict the run, and a supervisor that overlooked it would open what the user has
closed. So an older Moat can list the runs of a newer one, for a listing reads the index alone, but it
can't take them over, and its `inspect` reports the error. A value of the wrong kind is an error as well.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any, Final

from moat import typed_json
from moat.spec.run import RunSpec

VERSION: Final = 1
"""Stays the same while fields are added. A field that changes its meaning needs the next one."""


def dumps(spec: RunSpec) -> str:
    # JSON escapes what isn't ASCII, because an argument or a path needn't be valid Unicode.
    return json.dumps({"version": VERSION, **asdict(spec)}, indent=2)


def loads(text: str) -> RunSpec:
    """Return the specification in `text`. Raises `ValueError` that names what is wrong with it."""
    return typed_json.read(RunSpec, current_fields(text))


def current_fields(text: str) -> dict[str, Any]:
    """Return the fields in `text`, with what they meant in their own version said as of today."""
    given = typed_json.object_of(typed_json.parse(text), "the specification")
    version = given.pop("version", None)
    if version != VERSION:
        raise ValueError(f"version {version!r} is not {VERSION}")
    if "host_path" in given:
        # Before there were sections for engines, there was one engine.
        given["bubblewrap"] = {"host_path": given.pop("host_path")}
    if "network" in given:
        network = typed_json.object_of(given["network"], "RunSpec.network")
        if "upstream_proxy" in network:
            # Before plain HTTP had a field of its own, it went through the one proxy as well.
            network.setdefault("upstream_http_proxy", network["upstream_proxy"])
    return given
