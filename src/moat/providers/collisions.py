"""Grants that can't be in one run together, because nothing could tell them apart. Pure."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING

from moat.config.granted_hosts import overlap
from moat.errors import UsageError
from moat.typed_json import object_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moat.spec.grants import Grant, Injection


def told_apart(grants: Sequence[Grant]) -> tuple[Grant, ...]:
    """Return the grants so that programs of the sandbox can choose between them.

    A second account of a provider has variables of its own: `GH_TOKEN_WORK` for the profile `work`.
    Raises `UsageError` where that isn't enough.
    """
    kept: list[Grant] = []
    for grant in sorted(grants, key=lambda each: each.profile != "default"):
        taken = {name for each in kept for name in each.env}
        kept.append(_with_own_variables(grant, taken))
    for first, second in combinations(kept, 2):
        _refuse_same_place(first, second)
    return _with_shared_files(kept)


def _with_own_variables(grant: Grant, taken: set[str]) -> Grant:
    suffix = "".join(each if each.isalnum() else "_" for each in grant.profile.upper())
    renamed = {name: f"{name}_{suffix}" if name in taken else name for name in grant.env}
    for name, own in renamed.items():
        if own in taken or (own != name and grant.profile == "default"):
            raise UsageError(
                f"two grants set {name} in the sandbox, and {grant.name} is one of them",
                "Leave one of them out",
            )
    return replace(grant, env={renamed[name]: text for name, text in grant.env.items()})


def _with_shared_files(grants: Sequence[Grant]) -> tuple[Grant, ...]:
    """Return the grants with one file for each path: JSON objects are joined."""
    joined: dict[str, str] = {}
    owners: dict[str, Grant] = {}
    for grant in grants:
        for each in grant.files:
            before = joined.get(each.path, each.content)
            joined[each.path] = _joined(before, each.content, grant, owners.get(each.path, grant))
            owners.setdefault(each.path, grant)
    return tuple(
        replace(
            grant,
            files=tuple(
                replace(each, content=joined[each.path])
                for each in grant.files
                if owners[each.path] is grant
            ),
        )
        for grant in grants
    )


def _joined(first: str, second: str, grant: Grant, owner: Grant) -> str:
    if first == second:
        return first
    try:
        return json.dumps(_merged(json.loads(first), json.loads(second)))
    except ValueError:
        raise UsageError(
            f"{owner.name} and {grant.name} need the same file in the sandbox",
            "Leave one of them out",
        ) from None


def _merged(first: object, second: object) -> object:
    """Return both JSON values in one. Raises `ValueError` where they differ and aren't objects."""
    if first == second:
        return first
    ours, theirs = object_of(first, "one"), object_of(second, "the other")
    both = {name: _merged(ours[name], theirs[name]) for name in ours.keys() & theirs.keys()}
    return {**ours, **theirs, **both}


def _refuse_same_place(first: Grant, second: Grant) -> None:
    """Raise `UsageError` for one header of one host, unless programs see a placeholder of both."""
    if _is_seen(first) and _is_seen(second):
        return
    for one in first.injections:
        for other in second.injections:
            if _place(one) == _place(other) and _overlap(one, other):
                raise UsageError(
                    f"{first.name} and {second.name} are both for {one.hosts[0]},"
                    " and no program in the sandbox could say which one it means",
                    "Leave one of them out",
                )


def _is_seen(grant: Grant) -> bool:
    """Tell whether a variable or a file shows one of the grant's placeholders."""
    texts = [*grant.env.values(), *(each.content for each in grant.files)]
    return any(each in text for each in grant.placeholders.values() for text in texts)


def _place(injection: Injection) -> tuple[str, str]:
    """Return the place in a request that an injection sets."""
    if injection.kind in {"basic", "sigv4"}:
        return "header", "authorization"
    return injection.kind, injection.name.lower()


def _overlap(one: Injection, other: Injection) -> bool:
    return not set(one.ports).isdisjoint(other.ports) and any(
        overlap(first, second) for first in one.hosts for second in other.hosts
    )
