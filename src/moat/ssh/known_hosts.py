"""Lines of `known_hosts` (sshd(8)), from which a grant takes the keys that identify its host. Pure.

Which lines are a host's is found out by `ssh-keygen -F`, which knows hashed names and patterns.
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING

from moat.ssh import signatures

if TYPE_CHECKING:
    from collections.abc import Iterable

    from moat.ssh.host_address import HostAddress


def host_keys(lines: Iterable[str]) -> tuple[bytes, ...]:
    """Return the public keys in lines of `known_hosts`, without those that are revoked.

    Authorities (`@cert-authority`) don't count: a session is bound to a key, not to a certificate. Keys
    of kinds that the agent can't verify are left out.
    """
    found: dict[bytes, None] = {}
    revoked: set[bytes] = set()
    for line in lines:
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        marker = words.pop(0) if words[0].startswith("@") else ""
        blob = _key(words)
        if blob is None:
            continue
        if marker == "@revoked":
            revoked.add(blob)
        elif not marker:
            found[blob] = None
    return tuple(blob for blob in found if blob not in revoked)


def lines_for(address: HostAddress, keys: Iterable[bytes]) -> str:
    """Return the lines that make a client trust these keys for the host."""
    return "".join(
        f"{address.pattern} {signatures.key_type(key)} {base64.b64encode(key).decode()}\n"
        for key in keys
    )


def _key(words: list[str]) -> bytes | None:
    """Return the key of a line's words (host, type, key and perhaps a comment), if it is of use."""
    if len(words) < 3:
        return None
    try:
        blob = base64.b64decode(words[2], validate=True)
        signatures.public_key(blob)
    except (ValueError, binascii.Error):
        return None
    return blob
