"""`moat trace` of runs that have ended, and of a live one."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import termios
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from moat.cli.main import run
from moat.egress.traffic.entry import TrafficEntry
from moat.egress.traffic.writer import Bounds, TrafficWriter
from moat.paths import RunFolder
from moat.platform import sockets
from moat.runs.states import State
from moat.runs.store import Store
from moat.spec import RunId, RunSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Moat = Callable[..., tuple[int, str, str]]

COMMAND = str(Path(sys.executable).with_name("moat"))
NOW = 1_767_225_600.0


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    """Return the folder of a run "fix" that has stopped."""
    monkeypatch.setenv("MOAT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    spec = RunSpec(
        id=RunId("0123456789ab"),
        name="fix",
        command=("make",),
        workspace="/",
        created_at="2026-01-01T00:00:00.000Z",
    )
    with Store() as store:
        store.create(spec)
        store.update(spec.id, state=State.STOPPED, exit_code=0)
        return store.folder(spec.id)


@pytest.fixture
def moat(folder: RunFolder, capsys: pytest.CaptureFixture[str]) -> Moat:
    """Return a function that runs `moat` and returns its exit code, stdout and stderr."""
    assert folder.root.exists()

    def call(*arguments: str) -> tuple[int, str, str]:
        code = run(list(arguments))
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def entry(host: str = "api.example.com", **fields: object) -> TrafficEntry:
    made = TrafficEntry("request", NOW)
    made.scheme, made.method, made.host, made.port, made.path = "https", "GET", host, 443, "/v1?a=1"
    made.protocol, made.status, made.total, made.first_byte = "HTTP/1.1", 200, 0.125, 0.1
    made.sent, made.received = 12, 5 << 20
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def denied() -> TrafficEntry:
    return entry(
        "evil.example", status=403, verdict="denied", rule="policy: strict",
        error="no rule allows evil.example: add it to network.allow", total=0.0, sent=0, received=0,
    )  # fmt: skip


def record(
    folder: RunFolder, entries: Iterable[TrafficEntry], bounds: Bounds | None = None
) -> None:
    made = TrafficWriter(folder.database, bounds or Bounds())
    for each in entries:
        made.put(each)
    made.close()


def on_a_terminal(*arguments: str, columns: int = 100) -> str:
    """Run `moat` on a terminal of that width, and return its output."""
    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (24, columns))
    process = subprocess.Popen([COMMAND, *arguments], stdout=slave, stderr=slave)
    os.close(slave)
    received = b""
    while select.select([master], [], [], 120)[0]:
        try:
            received += os.read(master, 65536)
        except OSError:  # EIO: the last writer has gone
            break
    os.close(master)
    assert process.wait(120) == 0
    return received.decode().replace("\r\n", "\n")


def test_a_line_for_each_row(folder: RunFolder, moat: Moat) -> None:
    """Each row is one line in a file or a pipe, however long."""
    record(folder, [entry(), denied(), entry(path="/" + "x" * 300), entry(total=-1.0, status=0)])
    code, out, err = moat("trace", "fix")
    assert (code, err) == (0, "")
    header, first, second, long, going = out.splitlines()
    assert header.split() == ["TIME", "RESULT", "METHOD", "TOOK", "UP", "DOWN", "URL"]
    assert first == (
        "01-01 00:00:00.000  200     GET        125ms      12    5.0M"
        "  https://api.example.com/v1?a=1"
    )
    assert second.endswith(
        "https://evil.example/v1?a=1  policy: strict:"
        " no rule allows evil.example: add it to network.allow"
    )
    assert long.endswith("x" * 300)
    assert going.split()[2:5] == ["...", "GET", "..."]


ASKED = "policy: ask, nobody answered within 8 s"
UNANSWERED = (
    f"GET evil.example:443 denied: no rule allows it ({ASKED}). "
    "To allow: moat allow fix evil.example, or network.allow in agent.yaml"
)


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_a_terminal_shows_reasons_below_and_cuts_what_is_too_long(
    folder: RunFolder, columns: int
) -> None:
    """No line is wider than the terminal, and a reason, which says what to do, isn't cut."""
    why = denied()
    why.rule, why.error = ASKED, UNANSWERED
    record(folder, [entry(path="/" + "x" * 300), why])
    header, long, second, *reasons = on_a_terminal("trace", "fix", columns=columns).splitlines()
    assert len(long) == columns
    assert "  200     GET" in long
    assert long.endswith("…")
    assert long[header.index("URL") :].startswith("https://api.")
    assert "\x1b[31mdenied\x1b[m" in second
    plain = [each.removeprefix("\x1b[2m").removesuffix("\x1b[m") for each in reasons]
    assert all(len(each) <= columns for each in plain)
    assert " ".join(each.strip() for each in plain) == UNANSWERED


