"""The user's own agent: OpenSSH's ssh-agent, and agents that don't answer as they should."""

from __future__ import annotations

import os
import socket
import subprocess
from threading import Thread
from typing import TYPE_CHECKING

import pytest
from tests.sshd import keygen

from moat.ssh import client, signatures
from moat.ssh.client import AgentError
from moat.ssh.encoding import string, uint32

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[str]:
    """The path of a real agent that has one key, `tmp_path`/key."""
    path = str(tmp_path / "agent.sock")
    with subprocess.Popen(["ssh-agent", "-D", "-a", path], stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        running.stdout.readline()  # it listens
        key = keygen(tmp_path / "key", "-t", "rsa", "-b", "2048")
        added = os.environ | {"SSH_AUTH_SOCK": path}
        subprocess.run(["ssh-add", "-q", key], env=added, check=True)
        yield path
        running.terminate()


def test_a_real_agent_lists_and_signs(tmp_path: Path, agent: str) -> None:
    """Keys and comments are those that were added, and the signature is the one that was asked for."""
    public = signatures.public_blob(signatures.private_key((tmp_path / "key").read_bytes()))
    assert client.identities(agent) == {public: "key"}
    signature = client.sign(agent, public, b"data", signatures.RSA_SHA2_512)
    assert signatures.verifies(public, signature, b"data")
    assert signature.startswith(string("rsa-sha2-512"))


def test_a_key_that_the_agent_lacks(agent: str) -> None:
    """An agent without the key is an error that says how to add it."""
    with pytest.raises(AgentError, match="refused to sign") as failed:
        client.sign(agent, b"another", b"data", 0)
    assert failed.value.hint == "Add the key to it: ssh-add"


def test_no_agent(tmp_path: Path) -> None:
    """An agent that isn't there is an error with its path."""
    with pytest.raises(AgentError, match="gone can't be used: No such file"):
        client.identities(str(tmp_path / "gone"))


@pytest.mark.parametrize(
    "answer",
    [b"", b"\0\0", uint32(1 << 30), string(b"\x05"), string(b"\x0c"), string(b"\x0c\0\0\0\x09")],
)
def test_an_agent_that_answers_nonsense(tmp_path: Path, answer: bytes) -> None:
    """Whatever an agent answers, it is either its keys or an error for the user."""
    path = tmp_path / "agent.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(100)
                connection.sendall(answer)

        serving = Thread(target=serve)
        serving.start()
        with pytest.raises(AgentError):
            client.identities(str(path))
        serving.join()
