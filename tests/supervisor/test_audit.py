"""The audit log of a supervisor: when it is signed, and what it lets happen while it can't record."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from tests.audit.logs import verified

from moat.audit.run_log import RunLog
from moat.audit.signing_key import SigningKeys
from moat.credentials.credential import VaultError
from moat.supervisor import audit, teardown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.supervisor.conftest import Machine, Run

    from moat.audit.report import Report

FULL = "nothing passes: the audit log can't be written: No space left on device"


@pytest.fixture(autouse=True)
def nobody_lingers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(teardown, "LINGER_S", 0)
    monkeypatch.setattr(teardown, "FAILURE_LINGER_S", 0)


@pytest.fixture(autouse=True)
def nobody_waits_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "RETRY_S", 0.05)


@pytest.fixture
def signs_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "EVERY_S", 0.05)


def report(machine: Machine) -> Report:
    folder = machine.store.folder("0123456789ab")
    return verified(folder.audit.read_bytes().splitlines(), is_open=True)


def entries(run: Run) -> list[tuple[str, Any]]:
    found = []
    for line in run.store.folder(run.spec.id).audit.read_bytes().splitlines():
        if line.startswith(b"entry "):
            public, _, private = line[6:].partition(b"\t")
            found.append((json.loads(public)["kind"], json.loads(private)["data"]))
    return found


def kinds(run: Run) -> list[str]:
    return [kind for kind, _ in entries(run)]


def faults(run: Run) -> list[str]:
    return [data["detail"] for kind, data in entries(run) if kind == "fault"]


@contextmanager
def full_disk(run: Run) -> Iterator[None]:
    """The kernel's own: the log's descriptor is one of /dev/full for a while."""
    fd = run.supervisor.audit._log._log._fd  # pyright: ignore[reportOptionalMemberAccess]
    kept, full = os.dup(fd), os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, fd)
    try:
        yield
    finally:
        os.dup2(kept, fd)
        os.close(kept)
        os.close(full)


async def until(reached: Callable[[], bool]) -> None:
    """Look after each turn of the loop: checkpoints announce nothing."""
    async with asyncio.timeout(120):
        while not reached():  # noqa: ASYNC110  a checkpoint sets no event
            await asyncio.sleep(0)


async def until_signed(run: Run) -> None:
    await until(lambda: run.supervisor.audit._log.unsigned == 0)


@pytest.mark.usefixtures("signs_soon")
async def test_a_run_is_signed_and_closed(machine: Machine) -> None:
    """A while after an entry, and at the end, when nothing can follow."""
    async with machine.supervised() as run:
        await until_signed(run)
        assert report(machine).signed > 3
        run.sandbox.exit(0)
        await run.over()
    found = report(machine)
    assert not found.problems
    assert found.closed
    assert kinds(run)[0] == "run_created"
    assert kinds(run)[-1] == "log_closed"


async def test_the_next_supervisor_goes_on_with_the_log(machine: Machine) -> None:
    """It says so before it does anything else."""
    async with machine.supervised():
        pass
    async with machine.supervised() as second:
        after = kinds(second)
        assert after[after.index("log_continued") + 1] == "supervisor_started"
        assert not report(machine).problems


async def test_no_run_starts_without_its_log(machine: Machine) -> None:
    """Its sandbox is not made, and the reason is the log's."""
    spec = machine.create()
    machine.store.folder(spec.id).audit.symlink_to("/dev/full")
    async with machine.supervised() as run:
        await run.until(lambda: run.supervisor.failure is not None)
        assert run.supervisor.failure is not None
        assert run.supervisor.failure.summary == FULL


async def test_what_would_need_an_entry_is_refused_on_a_full_disk(machine: Machine) -> None:
    """The run can be looked at and stopped meanwhile, and all of it is recorded in the end."""
    async with machine.supervised(interactive=True) as run:
        with full_disk(run):
            viewer = run.attach()
            viewer.sock.close()
            await until(lambda: bool(run.supervisor.audit.problem))
            assert run.supervisor.audit.problem == FULL
            for path, body in (("send", {"data": ""}), ("exec", {"command": ["ls"]})):
                assert FULL in str(await run.ask("POST", f"/v1/{path}", **body))
            assert run.store.get(run.spec.id).error == FULL
            assert (await run.ask("GET", "/v1/run"))["state"] == "running"
        await until(lambda: not run.supervisor.audit.problem)
        assert run.store.get(run.spec.id).error is None
        assert await run.ask("POST", "/v1/send", data="") == {"sent": 0}
    assert faults(run) == [FULL.removeprefix("nothing passes: "), ""]
    assert {"viewer_attached", "input_sent"} <= set(kinds(run))
    assert not report(machine).problems


async def test_nothing_is_written_behind_the_end(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread that is still at work on the journals of the last supervisor is waited for."""
    close_segments, go_on = RunLog.close_segments, threading.Event()

    def late(self: RunLog, session: str, *, last: bool = False) -> bool:
        if not last:
            go_on.wait()
            self.add("journal_closed", {"session": session, "segment": 0, "commits": {}})
        return close_segments(self, session, last=last)

    async def waits(futures: set[asyncio.Future[Any]]) -> object:
        go_on.set()
        return await wait(futures)

    wait = asyncio.wait
    monkeypatch.setattr(RunLog, "close_segments", late)
    monkeypatch.setattr(asyncio, "wait", waits)
    async with machine.supervised() as first:
        first.sandbox.io.write_output(b"output")
    async with machine.supervised() as run:
        run.sandbox.exit(0)
        await run.over()
    assert kinds(run)[-1] == "log_closed"
    assert report(machine).closed


async def test_a_log_that_was_changed_is_left_alone(machine: Machine) -> None:
    """Nothing passes under the next supervisor, and the log stays as the evidence that it is."""
    async with machine.supervised():
        pass
    path = machine.store.folder("0123456789ab").audit
    content = path.read_bytes().replace(b'"name":"tested"', b'"name":"forged"')
    path.write_bytes(content)
    async with machine.supervised() as run:
        assert "the content of entry 0 was changed" in run.supervisor.audit.problem
        assert "changed or cut short" in str(await run.ask("POST", "/v1/exec", command=["ls"]))
        assert "changed or cut short" in (run.store.get(run.spec.id).error or "")
        run.sandbox.exit(0)
        await run.over()
    assert path.read_bytes() == content


@pytest.mark.usefixtures("signs_soon")
async def test_a_key_that_can_not_be_had(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The chain goes on, a fault says so, and it is signed once there is a key."""
    real = SigningKeys.current

    def locked(_: SigningKeys) -> None:
        raise VaultError("the keyring is locked")

    monkeypatch.setattr(SigningKeys, "current", locked)
    async with machine.supervised() as run:
        run.supervisor.audit._sign()
        await until(lambda: "fault" in kinds(run))
        assert report(machine).signed == 0
        assert run.supervisor.audit.problem == ""
        monkeypatch.setattr(SigningKeys, "current", real)
        await until(lambda: faults(run) == ["the keyring is locked", ""])
    assert report(machine).signed > 3


async def test_a_log_without_a_key_is_closed_unsigned(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The end is in the chain, and no verifier takes it for proven."""

    def locked(_: SigningKeys) -> None:
        raise VaultError("the keyring is locked")

    monkeypatch.setattr(SigningKeys, "current", locked)
    async with machine.supervised() as run:
        run.sandbox.exit(0)
        await run.over()
    assert kinds(run)[-1] == "log_closed"
    assert not report(machine).closed