def test_a_reason_says_nothing_twice(folder: RunFolder, moat: Moat) -> None:
    """A reason that contains the rule is shown alone, and a rule that allows isn't a reason."""
    repeated = denied()
    repeated.rule, repeated.error = ASKED, UNANSWERED
    failed = entry(verdict="failed", rule="policy: permissive", error="no route to host")
    asking = entry(verdict="asking", rule="policy: ask", total=-1.0)
    record(folder, [repeated, failed, asking])
    _, first, second, third = moat("trace", "fix")[1].splitlines()
    assert first.endswith(f"https://evil.example/v1?a=1  {UNANSWERED}")
    assert second.endswith("  no route to host")
    assert third.endswith("  policy: ask")


HOSTILE = [
    "\x1b]52;c;x\x07",
    "\x9b2J",
    "a\nb",
    "\u202eevil",
    "\u2028",
    "\x7f",
    "\udc80",
    "ex\u0430mple",
]


@pytest.mark.parametrize(
    "form", [[], ["--json"], ["--summary"], ["--summary", "--json"], ["--har"]], ids=str
)
def test_nothing_that_was_asked_for_acts_on_a_terminal(
    folder: RunFolder, moat: Moat, form: list[str]
) -> None:
    """Hosts, paths, methods and rules may come from a hostile program."""
    record(
        folder,
        [
            entry(text, path=f"/{text}", method=text, rule=text, error=text, verdict="failed")
            for text in HOSTILE
        ],
    )
    _, out, _ = moat("trace", "fix", *form)
    assert out.replace("\n", "").isascii()
    assert out.replace("\n", "").isprintable()
    if not form:
        assert len(out.splitlines()) == len(HOSTILE) + 1


def test_objects_have_stable_keys(folder: RunFolder, moat: Moat) -> None:
    """There is one object per line, with null for a step that wasn't taken."""
    used = {"provider": "anthropic", "model": "m", "input_tokens": 3}
    record(folder, [entry(credential="github", usage=used, path="/v1?token=x"), denied()])
    _, out, _ = moat("trace", "fix", "--json")
    first, second = map(json.loads, out.splitlines())
    assert first == {
        "id": 1, "time": "2026-01-01T00:00:00.000Z", "kind": "request", "verdict": "allowed",
        "status": 200, "method": "GET", "url": "https://api.example.com/v1?token=***",
        "scheme": "https", "host": "api.example.com", "port": 443, "path": "/v1?token=***",
        "address": "", "protocol": "HTTP/1.1", "rule": "", "error": "", "credential": "github",
        "in_progress": False, "sent": 12, "received": 5 << 20, "usage": used,
        "durations": {
            "dns": None, "connect": None, "tls": None, "first_byte": 0.1, "total": 0.125,
        },
    }  # fmt: skip
    assert (second["verdict"], second["rule"]) == ("denied", "policy: strict")


