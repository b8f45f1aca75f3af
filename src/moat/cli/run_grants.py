"""Grants of a run, as the user sees them before it starts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from moat.printable import printable
from moat.spec.grants import SSH

if TYPE_CHECKING:
    from collections.abc import Iterable

    from moat.credentials.credential import CredentialKey
    from moat.spec import Grant

_NAMED: Final = 3
"""Hosts of a grant that are named; of more, the number of the others."""


def offer(key: CredentialKey, missing: str) -> bool:
    """Ask whether to grant now what is missing, and do it. Raises `MoatError` where that fails."""
    if not click.confirm(f"moat: {missing}. Grant it now?", default=True, err=True):
        return False
    if key.provider == SSH:
        from moat.cli.grant_ssh import grant_ssh  # noqa: PLC0415  loads slowly

        grant_ssh(key.scope, key.profile, None)
    else:
        from moat.cli.granting import grant  # noqa: PLC0415  loads slowly

        grant(key, None, validate=True)
    return True


def in_one_line(grants: Iterable[Grant]) -> str:
    """Say what the run can do with its grants."""
    return "the run may use, and never holds, " + "; ".join(map(_one, grants))


def _one(grant: Grant) -> str:
    account = f" as {grant.account}" if grant.account else ""
    hosts = list(dict.fromkeys(host for each in grant.injections for host in each.hosts))
    more = f" and {len(hosts) - _NAMED} more" if len(hosts) > _NAMED else ""
    at = f" at {', '.join(hosts[:_NAMED])}{more}" if hosts else ""
    return printable(f"{grant.name}{account}{at}")
