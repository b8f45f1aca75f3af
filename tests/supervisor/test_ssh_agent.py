"""The agent's socket: real ssh clients, a real ssh server, and clients that misbehave."""

from __future__ import annotations

import asyncio
import os
import socket
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, cast

import pytest
from tests.ssh.messages import LIST, Server, sign, userauth
from tests.sshd import Relay, SSHServer, keygen

from moat.errors import MoatError
from moat.events import Denied, Event, SSHKeyUsed
from moat.platform import sockets
from moat.ssh import known_hosts, signatures
from moat.ssh.agent import Identity, Signing
from moat.ssh.encoding import string
from moat.ssh.host_address import HostAddress
from moat.supervisor import ssh_agent
from moat.supervisor.context import RunContext
from moat.supervisor.ssh_agent import SSHAgent
from moat.supervisor.tasks import BackgroundTasks

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from moat.engines.engine import Engine


PLACE = ("git.example", 22)


@dataclass
class KeyRing:
    """Implements `ssh_agent.Keys`."""

    private: signatures.PrivateKey
    granted: list[Identity]
    problem: str = ""

    def identities(self) -> list[Identity]:
        return self.granted

    def sign(self, signing: Signing) -> bytes:
        if self.problem:
            raise MoatError(self.problem)
        return signatures.sign(self.private, signing.data, signing.algorithm)


