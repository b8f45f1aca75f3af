"""The user's own ssh agent, asked for a signature. It blocks: call it in a thread."""

from __future__ import annotations

import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from moat.errors import MoatError
from moat.ssh.encoding import LONGEST_MESSAGE, Reader, string, uint32

if TYPE_CHECKING:
    from collections.abc import Generator

_IDENTITIES_ANSWER: Final = 12
_SIGN_RESPONSE: Final = 14
_PATIENCE_S: Final = 120.0
"""The user may have to touch a security key, or to answer a question of the agent's."""


class AgentError(MoatError):
    """The user's ssh agent can't be reached, or refuses."""

    code = "ssh_agent"


def identities(path: str) -> dict[bytes, str]:
    """Return the public keys of the agent at this path, with their comments. Raises `AgentError`."""
    with _explained(path):
        kind, answer = _ask(path, b"\x0b")
        if kind != _IDENTITIES_ANSWER:
            raise AgentError("your ssh agent doesn't tell its keys", "Unlock it, and try again")
        count = answer.uint32()
        return {answer.string(): answer.string().decode(errors="replace") for _ in range(count)}


def sign(path: str, key: bytes, data: bytes, flags: int) -> bytes:
    """Return the signature of the agent at this path. Raises `AgentError`."""
    with _explained(path):
        kind, answer = _ask(path, b"\x0d" + string(key) + string(data) + uint32(flags))
        if kind != _SIGN_RESPONSE:
            raise AgentError("your ssh agent has refused to sign", "Add the key to it: ssh-add")
        return answer.string()


@contextmanager
def _explained(path: str) -> Generator[None]:
    try:
        yield
    except (OSError, ValueError) as exc:
        why = exc.strerror if isinstance(exc, OSError) and exc.strerror else exc
        raise AgentError(
            f"the ssh agent at {path} can't be used: {why}", "Start it, or set SSH_AUTH_SOCK"
        ) from exc


def _ask(path: str, message: bytes) -> tuple[int, Reader]:
    """Return the type of the answer, and its fields."""
    with socket.socket(socket.AF_UNIX) as agent:
        agent.settimeout(_PATIENCE_S)
        agent.connect(path)
        agent.sendall(string(message))
        answer = Reader(_read(agent, int.from_bytes(_read(agent, 4), "big")))
    return answer.byte(), answer


def _read(agent: socket.socket, size: int) -> bytes:
    if size > LONGEST_MESSAGE:
        raise ValueError(f"an answer of {size} bytes")
    data = b""
    while len(data) < size:
        piece = agent.recv(size - len(data))
        if not piece:
            raise ValueError("it has hung up")
        data += piece
    return data
