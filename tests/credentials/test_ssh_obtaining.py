"""An ssh key and its host's keys, from where a user has them."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest
from tests.sshd import SSHServer, keygen

from moat.credentials import ssh_obtaining
from moat.credentials.ssh_obtaining import SSHKeyError
from moat.ssh import known_hosts, signatures
from moat.ssh.host_address import HostAddress

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ADDRESS = HostAddress("git.example", 2222)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / ".ssh").mkdir()
    return tmp_path


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[str]:
    """The path of a real agent without a key."""
    path = str(tmp_path / "agent.sock")
    with subprocess.Popen(["ssh-agent", "-D", "-a", path], stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        running.stdout.readline()  # it listens
        yield path
        running.terminate()


def _never(path: str) -> str:
    raise AssertionError(f"asked for the passphrase of {path}")


def _blob(pem: bytes, passphrase: bytes | None = None) -> bytes:
    return signatures.public_blob(signatures.private_key(pem, passphrase))


def test_a_host_is_known_by_its_line(home: Path) -> None:
    """Keys are found in plain and in hashed lines, for the very port, and others' aren't."""
    line = keygen(home / "host", "-t", "ed25519").with_suffix(".pub").read_text()
    file = home / ".ssh" / "known_hosts"
    file.write_text(f"[git.example]:2222 {line}other.example {line}")
    (expected,) = known_hosts.host_keys([f"h {line}"])
    assert ssh_obtaining.known_host_keys(ADDRESS, home) == (expected,)
    assert ssh_obtaining.known_host_keys(HostAddress("git.example"), home) == ()
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", file], check=True, capture_output=True)
    assert b"git.example" not in file.read_bytes()
    assert ssh_obtaining.known_host_keys(ADDRESS, home) == (expected,)


def test_a_host_is_asked_for_its_keys(tmp_path: Path) -> None:
    """A server that nobody knows shows its keys; where none answers, that is an error."""
    with SSHServer(tmp_path / "server") as server:
        address = HostAddress("127.0.0.1", server.port)
        expected = known_hosts.host_keys([f"h {server.host_key}"])
        assert ssh_obtaining.scanned_host_keys(address) == expected
    with pytest.raises(SSHKeyError, match="doesn't answer"):
        ssh_obtaining.scanned_host_keys(address)


def test_the_usual_key(home: Path) -> None:
    """Without a choice, it is the key that ssh would take first, in OpenSSH's form."""
    with pytest.raises(SSHKeyError, match="there is no ssh key"):
        ssh_obtaining.find_key(None, home, "", _never)
    keygen(home / ".ssh" / "id_rsa", "-t", "rsa", "-b", "2048", "-m", "PEM")
    path = keygen(home / ".ssh" / "id_ecdsa", "-t", "ecdsa")
    found = ssh_obtaining.find_key(None, home, "", _never)
    assert found.public == _blob(path.read_bytes()) == _blob(found.private.encode())
    assert found.place == f"the file {path}"


def test_a_passphrase_is_asked_for(home: Path) -> None:
    """A key with a passphrase is kept without it: the vault seals it."""
    path = keygen(home / "key", "-t", "ed25519", "-N", "open")
    found = ssh_obtaining.find_key(str(path), home, "", lambda _: "open")
    assert _blob(found.private.encode()) == found.public
    with pytest.raises(SSHKeyError, match="no ssh key that can be used"):
        ssh_obtaining.find_key(str(path), home, "", lambda _: "wrong")


def test_a_key_in_the_agent_stays_there(home: Path, agent: str) -> None:
    """A public key, and a key with a passphrase, are the agent's if it has them."""
    path = keygen(home / "key", "-t", "ed25519")
    with pytest.raises(SSHKeyError, match="doesn't have the key"):
        ssh_obtaining.find_key(f"{path}.pub", home, agent, _never)
    added = os.environ | {"SSH_AUTH_SOCK": agent}
    subprocess.run(["ssh-add", "-q", path], env=added, check=True)
    blob = _blob(path.read_bytes())
    subprocess.run(
        ["ssh-keygen", "-q", "-p", "-N", "open", "-f", path], check=True, capture_output=True
    )
    for chosen in (f"{path}.pub", str(path)):
        found = ssh_obtaining.find_key(chosen, home, agent, _never)
        assert (found.public, found.private, found.place) == (blob, "", "your ssh agent")


@pytest.mark.parametrize("content", [b"", b"text", b"ssh-ed25519", b"ssh-ed25519 AAAA", b"a b c"])
@pytest.mark.parametrize("name", ["key", "key.pub"])
def test_what_is_no_key(home: Path, name: str, content: bytes) -> None:
    """A file that has no key is an error that shows nothing of it."""
    (home / name).write_bytes(content)
    with pytest.raises(SSHKeyError, match="no ssh key that can be used") as failed:
        ssh_obtaining.find_key(str(home / name), home, "", _never)
    assert "--key PATH" in (failed.value.hint or "")
