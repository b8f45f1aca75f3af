"""Output: every byte, to everybody who keeps up, and nobody waits for one who does not."""

from __future__ import annotations

import hashlib
import os
import signal
import threading
import time
from typing import Any

import pytest
from tests.e2e.conftest import TIMEOUT_S

REPEAT = int(os.environ.get("MOAT_TEST_REPEAT", "50"))
"""How often what must hold 1000 times of 1000 is tried."""
MB = 1_000_000

# Repeatable bytes without a pattern that a lost piece could hide in: SHA-256 in counter mode.
FLOOD = """
import hashlib, sys
left = int(sys.argv[1])
number = 0
while left:
    block = b"".join(hashlib.sha256(b"%d" % (number + n)).digest() for n in range(2048))[:left]
    number += 2048
    left -= len(block)
    sys.stdout.buffer.write(block)
"""


def flood(size: int) -> str:
    """The digest of what FLOOD prints."""
    digest = hashlib.sha256()
    number = 0
    while size:
        block = b"".join(hashlib.sha256(b"%d" % (number + n)).digest() for n in range(2048))[:size]
        number += 2048
        size -= len(block)
        digest.update(block)
    return digest.hexdigest()


def test_a_flood_arrives_whole(moat: Any) -> None:
    """Case 23: 50 MB, byte for byte, at an attached viewer and in the log."""
    size = 50 * MB
    seen = moat.binary("run", "-n", "x", "--", "python3", "-c", FLOOD, str(size))
    assert seen.returncode == 0, seen.stderr
    wanted = flood(size)
    assert hashlib.sha256(seen.stdout).hexdigest() == wanted
    logs = moat.binary("logs", "x")
    assert hashlib.sha256(logs.stdout).hexdigest() == wanted


def test_a_slow_reader_gets_all_after_the_end(moat: Any) -> None:
    """Case 24: the command prints 20 MB and ends; who reads late gets all, then the exit code."""
    size = 20 * MB
    script = f"import sys\n{FLOOD}\nsys.exit(3)"
    run = moat.start("run", "-n", "x", "--", "python3", "-c", script, str(size))
    digest = hashlib.sha256()
    got = 0
    with run:
        # The first byte comes while the rest waits for us: nobody may think that it was all.
        while piece := os.read(run.stdout.fileno(), 1 << 14):
            digest.update(piece)
            got += len(piece)
    assert got == size
    assert digest.hexdigest() == flood(size)
    assert run.returncode == 3


@pytest.mark.timeout(60 + 10 * REPEAT)
def test_a_command_that_ends_at_once(moat: Any) -> None:
    """Case 25: one line and the exit code, however short the command lived."""
    for number in range(REPEAT):
        done = moat("run", "--", "sh", "-c", f"echo line {number}; exit {number % 100}")
        assert (done.stdout, done.returncode) == (f"line {number}\n", number % 100), done.stderr


def test_streams_stay_apart(moat: Any) -> None:
    """Case 28: 1 MB on each of stdout and stderr, written in turns, arrive as two exact streams."""
    script = (
        "import os\n"
        "for n in range(1000):\n"
        "    os.write(1, b'%06d' % n + b'o' * 994)\n"
        "    os.write(2, b'%06d' % n + b'e' * 994)\n"
    )
    wanted = tuple(b"".join(b"%06d" % n + c * 994 for n in range(1000)) for c in (b"o", b"e"))
    seen = moat.binary("run", "-n", "x", "--", "python3", "-c", script)
    assert (seen.stdout, seen.stderr) == wanted
    logs = moat.binary("logs", "x")
    assert (logs.stdout, logs.stderr) == wanted


def test_a_stalled_viewer_stalls_nobody(moat: Any, terminal: Any) -> None:
    """Case 26: with one window frozen 20 MB run through; the frozen one then shows the present."""
    flood = "seq 3000000 | tail -c 20000000; echo; echo the very end"
    script = f"echo ready; read line; {flood}; read line"
    moat.ok("run", "-itd", "-n", "x", "--", "sh", "-c", script)
    frozen = terminal("attach", "x")
    frozen.shows("ready")
    supervisor = moat.supervisor("x")
    before = resident(supervisor)
    frozen.kill(signal.SIGSTOP)
    frozen.wait_stopped()
    moat.ok("send", "x", "go\n")
    moat.ok("wait", "--text", "the very end", "x")
    assert resident(supervisor) - before < 40 * MB
    frozen.foreground()
    frozen.shows("the very end")
    shown = moat.ok("screen", "x").rstrip()
    frozen.until(lambda: frozen.screen.text().rstrip() == shown, "what the run's screen shows")
    moat.ok("send", "x", "end\n")
    assert frozen.wait() == 0


def resident(pid: int) -> int:
    """Bytes of memory (proc_pid_statm(5))."""
    with open(f"/proc/{pid}/statm", encoding="ascii") as file:  # noqa: PTH123
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_a_closed_reader_ends_the_command(moat: Any) -> None:
    """`moat run -- yes | head`: the command is told as by a pipe."""
    with moat.start("run", "-n", "x", "--", "yes") as run:
        assert os.read(run.stdout.fileno(), 2) == b"y\n"
        run.stdout.close()
        assert run.wait(TIMEOUT_S) == 128 + signal.SIGPIPE
        run.stdout = None
        run.stderr.close()
    assert moat.ok("wait", "x") == f"{128 + signal.SIGPIPE}\n"


def test_logs_follow_to_the_end(moat: Any) -> None:
    """`logs -f` from before the first line until the end, over a killed supervisor."""
    moat.ok("run", "-id", "-n", "x", "--", "sh", "-c", "echo one; read line; echo two; read line")
    lines: list[bytes] = []
    with moat.start("logs", "-f", "x") as logs:
        lines.append(logs.stdout.readline())
        moat.kill("x", "supervisor")
        moat.ok("send", "x", "go\n")
        lines.append(logs.stdout.readline())
        moat.ok("send", "x", "end\n")
        rest, _ = logs.communicate(timeout=TIMEOUT_S)
    assert [*lines, rest] == [b"one\n", b"two\n", b""]


def test_many_watch_one(moat: Any) -> None:
    """Case 37: 50 attaches at once to one run; each gets every line and the exit code."""
    script = "read line; seq 1000; exit 6"
    moat.ok("run", "-id", "-n", "x", "--", "sh", "-c", script)
    viewers = [moat.start("attach", "--read-only", "x") for _ in range(50)]
    results: list[tuple[bytes, int]] = []

    def collect(viewer: Any) -> None:
        out, _ = viewer.communicate(timeout=TIMEOUT_S)
        results.append((out, viewer.returncode))

    threads = [threading.Thread(target=collect, args=(viewer,)) for viewer in viewers]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + TIMEOUT_S
    while moat.inspect("x")["viewers"] < 50:
        assert time.monotonic() < deadline
    moat.ok("send", "x", "go\n")
    for thread in threads:
        thread.join()
    wanted = "".join(f"{n}\n" for n in range(1, 1001)).encode()
    assert results == [(wanted, 6)] * 50
