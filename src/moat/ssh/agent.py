"""One client's connection to the agent of a run: what it asks for, and what it gets. Pure.

The client is hostile. It gets the public keys that the run was granted, and a signature where all of
this holds:

1. The connection is bound to a session (`session-bind@openssh.com`): the client has shown a signature
   by a server's key over the identifier of that session, and the key is pinned for the granted host.
2. The session runs over a connection that the run has to that host, and that is still open: the server
   was seen to send this signature there. Otherwise the client could bind itself to the session of an
   accomplice elsewhere, and have that one logged in.
3. What is to be signed is a request for authentication in this very session, with this very key.
4. The session is the client's own: a connection that was forwarded signs nothing.

Everything else is refused, such as adding, removing and locking keys.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, Protocol

from moat.ssh import signatures, userauth
from moat.ssh.encoding import Reader, string, uint32

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moat.ssh.host_address import HostAddress
    from moat.ssh.userauth import UserauthRequest

FAILURE: Final = b"\x05"
_SUCCESS: Final = b"\x06"
_REQUEST_IDENTITIES: Final = 11
_IDENTITIES_ANSWER: Final = b"\x0c"
_SIGN_REQUEST: Final = 13
_SIGN_RESPONSE: Final = b"\x0e"
_EXTENSION: Final = 27
_SESSION_BIND: Final = "session-bind@openssh.com"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A granted key, and where it may be used."""

    grant: str
    """The name of the grant."""
    key: bytes
    """The public key."""
    comment: str
    address: HostAddress
    """The host, and the user if it is granted for one alone."""
    host_keys: frozenset[bytes]
    """The keys that identify the host."""


class Signing(NamedTuple):
    """A signature that may be made, and what for."""

    identity: Identity
    data: bytes
    algorithm: str
    flags: int
    """Flags of the request, for an agent that is to make the signature."""
    user: str


class Refused(NamedTuple):
    """A request that is answered with a failure, and why."""

    rule: Literal["protocol", "forwarding", "session-bind", "request", "grants"]
    """The rule that the client has offended against."""
    reason: str
    host: str = ""
    """The granted host, where one is concerned."""


_UNBOUND: Final = Refused(
    "session-bind", "the client has not said which server it talks to (session-bind)"
)
_FORWARDED: Final = Refused("forwarding", "the agent of a run can't be forwarded")


class Sessions(Protocol):
    """The ssh sessions that run over connections of the run's own."""

    def place(self, host_key: bytes, signature: bytes) -> tuple[str, int] | None:
        """Return host and port of the open connection over which the server has sent this signature."""
        ...


class _Binding(NamedTuple):
    session: bytes
    host_key: bytes
    signature: bytes


class AgentConnection:
    """The state of one client's connection. Give `handle` its messages one by one."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._binding: _Binding | None = None
        self._forwarded = False

    def handle(self, message: bytes, granted: Sequence[Identity]) -> bytes | Signing | Refused:
        """Return the answer to a message, or what has to happen before there is one.

        `granted` is what is granted at this moment: a grant may be revoked while a client is connected.
        """
        fields = Reader(message)
        try:
            kind = fields.byte()
            if kind == _REQUEST_IDENTITIES:
                fields.end()
                return self._list(granted)
            if kind == _SIGN_REQUEST:
                return self._sign(fields, granted)
            if kind == _EXTENSION:
                return self._extend(fields, granted)
        except ValueError as exc:  # UnicodeDecodeError as well
            return Refused("protocol", f"a malformed message: {exc}")
        return Refused("protocol", f"the agent of a run has no message {kind}")

    # --- identities ---

    def _usable(self, granted: Sequence[Identity]) -> list[Identity]:
        """Return what the client can use: all before it is bound to a server, then that server's."""
        if self._forwarded:
            return []
        bound = self._binding
        if bound is None:
            return list(granted)
        place = self._sessions.place(bound.host_key, bound.signature)
        return [
            each
            for each in granted
            if bound.host_key in each.host_keys and place == (each.address.host, each.address.port)
        ]

    def _list(self, granted: Sequence[Identity]) -> bytes:
        # A key that is granted for two hosts is one key to a client.
        keys = {each.key: each.comment for each in self._usable(granted)}
        listed = b"".join(string(key) + string(comment) for key, comment in keys.items())
        return _IDENTITIES_ANSWER + uint32(len(keys)) + listed

    # --- binding ---

    def _extend(self, fields: Reader, granted: Sequence[Identity]) -> bytes | Refused:
        name = fields.text()
        if name != _SESSION_BIND:
            return Refused("protocol", f"the agent of a run has no extension {name[:64]!r}")
        host_key, session, signature = fields.string(), fields.string(), fields.string()
        forwarding = fields.boolean()
        fields.end()
        if forwarding:
            # From now on another machine speaks on this connection.
            self._forwarded = True
            return _FORWARDED
        if self._forwarded or self._binding is not None:
            return Refused("session-bind", "the connection was bound to a session before")
        if not signatures.verifies(host_key, signature, session):
            return Refused("session-bind", "the server's signature over the session is wrong")
        self._binding = _Binding(session, host_key, signature)
        return _SUCCESS if self._usable(granted) else _foreign(host_key, granted)

    # --- signing ---

    def _sign(self, fields: Reader, granted: Sequence[Identity]) -> Signing | Refused:
        key, data, flags = fields.string(), fields.string(), fields.uint32()
        fields.end()
        if self._binding is None or self._forwarded:
            return _FORWARDED if self._forwarded else _UNBOUND
        request = userauth.parse(data)
        why = _mismatch(request, key, signatures.algorithm(key, flags), self._binding)
        if why:
            return Refused("request", why)
        usable = [each for each in self._usable(granted) if each.key == key]
        fitting = [each for each in usable if each.address.user in {"", request.user}]
        if fitting:
            return Signing(fitting[0], data, request.algorithm, flags, request.user)
        return _not_granted(usable)


def _foreign(host_key: bytes, granted: Sequence[Identity]) -> Refused:
    """Return why a session with a server of this key is of no use."""
    if any(host_key in each.host_keys for each in granted):
        return Refused("session-bind", "the session is not on a connection of this run")
    found = signatures.fingerprint(host_key)
    return Refused("grants", f"no key is granted for the server with the host key {found}")


def _not_granted(usable: list[Identity]) -> Refused:
    if not usable:
        return Refused("grants", "the key is not granted for this server")
    address = usable[0].address
    return Refused("grants", f"the grant is for the user {address.user} alone", address.place)


def _mismatch(request: UserauthRequest, key: bytes, algorithm: str, bound: _Binding) -> str:
    """Return in what a request differs from what is to be signed; empty if in nothing."""
    if request.session != bound.session:
        return "the request belongs to another session"
    if request.key != key:
        return "the request names another key"
    if request.host_key not in {None, bound.host_key}:
        return "the request names another server's key"
    if request.algorithm != algorithm:
        return f"the request names {request.algorithm[:64]!r}, but asks for {algorithm}"
    return ""


def signed(signature: bytes) -> bytes:
    """Return the answer that carries a signature."""
    return _SIGN_RESPONSE + string(signature)
