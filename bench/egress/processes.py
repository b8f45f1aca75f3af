"""Servers of the benchmark: started on their cores, measured from outside, stopped."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

TICKS = os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def wait_for(address: tuple[str, int], process: subprocess.Popen[bytes]) -> None:
    """Wait until the server listens, which a third-party program doesn't report."""
    while True:
        try:
            socket.create_connection(address).close()
        except ConnectionRefusedError:
            try:
                process.wait(0.05)
            except subprocess.TimeoutExpired:
                continue
            raise SystemExit(f"bench: {process.args} ended") from None
        else:
            return


def stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextmanager
def cpu(pid: int) -> Generator[Callable[[], float]]:
    """Seconds of processor time that the process has used meanwhile."""
    begun = ended = _ticks(pid)
    yield lambda: (ended - begun) / TICKS
    ended = _ticks(pid)


def _ticks(pid: int) -> int:
    if not pid:
        return 0
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return int(fields[11]) + int(fields[12])


def peak_memory(pid: int) -> float:
    """Return the peak resident memory in megabytes."""
    if not pid:
        return 0.0
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (kilobytes,) = (line.split()[1] for line in lines if line.startswith("VmHWM:"))
    return int(kilobytes) * 1024 / 1e6
