"""Spans of real runs, at a receiver that decodes them (see tests/telemetry/collector.py)."""

from __future__ import annotations

import json
import socket
from contextlib import closing
from typing import TYPE_CHECKING, Any

from tests.telemetry.collector import attributes, collecting

if TYPE_CHECKING:
    from pathlib import Path

TOKEN = "s3cret-of-the-collector"
SCRIPT = "curl -s 'http://closed.test/?api_key=hunter2hunter2' >/dev/null; exit 3"


def settings(moat: Any, url: str, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(TOKEN)
    moat.home.mkdir(mode=0o700, exist_ok=True)
    (moat.home / "config.yaml").write_text(
        f"telemetry: {{otlp: {{endpoint: '{url}', headers: {{x-token: 'file://{tmp_path}/token'}}}}}}\n"
    )


def test_a_run_is_told_as_it_happens(moat: Any, tmp_path: Path) -> None:
    """Requests and commands while it lives, and the run itself at its end, in one trace."""
    with collecting() as collector:
        settings(moat, collector.url, tmp_path)
        moat.ok("run", "-d", "-n", "fix", "--deny", "closed.test", "--", "sleep", "1000")
        assert moat("exec", "fix", "--", "sh", "-c", SCRIPT).returncode == 3
        request, command = collector.wait_for("GET"), collector.wait_for("exec")
        assert collector.named("run") == [], "it goes on"
        moat.ok("kill", "fix")
        root = collector.wait_for("run")
    assert {each.trace_id for each in collector.spans} == {root.trace_id}
    assert request.parent_span_id == command.parent_span_id == root.span_id
    assert attributes(request)["server.address"] == "closed.test"
    assert attributes(request)["moat.verdict"] == "denied"
    assert attributes(command)["process.exit.code"] == 3
    assert collector.resources[0]["moat.run.name"] == "fix"
    assert collector.headers[0]["x-token"] == TOKEN
    told = str(collector.spans)
    assert "hunter2" not in told, "the record is redacted"
    files = [each for each in (moat.home / "runs").rglob("*") if each.is_file()]
    assert not [each for each in files if TOKEN.encode() in each.read_bytes()]


def test_a_collector_that_is_down_slows_no_run(moat: Any, tmp_path: Path) -> None:
    """Nor one that hangs: it accepts, and never answers."""
    with closing(socket.create_server(("127.0.0.1", 0))) as hung:
        settings(moat, f"http://127.0.0.1:{hung.getsockname()[1]}", tmp_path)
        assert moat.ok("run", "-n", "fix", "--", "echo", "hello") == "hello\n"
        assert json.loads(moat.ok("list", "-a", "--json", "state")) == [{"state": "stopped"}]
    moat.ok("destroy", "fix")


def test_a_run_is_sent_afterwards(moat: Any, tmp_path: Path) -> None:
    """With the same ids each time, and to a file as well."""
    assert (
        moat("run", "-n", "fix", "--deny", "closed.test", "--", "sh", "-c", SCRIPT).returncode == 3
    )
    with collecting() as collector:
        first = moat.ok("export", "fix", "--otlp", collector.url)
        assert first == f"fix: {len(collector.spans)} spans sent to {collector.url}\n"
        spans = [each.span_id for each in collector.spans]
        moat.ok("export", "fix", "--otlp", collector.url)
        assert [each.span_id for each in collector.spans] == spans * 2
        moat.ok("export", "fix", "--otlp", "-o", tmp_path / "fix.jsonl")
    [line] = (tmp_path / "fix.jsonl").read_text().splitlines()
    [scope] = json.loads(line)["resourceSpans"][0]["scopeSpans"]
    assert [each["spanId"] for each in scope["spans"]] == [each.hex() for each in spans]
    refused = moat("export", "fix", "--otlp", collector.url)
    assert refused.returncode == 125
    assert "has not taken the spans" in refused.stderr
