"""Shims and supervisors of different versions."""

from __future__ import annotations

import asyncio
import os
import select
import shutil
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import moat
from moat.engines.engine import CommandRefusedError, SessionState, UnsupportedSandboxError
from moat.engines.under_shim import shim_client
from moat.engines.under_shim.shim_client import Hello
from moat.platform import sockets
from moat.shim import protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.shim.supervising import Supervising

PACKAGE = Path(moat.__file__).parent
OURS = f"{protocol.OLDEST} to {protocol.VERSION}"


def speak(monkeypatch: pytest.MonkeyPatch, oldest: int, version: int) -> None:
    """Make the supervisor one that speaks these versions."""
    monkeypatch.setattr(protocol, "OLDEST", oldest)
    monkeypatch.setattr(protocol, "VERSION", version)


@pytest.fixture
def other_shim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int, int], None]:
    """Make new shims speak these versions, by starting them from a changed copy of the code."""

    def install(oldest: int, version: int) -> None:
        copy = tmp_path / f"moat-{version}" / "moat"
        shutil.copytree(PACKAGE / "shim", copy / "shim")
        for name in ("__init__.py", "version.py"):
            shutil.copy(PACKAGE / name, copy)
        (copy / "shim" / "protocol.py").write_text(
            (PACKAGE / "shim" / "protocol.py")
            .read_text()
            .replace(f"\nVERSION = {protocol.VERSION}\n", f"\nVERSION = {version}\n")
            .replace(f"\nOLDEST = {protocol.OLDEST}\n", f"\nOLDEST = {oldest}\n")
        )
        monkeypatch.setattr(shim_client, "_MAIN_FILE", copy / "shim" / "__main__.py")

    return install


@pytest.mark.parametrize(
    ("versions", "summary", "hint"),
    [
        ((9, 9), "a newer Moat (shim protocol 9; this version speaks {})", "Update Moat"),
        ((8, 9), "a newer Moat (shim protocol 8 to 9; this version speaks {})", "Update Moat"),
        ((0, 0), "an older Moat (shim protocol 0; this version speaks {})", "Use that Moat"),
    ],
)
async def test_a_run_is_left_alone_by_a_supervisor_that_can_t_speak_to_its_shim(
    supervise: Callable[..., Supervising],
    other_shim: Callable[[int, int], None],
    versions: tuple[int, int],
    summary: str,
    hint: str,
) -> None:
    """The supervisor says why, the command goes on, and the next supervisor that can adopts the run."""
    run = supervise("sh", "-c", "read x; exit 3", interactive=True)
    with pytest.MonkeyPatch.context() as able:
        other_shim(*versions)
        speak(able, *versions)
        await run.engine.connect(create=True)
        fds = await run.engine.start(b"")
        pid = int(str(await run.expect("started")))
        run.engine.close()
    command = os.pidfd_open(pid)
    for _ in range(2):
        with pytest.raises(UnsupportedSandboxError) as refused:
            await run.successor()
        assert refused.value.summary == f"this run was started by {summary.format(OURS)}"
        assert refused.value.hint == f"{hint}, or wait until the run ends"
        with pytest.raises(UnsupportedSandboxError, match="this run was started by"):
            shim_client.check_version(run.folder)
    assert not select.select([command], [], [], 0)[0]
    with pytest.MonkeyPatch.context() as able:
        speak(able, *versions)
        heir, found = await run.successor()
    assert found["main"].pid == pid
    os.write(fds["stdin"], b"\n")
    assert await heir.expect("exited") == 3
    await heir.engine.release()
    for fd in (command, *fds.values()):
        os.close(fd)


@pytest.mark.parametrize("versions", [(1, 1), (protocol.VERSION, 9)])
async def test_a_shim_of_another_version_is_adopted_where_the_ranges_meet(
    supervise: Callable[..., Supervising],
    other_shim: Callable[[int, int], None],
    versions: tuple[int, int],
) -> None:
    """A supervisor adopts an older shim (the normal case), and a newer one that speaks its version."""
    run = supervise("sh", "-c", "read x; exit 3", interactive=True)
    with pytest.MonkeyPatch.context() as able:
        other_shim(*versions)
        speak(able, *versions)
        await run.engine.connect(create=True)
        fds = await run.engine.start(b"")
        pid = await run.expect("started")
        run.engine.close()
    shim_client.check_version(run.folder)
    heir, found = await run.successor()
    assert found["main"].pid == pid
    os.write(fds["stdin"], b"\n")
    assert await heir.expect("exited") == 3
    await heir.engine.release()
    for fd in fds.values():
        os.close(fd)


@pytest.mark.parametrize("versions", [(1, 1), (protocol.VERSION, 9)])
async def test_a_shim_of_another_version_without_a_session_is_replaced(
    supervise: Callable[..., Supervising],
    other_shim: Callable[[int, int], None],
    monkeypatch: pytest.MonkeyPatch,
    versions: tuple[int, int],
) -> None:
    """A shim whose supervisor died before the launch is replaced: launches differ by version."""
    run = supervise("sh", "-c", "exit 4")
    ours = shim_client._MAIN_FILE
    other_shim(*versions)
    shim_client.ensure(run.folder)
    monkeypatch.setattr(shim_client, "_MAIN_FILE", ours)
    assert await run.engine.connect(create=False) == {}
    assert (await run.run_to_end())[2] == 4
    await run.engine.release()


@pytest.mark.parametrize(
    "said",
    [
        [],
        [b'{"answer": true, "error": "1 no namespaces", "isolated": false}'],
        [b'{"event": "exited"}', b'{"answer": true, "version": 2, "pid": 1, "sessions": {}}'],
    ],
)
async def test_only_a_version_is_checked_ahead(
    supervise: Callable[..., Supervising], said: list[bytes]
) -> None:
    """Any other problem of a shim is left to the supervisor that connects to it."""
    run = supervise("true")
    shim_client.check_version(run.folder)
    with sockets.listen(run.folder.root, shim_client.SOCKET, socket.SOCK_SEQPACKET) as listener:
        checked = asyncio.create_task(asyncio.to_thread(shim_client.check_version, run.folder))
        connection, _ = await asyncio.to_thread(listener.accept)
        with connection:
            for message in said:
                connection.send(message)
        await checked


def test_a_hello_of_the_future_is_understood() -> None:
    """Unknown fields are ignored."""
    state = {"pid": 7, "tty": True, "exit_code": None, "mood": "fine"}
    answer = {"version": 9, "oldest": 2, "pid": 5, "sessions": {"main": state}, "extra": [1]}
    hello = Hello.of(answer)
    assert hello == Hello(9, 2, 5, {"main": SessionState(7, tty=True, exit_code=None)})
    hello.check_version()


async def test_messages_of_the_future_are_understood(supervise: Callable[..., Supervising]) -> None:
    """The shim ignores unknown fields, and refuses unknown commands."""
    run = supervise("true")
    await run.engine.connect(create=True)
    assert run.engine._link is not None
    assert await run.engine._link.call("hello", version=9, oldest=1, mood="fine")
    with pytest.raises(CommandRefusedError, match="dance"):
        await run.engine._link.call("dance")
    await run.engine.release()


async def test_an_event_of_the_future_is_ignored(supervise: Callable[..., Supervising]) -> None:
    """Unknown events are ignored, and unknown fields of known ones."""
    run = supervise("true")
    run.engine._on_event({"event": "danced", "session": "main"})
    run.engine._on_event({"event": "weather"})
    run.engine._on_event({"event": "exited", "session": "main", "exit_code": 3, "mood": "fine"})
    assert await run.expect("exited") == 3
    assert run.events.empty()
