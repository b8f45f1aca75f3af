"""`moat audit key`."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import click

from moat.cli.grant import refuse_inside_run
from moat.cli.output import table
from moat.paths import moat_home

if TYPE_CHECKING:
    from moat.audit.signing_key import KnownKey, SigningKeys


@click.group("key")
def command() -> None:
    """Show the keys that sign audit logs, or replace the one that signs.

    A key is made with the first run. Its private half is in the vault, and never leaves it. Publish the
    public half where those who are to verify will believe it: a log proves who signed it, and nobody can
    tell from the log alone whose key that was.
    """


@command.command("show")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array, for verify --keys.")
def show(*, as_json: bool) -> None:
    """Print the public keys of this installation, the one that signs first.

    The keys of --json: public, fingerprint, created_at, retired_at (or null) and revoked.
    """
    known = _keys().known()
    if as_json:
        sys.stdout.write(json.dumps([_as_json(each) for each in known]) + "\n")
    elif known:
        rows = [(each.public.hex(), each.fingerprint, _state(each)) for each in known]
        sys.stdout.write(table(("PUBLIC KEY", "FINGERPRINT", "STATE"), rows))
    else:
        sys.stderr.write("moat: there is no key yet: the first run makes it\n")


@command.command("rotate")
def rotate() -> None:
    """Sign with a new key from now on. Logs that the old one has signed stay genuine.

    Runs that are alive go on with the key that they have.
    """
    refuse_inside_run()
    sys.stdout.write(f"{_keys().rotate().public.hex()} signs from now on\n")


@command.command("revoke")
@click.argument("fingerprint")
def revoke(fingerprint: str) -> None:
    """Declare that nothing is to be believed any more that a key has signed.

    FINGERPRINT may be its beginning. If the key is the one that signs, a new one takes its place. Tell
    those who verify: give them what moat audit key show --json prints now.
    """
    refuse_inside_run()
    sys.stdout.write(f"{_keys().revoke(fingerprint).fingerprint}: revoked\n")


def _keys() -> SigningKeys:
    from moat.audit.signing_key import SigningKeys  # noqa: PLC0415  cryptography loads slowly

    return SigningKeys(moat_home())


def _state(key: KnownKey) -> str:
    if key.revoked:
        return "revoked"
    return f"retired at {key.retired_at}" if key.retired_at else "signs"


def _as_json(key: KnownKey) -> dict[str, object]:
    return {
        "public": key.public.hex(),
        "fingerprint": key.fingerprint,
        "created_at": key.created_at,
        "retired_at": key.retired_at or None,
        "revoked": key.revoked,
    }