def test_filters_choose_what_is_shown(folder: RunFolder, moat: Moat) -> None:
    """Filters apply alone and together, to every form of output."""
    record(
        folder,
        [
            entry(),
            denied(),
            entry("slow.org", total=2.5),
            entry("name.org", kind="dns", scheme="dns", method="A", port=53, path="", status=0),
        ],
    )

    def hosts(*options: str) -> list[str]:
        code, out, err = moat("trace", "fix", "--json", *options)
        assert (code, err) == (0, "")
        return [json.loads(line)["host"] for line in out.splitlines()]

    assert hosts("--network") == ["api.example.com", "evil.example", "slow.org", "name.org"]
    assert hosts("--host", "a*.example*") == ["api.example.com"]
    assert hosts("--denied") == ["evil.example"]
    assert hosts("--slow") == ["slow.org"]
    assert hosts("--slow=100ms") == ["api.example.com", "slow.org", "name.org"]
    assert hosts("--kind", "dns", "--kind", "tunnel") == ["name.org"]
    assert hosts("-n", "1") == ["name.org"]
    assert hosts("--tail", "1", "--host", "*.com") == ["api.example.com"]
    assert hosts("--since", "2026-01-01T00:00:01Z") == []
    assert len(moat("trace", "fix", "--summary", "--denied")[1].splitlines()) == 2


def test_a_summary_by_host(folder: RunFolder, moat: Moat) -> None:
    """A summary has counts, bytes and times, and counts DNS questions apart."""
    asked = entry(kind="dns", method="A", total=0.0, sent=0, received=0)
    record(folder, [asked, entry(), entry(total=61.0), denied(), entry("x.org", verdict="failed")])
    _, out, _ = moat("trace", "fix", "--summary")
    lines = [line.split() for line in out.splitlines()]
    assert lines[0] == ["HOST", "REQUESTS", "DNS", "DENIED", "FAILED", "UP", "DOWN", "P50", "P95"]
    assert lines[1] == ["api.example.com", "2", "1", "24", "10.0M", "1m01s", "1m01s"]
    assert lines[2] == ["evil.example", "1", "1", "0", "0", "-", "-"]
    assert lines[3] == ["x.org", "1", "1", "12", "5.0M", "-", "-"]


def test_tokens_by_model(folder: RunFolder, moat: Moat) -> None:
    """Only requests to models are counted, with or without known tokens."""
    used = {"provider": "openai", "model": "gpt-5", "input_tokens": 30, "output_tokens": 4}
    unread = {"provider": "openai"}
    record(folder, [entry(), entry(usage=used), entry(usage=used), entry(usage=unread)])
    _, out, _ = moat("trace", "fix", "--llm")
    header, line, unknown = out.splitlines()
    kinds = "PROVIDER MODEL REQUESTS INPUT CACHE READ CACHE WRITE OUTPUT COST"
    assert header.split() == kinds.split()
    assert line.split() == ["openai", "gpt-5", "2", "60", "0", "0", "8", "$0.0002"]
    assert unknown.split() == ["openai", "unknown", "1", "0", "0", "0", "0", "unknown"]


def test_sums_are_objects_where_json_is_wanted(folder: RunFolder, moat: Moat) -> None:
    """There is one object per line, whichever option comes first."""
    used = {"provider": "openai", "model": "gpt", "input_tokens": 30}
    record(folder, [entry(usage=used), denied()])
    for options in (["--summary", "--json"], ["--json", "--summary"]):
        first, second = map(json.loads, moat("trace", "fix", *options)[1].splitlines())
        assert (first["host"], first["requests"], first["durations"]["p50"]) == (
            "api.example.com", 1, 0.125,
        )  # fmt: skip
        assert (second["host"], second["denied"]) == ("evil.example", 1)
    for options in (["--llm", "--json"], ["--json", "--llm"]):
        (model,) = map(json.loads, moat("trace", "fix", *options)[1].splitlines())
        assert (model["model"], model["input_tokens"]) == ("gpt", 30)
    assert json.loads(moat("trace", "fix", "--har", "--json")[1])["log"]["version"] == "1.2"


