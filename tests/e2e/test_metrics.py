"""`moat metrics`, and the same of one run by curl."""

from __future__ import annotations

import os
import signal
import subprocess
from typing import Any

from prometheus_client.openmetrics.parser import text_string_to_metric_families


def samples(text: str) -> dict[tuple[str, str], float]:
    """Return the samples by name and run, as Prometheus's own parser reads them."""
    return {
        (each.name, each.labels.get("name", each.labels.get("state", ""))): each.value
        for family in text_string_to_metric_families(text)
        for each in family.samples
    }


def test_all_runs_are_in_one_exposition(moat: Any) -> None:
    """Living runs by their supervisors, others by the store; a hung one is said and passed over."""
    assert moat("run", "-n", "over", "--", "true").returncode == 0
    moat.ok("run", "-d", "-n", "one", "--deny", "closed.test", "--", "sleep", "1000")
    moat.ok("run", "-d", "-n", "two", "--", "sleep", "1000")
    moat("exec", "one", "--", "curl", "-s", "http://closed.test/")
    found = samples(moat.ok("metrics"))
    assert found["moat_runs", "running"] == 2
    assert found["moat_runs", "stopped"] == 1
    assert found["moat_run_up", "one"] == found["moat_run_up", "two"] == 1
    assert found["moat_run_denials_total", "one"] > 0
    assert found["moat_run_sessions", "two"] == 1
    assert ("moat_run_up", "over") not in found

    run = moat.inspect("two")
    socket = moat.home / "runs" / run["id"] / "supervisor.sock"
    command = ("curl", "-si", "--unix-socket", str(socket), "http://moat/metrics")
    answer = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    head, _, body = answer.replace("\r\n", "\n").partition("\n\n")
    assert "application/openmetrics-text; version=1.0.0" in head
    assert samples(body)["moat_run_sessions", "two"] == 1

    os.kill(run["supervisor"]["pid"], signal.SIGSTOP)
    try:
        done = moat("metrics")
    finally:
        os.kill(run["supervisor"]["pid"], signal.SIGCONT)
    assert done.returncode == 0
    assert done.stderr == "moat: the supervisor of two has not answered\n"
    found = samples(done.stdout)
    assert (found["moat_run_up", "one"], found["moat_run_up", "two"]) == (1, 0)
