"""git and ssh in a run, with a key that the run never holds, against a real ssh server."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from tests.sshd import SSHServer, keygen

from moat.credentials import ssh
from moat.credentials.credential import CredentialKey
from moat.credentials.vault import Vault
from moat.ssh import known_hosts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.conftest import Moat


HOST = "git.test"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SSHServer]:
    """A server that takes the granted key, with a repository in its folder."""
    key = keygen(tmp_path / "key", "-t", "ed25519")
    with SSHServer(tmp_path / "server") as server:
        server.authorize(key.with_suffix(".pub").read_text())
        yield server


@pytest.fixture(autouse=True)
def home(moat: Moat, tmp_path: Path, server: SSHServer) -> Path:
    """A user who knows the server, and whose network leads to it."""
    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True)
    (home / ".ssh" / "known_hosts").write_text(server.known_hosts(HOST))
    moat.environment["HOME"] = str(home)
    network = "{policy: strict, hosts: {git.test: 127.0.0.1}, private: [127.0.0.0/8]}"
    moat.write_settings(f"network: {network}\n")
    return home


CLONE = "git clone -q ssh://{server.user}@{host}:{server.port}{server.folder}/repository {to}"


def _clone(server: SSHServer, to: str = "clone", host: str = HOST) -> tuple[str, ...]:
    return ("sh", "-c", CLONE.format(server=server, host=host, to=to))


def _events(moat: Moat, run: str, kind: str) -> list[dict[str, Any]]:
    lines = moat.ok("events", run, "--json", "--event", kind).splitlines()
    return [json.loads(line) for line in lines]


@pytest.fixture
def granted(moat: Moat, tmp_path: Path, server: SSHServer) -> str:
    """The name of the grant of a key that the server takes."""
    subprocess.run(["git", "init", "-q", "--bare", server.folder / "repository"], check=True)
    moat.ok("grant", "ssh", "--host", f"{HOST}:{server.port}", "--key", tmp_path / "key")
    return f"ssh:{HOST}:{server.port}"


def test_git_clones(moat: Moat, server: SSHServer, granted: str) -> None:
    """`git clone` of a repository on a granted host works, and the session is recorded."""
    done = moat("run", "-n", "x", "--grant", granted, "--", *_clone(server))
    assert done.returncode == 0, done.stdout + done.stderr + server.log
    assert f"the run may use, and never holds, {granted}" in done.stderr
    (event,) = _events(moat, "x", "ssh_key_used")
    assert event["host"] == f"{HOST}:{server.port}"
    assert event["user"] == server.user
    assert _events(moat, "x", "denied") == []
    assert '"event": "ssh_key_used"' in moat.ok("audit", "x", "--json")


def test_git_clones_after_the_supervisor_was_killed(
    moat: Moat, server: SSHServer, granted: str
) -> None:
    """A further command has the agent, and so it does under the next supervisor, until revoked."""
    moat.ok("run", "-d", "-n", "x", "--grant", granted, "--", "sleep", "1000")
    moat.ok("exec", "x", "--", *_clone(server, "first"))
    moat.kill("x", "supervisor")
    moat.ok("exec", "x", "--", *_clone(server, "second"))
    assert len(_events(moat, "x", "ssh_key_used")) == 2
    moat.ok("revoke", granted)
    done = moat("exec", "x", "--", *_clone(server, "third"))
    assert done.returncode == 128
    assert "Permission denied (publickey)" in done.stderr


def test_the_key_is_for_its_host_alone(
    moat: Moat, tmp_path: Path, server: SSHServer, granted: str
) -> None:
    """Another server gets no signature, though the run may reach it and it takes the same key."""
    with SSHServer(tmp_path / "other") as other:
        other.authorize((tmp_path / "key.pub").read_text())
        subprocess.run(["git", "init", "-q", "--bare", other.folder / "repository"], check=True)
        (moat.workspace / "known_hosts").write_text(other.known_hosts(HOST))
        options = "ssh -o UserKnownHostsFile=/workspace/known_hosts"
        allowed = ("--grant", granted, "-e", f"GIT_SSH_COMMAND={options}")
        place = f"hosts: {{git.test: 127.0.0.1}}, tcp: [{HOST}:{other.port}]"
        moat.write_settings(f"network: {{private: [127.0.0.0/8], {place}}}\n")
        done = moat("run", "-n", "x", *allowed, "--", *_clone(other))
        assert "Permission denied (publickey)" in done.stderr
    (event, *_) = _events(moat, "x", "denied")
    assert event["scheme"] == "ssh-agent"
    assert "no key is granted for the server" in event["reason"]
    assert _events(moat, "x", "ssh_key_used") == []


def test_a_key_that_is_not_there(moat: Moat, server: SSHServer) -> None:
    """A grant that the vault doesn't have is an error that says how to grant it."""
    done = moat("run", "--grant", f"ssh:{HOST}", "--", "true")
    assert f"there is no credential ssh:{HOST} in the vault" in done.stderr
    assert f"moat grant ssh:{HOST}" in done.stderr
    assert moat.runs() == []
    done = moat("run", "--grant", "ssh", "--", "true")
    assert "an ssh key is granted for a host" in done.stderr


def test_a_key_is_granted(moat: Moat, tmp_path: Path, home: Path, server: SSHServer) -> None:
    """`moat grant ssh` pins the host's keys and keeps the key, neither of which a listing shows."""
    host = f"{server.user}@{HOST}:{server.port}"
    command = ("grant", "ssh", "--host", host, "--key", tmp_path / "key")
    known = home / ".ssh" / "known_hosts"
    known.rename(home / "elsewhere")
    done = moat(*command)
    assert done.returncode == 2
    assert f"{HOST}:{server.port} isn't in your known_hosts" in done.stderr
    (home / "elsewhere").rename(known)
    done = moat(*command)
    assert done.returncode == 0, done.stderr
    assert f"ssh:{HOST}:{server.port}: granted, the key SHA256:" in done.stderr
    entry = Vault(moat.home).entry(CredentialKey(provider="ssh", scope=f"{HOST}:{server.port}"))
    identity = ssh.identity(entry)
    assert identity.host_keys == set(known_hosts.host_keys([f"h {server.host_key}"]))
    assert identity.address.user == server.user
    secret = (tmp_path / "key").read_text().splitlines()[2]
    assert secret not in moat.ok("grant", "show", entry.key.name)
    assert secret not in moat.ok("grant", "list", "--json")
