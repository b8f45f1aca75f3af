"""Limits of what real runs use up over their network."""

from __future__ import annotations

import json
import os
import re
import signal
from typing import TYPE_CHECKING, Any

import pytest
from tests.followers import changes
from tests.model_server import ModelServer

from moat.egress.tls.ca import CertificateAuthority

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.e2e.conftest import Moat, Terminal

ASK = """\
ask() {
  printf '{"model": "claude-sonnet-4-5", "stream": %s,
      "messages": [{"role": "user", "content": "hi"}]}' "$1" |
    curl -s -o answer -w 'status %{http_code}\\n' -H 'Content-Type: application/json' \\
      --data-binary @- "https://model.test:$PORT/v1/messages"
}
"""
STEP = """\
while read stream name; do
  ask "$stream"; grep "^moat:" answer; echo "done $stream $name"
done
"""
TOKENS = 150
"""The tokens of each answer of the model."""


@pytest.fixture
def model(moat: Moat, tmp_path: Path) -> Iterator[ModelServer]:
    folder = tmp_path / "authority"
    folder.mkdir()
    authority = CertificateAuthority.load_or_create(folder)
    (folder / "ca.pem").write_bytes(authority.certificate_pem)
    with ModelServer(authority.context("model.test", ("http/1.1",))) as started:
        network = {
            "hosts": {"model.test": "127.0.0.1"},
            "private": ["127.0.0.0/8"],
            "rules": [f"allow model.test:{started.port}"],
            "upstream_ca": str(folder / "ca.pem"),
        }
        moat.write_settings(json.dumps({"network": network}))
        (moat.workspace / "ask.sh").write_text(ASK + STEP)
        yield started


def begin(moat: Moat, model: ModelServer, *limits: str) -> None:
    """Start a run that asks the model once for each line that it gets."""
    words = [word for limit in limits for word in ("--limit", limit)]
    moat.ok(
        "run", "-d", "-i", "-n", "x", "-e", f"PORT={model.port}", *words, "--", "bash", "ask.sh"
    )


def ask(moat: Moat, name: str, *, stream: bool = False) -> str:
    """Have the run ask, and return what it says then."""
    text = "true" if stream else "false"
    moat.ok("send", "x", f"{text} {name}\n")
    moat.ok("wait", "x", "--text", re.escape(f"done {text} {name}"))
    return moat.ok("logs", "x").rpartition(f"done {text} {name}")[0].rpartition("done ")[2]


def spent(moat: Moat) -> dict[str, Any]:
    return moat.json("limit", "x", "--json")["spent"]


def test_tokens_are_counted_across_supervisors_and_limited(moat: Moat, model: ModelServer) -> None:
    """Plain answers and streams count; the audit log has each, and the limit can be raised."""
    begin(moat, model, f"tokens={3 * TOKENS - 50}")
    assert "status 200" in ask(moat, "one")
    assert "status 200" in ask(moat, "two", stream=True)
    os.kill(moat.supervisor("x"), signal.SIGKILL)
    assert "status 200" in ask(moat, "three")
    known = spent(moat)
    assert (known["tokens"], known["requests"]) == (3 * TOKENS, 3)
    assert known["cost"] == pytest.approx(3 * (100 * 3 + 50 * 15) / 1e6)

    denied = ask(moat, "four")
    assert "status 403" in denied
    assert "moat: denied: the run's limit of 400 tokens is used up" in denied
    assert len(model.instructions) == 3, "the model has not seen it"
    assert "1,000" in moat.ok("limit", "x", "tokens=1k")
    assert "status 200" in ask(moat, "five")
    moat.ok("stop", "x")

    assert moat.inspect("x")["budget"]["spent"]["tokens"] == 4 * TOKENS
    [sums] = map(json.loads, moat.ok("trace", "x", "--llm", "--json").splitlines())
    assert (sums["model"], sums["requests"]) == ("claude-sonnet-4-5", 4)
    assert sums["cost"] == pytest.approx(4 * 0.00105)
    entries = [json.loads(line) for line in moat.ok("audit", "x", "--json").splitlines()]
    by_kind = {entry["event"]: entry["data"] for entry in entries}
    assert by_kind["limit_used_up"]["limit"] == "tokens"
    assert by_kind["limit_changed"]["amount"] == 1000
    calls = [entry["data"] for entry in entries if entry["event"] == "model_used"]
    assert sum(call["tokens"] for call in calls) == 4 * TOKENS
    assert {call["model"] for call in calls} == {"claude-sonnet-4-5"}

    moat.ok("report", "x", "-o", str(moat.workspace / "report.html"))
    page = (moat.workspace / "report.html").read_text()
    assert "600 tokens over time" in page
    assert "claude-sonnet-4-5" in page
    assert "ask.sh" in page
    assert "limit_changed" in page
    assert "can&#x27;t be shown" not in page


