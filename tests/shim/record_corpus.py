"""Record what a supervisor and a shim of this tree say to each other.

    python -m tests.shim.record_corpus

This writes `tests/shim/corpus/vN/` for version N of the protocol, with a file for each connection. Each
line is a JSON object, `{"from": ..., "message": ..., "descriptors": ...}`, with `"file"` if the message
comes with a file in memory. Each version is recorded once. Its files never change afterwards, because
shims and supervisors that speak like this may live on somebody's machine.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.shim.supervising import Supervising, further

from moat.engines.engine import CommandRefusedError
from moat.platform import sockets
from moat.runs.store import Store
from moat.shim.protocol import VERSION
from moat.spec import Bubblewrap, RunId, RunSpec

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence

    from moat.paths import RunFolder

CORPUS = Path(__file__).with_name("corpus")
NOWHERE = "/no/such/folder"
# Of a further command: what differs from machine to machine.
BY_MACHINE = {"seccomp": "<the filter>", "env": {"PATH": "/usr/bin:/bin", "HOME": "/home/agent"}}


class Tape:
    """A recording of everything that is said during `record`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lines: list[dict[str, Any]] = []
        self._replaced = {sys.executable: "python3"}

    @contextlib.contextmanager
    def record(self, name: str, run: RunFolder) -> Iterator[None]:
        """Write what is said meanwhile to a file of this name."""
        self._lines = []
        self._replaced[str(run.root)] = "/run-folder"
        yield
        (self._folder / f"{name}.jsonl").write_text("".join(map(self._line, self._lines)))

    def _line(self, line: dict[str, Any]) -> str:
        text = json.dumps(line)
        for machines_own, instead in self._replaced.items():
            text = text.replace(machines_own, instead)
        return text + "\n"

    def listen_in(self) -> None:
        """Tap the two functions that every message passes through."""
        send_fds, receive = socket.send_fds, sockets.receive

        def sent(sock: socket.socket, buffers: list[bytes], fds: Sequence[int]) -> int:
            line = {"from": "supervisor", "message": json.loads(b"".join(buffers))}
            line["descriptors"] = len(fds)
            if line["message"]["do"] == "exec":
                line["file"] = json.loads(os.pread(fds[0], 1 << 20, 0)) | BY_MACHINE
            self._lines.append(line)
            return send_fds(sock, buffers, fds)

        def received(sock: socket.socket, size: int, descriptors: int) -> tuple[bytes, list[int]]:
            data, fds = receive(sock, size, descriptors)
            if data:
                line = {"from": "shim", "message": json.loads(data), "descriptors": len(fds)}
                self._lines.append(line)
            return data, fds

        socket.send_fds, sockets.receive = sent, received  # type: ignore[assignment]


@contextlib.asynccontextmanager
async def supervised(*command: str, **fields: Any) -> AsyncIterator[Supervising]:
    """Make a run with an engine alone, without a supervisor's process."""
    with tempfile.TemporaryDirectory() as home, tempfile.TemporaryDirectory() as workspace:
        os.environ["MOAT_HOME"] = home
        spec = RunSpec(
            id=RunId("0123456789ab"),
            name="recorded",
            command=command,
            workspace=workspace,
            created_at="2026-01-01T00:00:00Z",
            bubblewrap=Bubblewrap(host_path=os.environ["PATH"]),
            **fields,
        )
        with Store() as store:
            store.create(spec)
            supervising = Supervising(spec, store.folder(spec.id))
        yield supervising
        supervising.engine.close()


async def refused(call: Awaitable[object]) -> None:
    with contextlib.suppress(CommandRefusedError):
        await call
        raise AssertionError("the shim was to refuse this")


async def network(run: Supervising) -> None:
    """Ask for the sockets that every supervisor asks for."""
    for family, kind, address, port in (
        ("inet", "tcp", "0.0.0.0", 443),
        ("inet6", "tcp", "::", 443),
        ("inet", "udp", "0.0.0.0", 53),
    ):
        os.close(await run.engine.listen(family, kind, address, port))
    os.close(await run.engine.blocked())
    os.close(await run.engine.keep_service("service.sock"))