@pytest.mark.parametrize("columns", [40, 80])
@pytest.mark.parametrize("form", ["--summary", "--llm"])
def test_sums_fit_a_narrow_terminal(folder: RunFolder, form: str, columns: int) -> None:
    """Only a name that is longer than a line is cut."""
    host = "a-host-with-a-name-of-some-length.internal.example.com"
    used = {"provider": "anthropic", "model": "claude-with-a-name-of-some-length-20260101"}
    counts = dict.fromkeys(("input_tokens", "cache_read_tokens", "output_tokens"), 12_345_678)
    record(folder, [entry(host, usage=used | counts), entry(kind="dns", method="A")])
    lines = on_a_terminal("trace", "fix", form, columns=columns).splitlines()
    assert all(len(line) <= columns for line in lines)
    text = " ".join(" ".join(lines).split())
    if form == "--llm":
        assert "requests 1 input 12345678 cache read 12345678 output 12345678" in text
    else:
        assert "requests 1 up 12 down 5.0M p50 125ms p95 125ms" in text


def test_an_archive_holds_requests_with_what_was_captured(folder: RunFolder, moat: Moat) -> None:
    """DNS questions and tunnels have no place in an archive."""
    captured = entry(request_fields=[(b"Cookie", b"s3cr3t")], response_body=b"hello")
    captured.response_fields = [(b"Content-Type", b"text/plain")]
    tunnel = entry(kind="tunnel", scheme="tcp", method="", path="", port=22)
    record(folder, [captured, tunnel, entry(kind="dns", scheme="dns", method="A"), denied()])
    _, out, _ = moat("trace", "fix", "--har")
    first, second = json.loads(out)["log"]["entries"]
    assert first["request"]["headers"] == [{"name": "Cookie", "value": "***"}]
    assert first["response"]["content"]["text"] == "hello"
    assert second["comment"].startswith("denied: policy: strict")


def test_what_is_no_longer_kept_is_said(folder: RunFolder, moat: Moat) -> None:
    """Dropped rows are mentioned on stderr, so stdout can be processed."""
    record(folder, (entry() for _ in range(1_000)), Bounds(rows=100))
    _, out, err = moat("trace", "fix")
    assert len(out.splitlines()) <= 101
    assert "entries were dropped to make room (through 20" in err


def test_sums_count_what_is_no_longer_kept(folder: RunFolder, moat: Moat) -> None:
    """Sums by host are right whatever was dropped, but for a part of the record."""
    record(folder, (entry() for _ in range(1_000)), Bounds(rows=100))
    (whole,) = map(json.loads, moat("trace", "fix", "--summary", "--json")[1].splitlines())
    (part,) = map(json.loads, moat("trace", "fix", "--summary", "--json", "-n5")[1].splitlines())
    assert (whole["requests"], part["requests"]) == (1_000, 5)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--slow", "fix"], "--slow"),
        (["fix", "--slow=soon"], "length of time"),
        (["fix", "--since", "soon"], "--since"),
        (["fix", "--kind", "udp"], "--kind"),
        (["fix", "-f", "--har"], "-f"),
        (["fix", "-f", "--summary"], "-f"),
        (["fix", "--summary", "--llm"], "--summary and --llm"),
    ],
    ids=str,
)
def test_senseless_requests_are_usage_errors(moat: Moat, arguments: list[str], says: str) -> None:
    """A senseless combination is a usage error with a hint."""
    code, out, err = moat("trace", *arguments)
    assert (code, out) == (2, "")
    assert says in err


def test_a_run_without_a_record_is_said_so(folder: RunFolder, moat: Moat) -> None:
    """A run without a record is an error, and no record is made."""
    code, out, err = moat("trace", "fix")
    assert (code, out) == (125, "")
    assert "fix has no record" in err
    assert moat("trace", "nobody")[0] == 125
    assert not folder.database.exists()


