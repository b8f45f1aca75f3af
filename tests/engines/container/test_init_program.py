"""The init of a container, run for real where this machine has the processor for it."""

from __future__ import annotations

import os
import platform
import select
import struct
import subprocess
from typing import TYPE_CHECKING

import pytest

from moat.engines.container import init_program
from moat.errors import EngineError

if TYPE_CHECKING:
    from pathlib import Path

PATIENCE_S = 120.0


FIFO = "./a-test-fifo"
"""As long as the path in the program: run outside of a container, it gets this one."""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """The program of this machine, which looks for its FIFO in the folder that it runs in."""
    place = f"{init_program.FOLDER}/{init_program.ALIVE}"
    content = init_program.program(platform.machine())
    path = tmp_path / "init"
    path.write_bytes(content.replace(place.encode(), FIFO[: len(place)].encode()))
    path.chmod(0o755)
    return path


def test_it_lives_as_long_as_somebody_holds_the_fifo(program: Path) -> None:
    """The shim's death is the container's."""
    fifo = program.parent / FIFO[: len(f"{init_program.FOLDER}/{init_program.ALIVE}")]
    os.mkfifo(fifo)
    child = subprocess.Popen([program, "0123456789ab"], cwd=program.parent)
    pidfd = os.pidfd_open(child.pid)
    try:
        held = os.open(fifo, os.O_WRONLY)  # waits until the program reads
        assert not select.select([pidfd], [], [], 0.0)[0]
        os.close(held)
        assert select.select([pidfd], [], [], PATIENCE_S)[0], "it goes on without a holder"
        assert child.wait() == 0
    finally:
        os.close(pidfd)
        child.kill()
        child.wait()


def test_it_ends_where_there_is_no_fifo(program: Path) -> None:
    """A container that can't be held is none that goes on."""
    done = subprocess.run([program], cwd=program.parent, timeout=PATIENCE_S, check=False)
    assert done.returncode == 0


@pytest.mark.parametrize(("machine", "number"), [("x86_64", 62), ("aarch64", 183)])
def test_it_is_a_static_executable(machine: str, number: int) -> None:
    """One segment that is executed and never written, and no interpreter of the image's."""
    content = init_program.program(machine)
    kind, found = struct.unpack_from("<HH", content, 16)
    assert (kind, found) == (2, number)
    segments = struct.unpack_from("<H", content, 56)[0]
    flags = struct.unpack_from("<I", content, 64 + 4)[0]
    assert (segments, flags) == (1, 5)
    assert content.endswith(b"/.moat/alive\0")


def test_the_code_for_aarch64() -> None:
    """The words are those that objdump reads as the instructions in the source."""
    words = struct.unpack_from("<18I", init_program.program("aarch64"), 120)
    assert [f"{word:08x}" for word in words] == [
        *("d2800220", "10000221", "d2800002", "d2800103", "d28010c8", "d4000001"),  # rt_sigaction
        *("92800c60", "10000261", "d2800002", "d2800708", "d4000001"),  # openat
        *("d10203e1", "d2800022", "d28007e8", "d4000001"),  # read
        *("d2800000", "d2800ba8", "d4000001"),  # exit
    ]


def test_another_processor_is_refused() -> None:
    """A program for another one would fail without a reason."""
    with pytest.raises(EngineError, match="riscv64"):
        init_program.program("riscv64")