async def start(run: Supervising) -> dict[str, int]:
    fds = await run.engine.start(b"")
    await run.expect("started")
    return fds


async def launched_pipes(tape: Tape) -> None:
    async with supervised("sh", "-c", "read x; exit 3", interactive=True) as run:
        with tape.record("launched-pipes", run.folder):
            await run.engine.connect(create=True)
            await network(run)
            await start(run)
            await run.engine.signal("main", 18)  # SIGCONT, which changes nothing
            await run.engine.kill("main")
            await run.expect("exited")
            await run.engine.release()


async def launched_terminal(tape: Tape) -> None:
    async with supervised("sh", "-c", "exit 5", tty=True) as run:
        with tape.record("launched-terminal", run.folder):
            await run.engine.connect(create=True)
            await start(run)
            await run.expect("exited")
            await run.engine.release()


async def launch_failed(tape: Tape) -> None:
    async with supervised("true", workdir=NOWHERE) as run:
        with tape.record("launch-failed", run.folder):
            await run.engine.connect(create=True)
            await run.engine.start(b"")
            await run.expect("failed")
            await refused(run.engine.streams("main"))
            await run.engine.release()


async def adopted_pipes(tape: Tape) -> None:
    """Record everything that a supervisor may ask of a run that it has adopted."""
    async with supervised("sh", "-c", "read x; exit 3", interactive=True) as run:
        await run.engine.connect(create=True)
        fds = await start(run)
        run.engine.close()
        with tape.record("adopted-pipes", run.folder):
            then, _ = await run.successor()
            await network(then)
            os.close(await then.engine.dial("127.0.0.1", 9))
            await then.engine.streams("main")
            await then.engine.execute("exec-1", further("sh", "-c", "exit 4"))
            await then.expect("started")
            await then.expect("exited")
            await then.engine.forget("exec-1")
            await then.engine.execute("exec-2", further("sleep", "1000", tty=True))
            await then.expect("started")
            await refused(then.engine.forget("exec-2"))
            await then.engine.kill("exec-2")
            await then.expect("exited")
            await then.engine.execute("exec-3", further("true", workdir=NOWHERE))
            await then.expect("failed")
            await then.engine.signal("main", 18)
            os.close(fds["stdin"])
            await then.engine.close_stdin("main")
            os.close((await then.engine.streams("main"))["stdout"])
            await then.engine.kill("main")
            await then.expect("exited")
            await refused(then.engine.signal("main", 15))
            await then.engine.release()


async def adopted_terminal(tape: Tape) -> None:
    async with supervised("sh", "-c", "read x", tty=True) as run:
        await run.engine.connect(create=True)
        await start(run)
        run.engine.close()
        with tape.record("adopted-terminal", run.folder):
            then, _ = await run.successor()
            await then.engine.streams("main")
            await then.engine.kill("main")
            await then.expect("exited")
            await then.engine.release()


async def adopted_ended(tape: Tape) -> None:
    async with supervised("sh", "-c", "exit 6") as run:
        await run.engine.connect(create=True)
        await start(run)
        await run.expect("exited")
        run.engine.close()
        with tape.record("adopted-ended", run.folder):
            then, _ = await run.successor()
            await then.engine.streams("main")
            await then.engine.release()


CONVERSATIONS: tuple[Callable[[Tape], Awaitable[None]], ...] = (
    launched_pipes,
    launched_terminal,
    launch_failed,
    adopted_pipes,
    adopted_terminal,
    adopted_ended,
)


async def main() -> None:
    folder = CORPUS / f"v{VERSION}"
    folder.mkdir()
    tape = Tape(folder)
    tape.listen_in()
    for conversation in CONVERSATIONS:
        await conversation(tape)


if __name__ == "__main__":
    asyncio.run(main())