@pytest.mark.parametrize("rows", [1, 1_000])
def test_rows_that_cannot_be_written_are_no_bug(folder: RunFolder, rows: int) -> None:
    """A failing stdout is an error for few rows, at the end, and for many, on the way."""
    record(folder, (entry() for _ in range(rows)))
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [COMMAND, "trace", "fix"], stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert done.returncode == 125
    assert done.stderr == b"moat: can't write the output: No space left on device\n"


def test_a_hundred_thousand_rows_are_printed(folder: RunFolder) -> None:
    """A hundred thousand rows are printed, every one."""
    made = TrafficWriter(folder.database, Bounds(queued=200_000))
    for number in range(100_000):
        made.put(entry(path=f"/{number}"))
    made.close()
    done = subprocess.run([COMMAND, "trace", "fix"], capture_output=True, check=True)
    assert done.stdout.count(b"\n") == 100_001


# --- following ---


class Following:
    """A running `moat trace -f --json` and its lines."""

    def __init__(self, *options: str) -> None:
        command = [COMMAND, "trace", "fix", "-f", "--json", *options]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def host(self) -> str:
        """Return the host of the next line; empty at the end."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        return json.loads(line)["host"] if line else ""

    def ended(self) -> tuple[int, str, str]:
        """Return the exit code and the rest of the output."""
        out, err = self.process.communicate()
        return self.process.returncode, out, err


class Running:
    """A run that looks as if its supervisor were alive."""

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        with Store() as store:
            store.update(folder.id, state=State.RUNNING, exit_code=None)
        self._listener = sockets.listen(folder.root, RunFolder.SUPERVISOR_SOCKET)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._answer)
        self._thread.start()

    def _answer(self) -> None:
        connection, _ = self._listener.accept()
        with connection, suppress(BrokenPipeError):  # who has asked may have gone
            connection.recv(65536)
            self._ended.wait()
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    def end(self) -> None:
        """End the run as a supervisor does: the state, the answers, then the socket."""
        with Store() as store:
            store.update(self._folder.id, state=State.STOPPED, exit_code=0)
        self._ended.set()
        self._thread.join()
        self._listener.close()
        (self._folder.root / RunFolder.SUPERVISOR_SOCKET).unlink()


def test_following_a_run_that_has_ended_ends(folder: RunFolder, moat: Moat) -> None:
    """Following a run that has ended prints everything and ends."""
    record(folder, [entry(), denied()])
    code, out, _ = moat("trace", "fix", "-f")
    assert (code, len(out.splitlines())) == (0, 3)
    assert len(moat("trace", "fix", "-f", "-n", "1")[1].splitlines()) == 2


def test_a_follower_shows_what_comes_until_the_run_ends(folder: RunFolder) -> None:
    """A follower that starts before the record prints each row once, when it is complete."""
    running = Running(folder)
    following = Following()
    made = TrafficWriter(folder.database)
    going = entry("slow", total=-1.0)
    for each in (entry("first"), going):
        made.put(each)
    assert following.host() == "first"
    made.put(entry("second"))
    assert following.host() == "second"
    going.total = 1.0
    made.put(going)
    assert following.host() == "slow"
    made.put(entry("open", total=-1.0))
    made.put(entry("last"))
    made.close()
    running.end()
    assert [following.host(), following.host()] == ["last", "open"]
    assert following.ended() == (0, "", "")


def test_a_follower_is_ended_by_ctrl_c(folder: RunFolder) -> None:
    """Ctrl-C ends a follower without a message, after the line that shows ^C."""
    running = Running(folder)
    record(folder, [entry("old"), entry("new")])
    following = Following("-n", "1")
    assert following.host() == "new"
    following.process.send_signal(signal.SIGINT)
    assert following.ended() == (130, "", "\n")
    running.end()
