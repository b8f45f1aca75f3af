"""The request for authentication with a key, which is the only thing that the agent signs. Pure.

RFC 4252 7 describes it, OpenSSH's PROTOCOL the method `publickey-hostbound-v00@openssh.com`, in which
the request also names the server's key.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from moat.ssh.encoding import Reader

_USERAUTH_REQUEST: Final = 50
_PLAIN: Final = "publickey"
_HOST_BOUND: Final = "publickey-hostbound-v00@openssh.com"
_LONGEST_HASH: Final = 64
_LONGEST_NAME: Final = 255


class UserauthRequest(NamedTuple):
    """A client's wish to be authenticated as a user of the server at the other end of a session."""

    session: bytes
    """The identifier of the session: its first exchange hash."""
    user: str
    algorithm: str
    key: bytes
    host_key: bytes | None
    """The server's key, where the method names it."""


def parse(data: bytes) -> UserauthRequest:
    """Parse the data of a sign request. Raises `ValueError` for anything but such a request."""
    fields = Reader(data)
    session = fields.string()
    if fields.byte() != _USERAUTH_REQUEST:
        raise ValueError("it is not a request for authentication")
    user, service, method = fields.text(), fields.text(), fields.text()
    if len(session) > _LONGEST_HASH or len(user) > _LONGEST_NAME:
        raise ValueError("its session or its user is longer than any")
    if service != "ssh-connection" or method not in {_PLAIN, _HOST_BOUND}:
        raise ValueError(f"authentication for {service[:32]!r} by {method[:32]!r} is not signed")
    if not fields.boolean():
        raise ValueError("the request has no signature")
    algorithm, key = fields.text(), fields.string()
    host_key = fields.string() if method == _HOST_BOUND else None
    fields.end()
    return UserauthRequest(session, user, algorithm, key, host_key)