@dataclass
class Served:
    """An agent that serves, the path of its socket, and what it has reported."""

    folder: Path
    keys: KeyRing
    agent: SSHAgent
    events: list[Event] = field(default_factory=list[Event])

    async def keep_service(self, name: str) -> int:
        """Listen on a path, as an engine does."""
        return sockets.listen(self.folder, name).detach()

    @property
    def path(self) -> str:
        return str(self.folder / "ssh-agent.sock")

    async def run(self, *command: str) -> tuple[int, str, str]:
        """Run a client to its end."""
        program = await asyncio.create_subprocess_exec(
            *command,
            env=os.environ | {"SSH_AUTH_SOCK": self.path},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await program.communicate()
        return program.returncode or 0, out.decode(), err.decode()

    async def ssh(self, server: SSHServer, *command: str) -> tuple[int, str, str]:
        """Log in to a server through a tunnel, with what the agent has, and nothing else."""
        hosts = self.folder / "known_hosts"
        hosts.write_text(f"* {server.host_key}")
        options = [f"UserKnownHostsFile={hosts}", "IdentityFile=none", "BatchMode=yes"]
        words = [word for option in options for word in ("-o", option)]
        place = f"{server.user}@127.0.0.1"
        with Relay(server.port, lambda: self.agent.sessions.watch(*PLACE)) as tunnel:
            port = str(tunnel.port)
            return await self.run("ssh", "-F", "none", *words, "-p", port, place, *command)

    def session_with(self, server: Server) -> bytes:
        """Grant the key for a server, and let a session with it begin; return the session."""
        pinned = frozenset({server.host_key})
        self.keys.granted = [replace(self.keys.granted[0], host_keys=pinned)]
        session = server.session()
        self.agent.sessions.watch(*PLACE).received(server.key_exchange(session))
        return session

    async def ask(self, *messages: bytes) -> list[bytes]:
        """Send messages on one connection and return the answers."""
        reader, writer = await asyncio.open_unix_connection(self.path)
        writer.write(b"".join(map(string, messages)))
        answers = []
        for _ in messages:
            size = int.from_bytes(await reader.readexactly(4), "big")
            answers.append(await reader.readexactly(size))
        writer.close()
        await writer.wait_closed()
        return answers

    @property
    def denials(self) -> list[str]:
        return [event.reason for event in self.events if isinstance(event, Denied)]


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    """An agent with one key, which is granted for no host yet."""
    pem = keygen(tmp_path / "key", "-t", "ed25519").read_bytes()
    private = signatures.private_key(pem)
    identity = Identity(
        grant="ssh:git.example",
        key=signatures.public_blob(private),
        comment="work",
        address=HostAddress("git.example"),
        host_keys=frozenset(),
    )
    events: list[Event] = []
    async with BackgroundTasks() as tasks:
        loop = asyncio.get_running_loop()
        nothing = cast("Any", None)
        rest = (tasks, loop, events.append, nothing)
        run = RunContext(nothing, nothing, nothing, nothing, nothing, *rest)
        keys = KeyRing(private, [identity])
        served = Served(tmp_path, keys, SSHAgent(run, keys), events)
        await served.agent.open(cast("Engine", served))
        yield served
        served.agent.close()


@pytest.fixture(params=["ed25519", "ecdsa", "rsa"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SSHServer]:
    """A server that takes the agent's key."""
    with SSHServer(tmp_path / "server", request.param) as server:
        server.authorize((tmp_path / "key.pub").read_text())
        yield server


def _grant(served: Served, server: SSHServer) -> None:
    pinned = known_hosts.host_keys([f"host {server.host_key}"])
    served.keys.granted = [replace(served.keys.granted[0], host_keys=frozenset(pinned))]


async def test_ssh_logs_in_to_a_granted_host(served: Served, server: SSHServer) -> None:
    """The real client logs in to the real server, and the session is recorded."""
    _grant(served, server)
    code, out, err = await served.ssh(server, "echo", "inside")
    assert (code, out) == (0, "inside\n"), err + server.log
    (event,) = served.events
    assert isinstance(event, SSHKeyUsed)
    assert (event.grant, event.host, event.user) == ("ssh:git.example", "git.example", server.user)
    assert event.key == signatures.fingerprint(served.keys.granted[0].key)


async def test_ssh_does_not_log_in_elsewhere(served: Served, server: SSHServer) -> None:
    """A server whose host key isn't pinned isn't logged in to, though it would take the key."""
    code, _, err = await served.ssh(server, "echo", "inside")
    assert code == 255
    assert "Permission denied" in err
    assert any("no key is granted for the server" in each for each in served.denials)


async def test_ssh_add_lists_and_changes_nothing(served: Served) -> None:
    """A client sees the public key; it can neither add, remove nor lock keys, nor sign a file."""
    granted = signatures.fingerprint(served.keys.granted[0].key)
    assert granted in (await served.run("ssh-add", "-l"))[1]
    mine, public = served.folder / "key", served.folder / "granted.pub"
    public.write_text((served.folder / "key.pub").read_text())
    for command in (
        ("ssh-add", str(mine)),
        ("ssh-add", "-D"),
        ("ssh-add", "-d", str(public)),
        ("ssh-keygen", "-Y", "sign", "-n", "git", "-f", str(public), __file__),
    ):
        code, out, err = await served.run(*command)
        assert code != 0, (command, out, err)
    assert granted in (await served.run("ssh-add", "-l"))[1]
    assert len(served.denials) >= 2


async def test_a_session_is_recorded_once(served: Served) -> None:
    """A client that has the same session signed again and again doesn't fill the event log."""
    server = Server()
    session = served.session_with(server)
    key = served.keys.granted[0].key
    request = sign(key, userauth(session, key))
    answers = await served.ask(server.bind(session), *[request] * 20)
    assert all(answer.startswith(b"\x0e") for answer in answers[1:])
    assert len(served.events) == 1


async def test_a_vault_that_fails_is_a_refusal(served: Served) -> None:
    """A key that can't be used is reported by its reason, and the client gets a failure."""
    server = Server()
    session = served.session_with(server)
    served.keys.problem = "the vault is locked"
    key = served.keys.granted[0].key
    answers = await served.ask(server.bind(session), sign(key, userauth(session, key)))
    assert answers == [b"\x06", b"\x05"]
    assert served.denials == ["the vault is locked"]


async def test_nonsense_ends_the_connection(served: Served) -> None:
    """A message of an absurd length isn't waited for."""
    reader, writer = await asyncio.open_unix_connection(served.path)
    writer.write(b"\xff" * 8)
    assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()
    assert served.denials == ["a message of 4294967295 bytes"]


async def test_clients_are_bounded(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """While many clients hold on, a further one waits, and is served when one of them leaves."""
    monkeypatch.setattr(ssh_agent, "MAX_CLIENTS", 2)
    idle = []
    for _ in range(2):
        reader, writer = await asyncio.open_unix_connection(served.path)
        writer.write(string(LIST))
        await reader.readexactly(4)
        idle.append(writer)
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(served.ask(LIST))
        await asyncio.sleep(0)
        assert not waiting.done()
        for writer in idle:
            writer.close()
            await writer.wait_closed()
    (answer,) = waiting.result()
    assert answer.startswith(b"\x0c")


async def test_a_client_that_leaves_early_harms_nobody(served: Served) -> None:
    """A client that sends requests and never reads is forgotten when it is gone."""
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(served.path)
    sock.sendall(string(LIST) * 100)
    sock.close()
    (answer,) = await served.ask(LIST)
    assert answer.startswith(b"\x0c")
