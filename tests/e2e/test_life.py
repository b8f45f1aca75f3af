"""Exit codes, ends that nobody saw, and who outlives whom."""

from __future__ import annotations

from typing import Any

import pytest
from tests.e2e.conftest import ON_EVERY_ENGINE

pytestmark = ON_EVERY_ENGINE


@pytest.mark.parametrize(("script", "code"), [("exit 19", 19), ("kill -TERM $$", 143)])
def test_the_exit_code_is_the_command_s(moat: Any, script: str, code: int) -> None:
    """Case 33: the code, or 128 + the signal."""
    assert moat("run", "--", "sh", "-c", script).returncode == code


def test_an_end_that_nobody_saw(moat: Any) -> None:
    """Case 34: a later attach shows the output and exits with that code."""
    moat.ok("run", "-d", "-n", "x", "--", "sh", "-c", "echo the end; exit 4")
    moat.ok("wait", "x")
    done = moat("attach", "x")
    assert (done.stdout, done.returncode) == ("the end\n", 4)


def test_a_killed_client_takes_nothing_with_it(moat: Any) -> None:
    """SIGKILL of the CLI: the same process goes on, and the exit code is there in the end."""
    with moat.start("run", "-i", "-n", "x", "--", "sh", "-c", "echo on; read line; exit 8") as run:
        assert run.stdout.readline() == b"on\n"
        pid = moat.inspect("x")["pid"]
        run.kill()
    assert moat.inspect("x")["pid"] == pid
    moat.ok("send", "x", "go\n")
    assert moat.ok("wait", "x") == "8\n"


def test_a_flood_goes_through_killed_supervisors(moat: Any) -> None:
    """Case 36: nothing lost or repeated, the same process, and the exit code to the viewer."""
    script = "seq 400000; read line; exit 5"
    with moat.start("run", "-i", "-n", "x", "--", "sh", "-c", script) as run:
        head = run.stdout.readline()
        pid = moat.inspect("x")["pid"]
        for _ in range(3):
            moat.kill("x", "supervisor")
            head += run.stdout.read(100_000)
        assert moat.inspect("x")["pid"] == pid
        moat.ok("send", "x", "go\n")
        rest = run.stdout.read()
    wanted = "".join(f"{n}\n" for n in range(1, 400001)).encode()
    assert head + rest == wanted
    assert run.returncode == 5
    assert moat.binary("logs", "x").stdout == wanted


def test_an_exec_session_is_recorded(moat: Any) -> None:
    """Its exit code is its own, and the run goes on."""
    moat.ok("run", "-d", "-n", "x", "--", "sleep", "1000")
    done = moat("exec", "x", "--", "sh", "-c", "echo out; echo err >&2; exit 23")
    assert (done.returncode, done.stdout, done.stderr) == (23, "out\n", "err\n")
    refused = moat("exec", "-w", "/missing", "x", "--", "true")
    assert refused.returncode == 125
    assert "/missing" in refused.stderr
    assert moat.inspect("x")["state"] == "running"


def test_a_timeout_stops_the_run(moat: Any) -> None:
    """`--timeout` ends it, and whoever attended it or looks at it later is told why."""
    done = moat("run", "-n", "x", "--timeout", "1s", "--", "sleep", "1000")
    assert done.stderr == "moat: run x: stopped after its timeout of 1 s\n"
    assert done.returncode == 143
    run = moat.inspect("x")
    assert (run["state"], run["exit_code"]) == ("stopped", 143)
    assert "timeout" in run["error"]
    assert moat("attach", "x").stderr == done.stderr


def test_a_run_inside_a_run_is_refused(moat: Any) -> None:
    """Case 40: `moat run` in a sandbox says where it is."""
    done = moat("run", "--", "true", MOAT_RUN="x")
    assert done.returncode == 2
    assert "inside a run" in done.stderr
