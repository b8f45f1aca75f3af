"""Messages to an agent as a client writes them, and a server's part of a session."""

from __future__ import annotations

from dataclasses import dataclass, field
from os import urandom

from cryptography.hazmat.primitives.asymmetric import ed25519

from moat.ssh import signatures
from moat.ssh.encoding import string, uint32

LIST = b"\x0b"


@dataclass
class Server:
    """An ssh server with one host key."""

    key: signatures.PrivateKey = field(default_factory=ed25519.Ed25519PrivateKey.generate)
    algorithm: str = "ssh-ed25519"
    _proofs: dict[bytes, bytes] = field(default_factory=dict[bytes, bytes])

    @property
    def host_key(self) -> bytes:
        return signatures.public_blob(self.key)

    def session(self) -> bytes:
        """Return the identifier of a new session."""
        return urandom(32)

    def proof(self, session: bytes) -> bytes:
        """Return the signature over a session: one for each, for a server signs it once."""
        if session not in self._proofs:
            self._proofs[session] = signatures.sign(self.key, session, self.algorithm)
        return self._proofs[session]

    def bind(self, session: bytes, *, forwarding: bool = False) -> bytes:
        """Return the message by which a client proves that the session leads to this server."""
        proof = self.proof(session)
        return session_bind(self.host_key, session, proof, forwarding=forwarding)

    def key_exchange(self, session: bytes) -> bytes:
        """Return the server's part of the exchange by which a session begins."""
        reply = b"".join(map(string, (self.host_key, b"public", self.proof(session))))
        return b"SSH-2.0-Tests\r\n" + packet(b"\x1f" + reply) + packet(b"\x15")


def packet(message: bytes, padding: int = 4) -> bytes:
    return uint32(1 + len(message) + padding) + bytes([padding]) + message + bytes(padding)


def session_bind(
    host_key: bytes, session: bytes, signature: bytes, *, forwarding: bool = False
) -> bytes:
    return (
        b"\x1b"
        + string("session-bind@openssh.com")
        + string(host_key)
        + string(session)
        + string(signature)
        + bytes([forwarding])
    )


def userauth(
    session: bytes,
    key: bytes,
    *,
    user: str = "git",
    service: str = "ssh-connection",
    method: str = "publickey",
    algorithm: str = "ssh-ed25519",
    host_key: bytes | None = None,
) -> bytes:
    request = string(session) + b"\x32" + string(user) + string(service) + string(method) + b"\x01"
    request += string(algorithm) + string(key)
    return request if host_key is None else request + string(host_key)


def sign(key: bytes, data: bytes, flags: int = 0) -> bytes:
    return b"\x0d" + string(key) + string(data) + uint32(flags)
