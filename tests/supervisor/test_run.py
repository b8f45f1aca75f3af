"""The life of a supervised run, without a process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moat.wire.frames import FrameType

if TYPE_CHECKING:
    from tests.supervisor.conftest import Machine


async def test_a_command_runs_to_its_end(machine: Machine) -> None:
    """The row follows it, its exit code is delivered, and the process may end."""
    async with machine.supervised() as run:
        assert run.state == "running"
        viewer = run.attach()
        run.sandbox.io.write_output(b"done\n")
        run.sandbox.exit(3)
        assert await viewer.output(b"done\n") == b"done\n"
        assert b'"exit_code": 3' in await viewer.frame(FrameType.EXITED)
        viewer.sock.close()
        await run.over()
        row = run.store.get(run.spec.id)
        assert (str(row.state), row.exit_code, row.pid) == ("stopped", 3, None)
    assert not (run.store.folder(run.spec.id).root / "supervisor.sock").exists()
