"""What a supervisor does with the secrets and the ssh keys of its run."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from tests.credentials.test_ssh import HELD
from tests.ssh.messages import LIST

from moat.credentials import run_secrets, ssh
from moat.credentials.credential import CredentialNotFoundError
from moat.credentials.run_secrets import RunSecrets
from moat.credentials.vault import Vault
from moat.spec.grants import SSH_AGENT
from moat.ssh.encoding import string
from moat.supervisor import teardown

if TYPE_CHECKING:
    from tests.supervisor.conftest import Machine, Run


@pytest.fixture(autouse=True)
def nobody_lingers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A supervisor whose run has ended does not wait for clients that no test has."""
    monkeypatch.setattr(teardown, "LINGER_S", 0)
    monkeypatch.setattr(teardown, "FAILURE_LINGER_S", 0)


async def test_secrets_come_to_the_command_and_go_with_the_run(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine gets them for the command, and when the run has ended the vault has them no more."""
    monkeypatch.setenv("MINE", "hunter2")
    spec = machine.create(secrets=("TOKEN",))
    home = machine.store.home
    RunSecrets(home, {}).keep(spec, {"TOKEN": "env://MINE"})
    async with machine.supervised() as run:
        assert run.sandbox.variables == {"TOKEN": "hunter2"}
        await run.ask("POST", "/v1/exec", command=["ls"])
        run.sandbox.exit(0)
        await run.over()
    with pytest.raises(CredentialNotFoundError):
        run_secrets.secrets_of(home, spec.id)


async def test_secrets_that_are_gone_are_the_reason_of_a_failed_start(machine: Machine) -> None:
    """A command doesn't begin without what it was to have."""
    machine.create(secrets=("TOKEN",), keep=True)
    async with machine.supervised() as run:
        await run.over()
        assert run.state == "failed"
        assert "there is no credential run-secrets" in str(run.store.get(run.spec.id).error)


async def _listed(run: Run) -> bytes:
    """Ask the run's agent for its keys, as a command of the sandbox does."""
    address = run.sandbox.services[SSH_AGENT].getsockname()
    reader, writer = await asyncio.open_unix_connection(address)
    writer.write(string(LIST))
    size = int.from_bytes(await reader.readexactly(4), "big")
    answer = await reader.readexactly(size)
    writer.close()
    await writer.wait_closed()
    return answer


async def test_the_next_supervisor_serves_the_agent(machine: Machine) -> None:
    """The socket stays the same from one supervisor to the next, and each serves it."""
    vault = Vault(machine.store.home)
    vault.put(HELD)
    machine.create(grants=ssh.grants([HELD.entry], ""))
    async with machine.supervised() as run:
        first = await _listed(run)
        assert first.endswith(string("work"))
    async with machine.supervised() as run:
        assert await _listed(run) == first