def test_the_user_is_asked_in_an_attached_terminal(
    moat: Moat, model: ModelServer, terminal: Callable[..., Terminal]
) -> None:
    """The request waits, the list of runs says why, and an answer by keys lets it go on."""
    script = f"{ASK}for each in 1 2; do ask false; done; read end\n"
    (moat.workspace / "twice.sh").write_text(script)
    limits = ("--limit", "requests=1", "--limit", "on_limit=ask")
    command = ("bash", "twice.sh")
    window = terminal("run", "-i", "-n", "x", "-e", f"PORT={model.port}", *limits, "--", *command)
    window.shows("limit used up (1 requests)")
    [listed] = moat.runs()
    assert listed["waiting"] == ["limits.requests"]
    window.send(b"\x1fa")
    window.shows("may it have as much again?")
    window.send(b"y")
    moat.ok("wait", "x", "--text", "status 200\\s+status 200")
    assert moat.json("limit", "x", "--json")["limits"]["requests"] == 2
    window.send(b"end\r")
    assert window.wait() == 0


def test_a_run_is_stopped_when_its_money_is_spent(moat: Moat, model: ModelServer) -> None:
    """The answer that uses it up ends the run, and everybody can see why."""
    begin(moat, model, "cost=0.002", "on_limit=stop")
    ask(moat, "one")
    moat.ok("send", "x", "false two\n")
    moat("wait", "x", "--exit")
    found = moat.inspect("x")
    assert found["state"] == "stopped"
    assert "its limit of $0.002 is used up" in found["error"]
    assert spent(moat)["tokens"] == 2 * TOKENS


def test_a_hostile_run_gets_no_further_by_being_quick(moat: Moat, model: ModelServer) -> None:
    """Exactly as many of many requests at once pass as may, and as many bytes of a long upload."""
    flood = (
        f"{ASK}export -f ask; seq 60 | xargs -P 30 -I N bash -c 'ask false' | sort | uniq -c\n"
        f"head -c 3000000 /dev/zero | curl -s -X POST -o answer -w 'upload %{{http_code}}\\n' -T - "
        f"https://model.test:{model.port}/upload; cat answer\n"
    )
    (moat.workspace / "flood.sh").write_text(flood)
    limits = ("--limit", "requests=10", "-e", f"PORT={model.port}")
    done = moat("run", "-n", "x", *limits, "--", "bash", "flood.sh")
    assert len(model.instructions) == 10, done.stdout
    assert re.search(r"\b50 status 403", done.stdout), done.stdout

    limits = ("--limit", "bytes_out=1m", "-e", f"PORT={model.port}")
    done = moat("run", "-n", "y", *limits, "--", "bash", "-c", flood.splitlines()[-1])
    assert "upload 403" in done.stdout, done.stdout
    assert "limit of 1,048,576 bytes sent is used up" in done.stdout
    assert moat.json("limit", "y", "--json")["spent"]["bytes_out"] <= 1 << 20


def test_the_store_is_looked_after(moat: Moat) -> None:
    """The space of ended runs is known, and runs beyond the user's bounds go by themselves."""
    for number in range(3):
        moat.ok("run", "-n", f"old-{number}", "--", "sh", "-c", "head -c 200000 /dev/zero")
    known = moat.json("status", "--json")
    assert known["runs"] == {"total": 3, "stopped": 3}
    assert known["disk"]["journals"] >= 3 * 200_000
    assert "3 stopped" in moat.ok("status")

    moat.write_settings("retention: {runs: 2}\n")
    moat.ok("run", "-n", "new", "--", "true")
    for _ in changes(moat.home):
        left = {each["name"] for each in moat.runs()}
        if "old-0" not in left:
            break
    assert {"old-2", "new"} <= left
