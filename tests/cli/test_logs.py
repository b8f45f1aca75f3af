"""`moat logs` and `moat replay` of runs that have ended: their journals are all that they need."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from moat.cli.plain.logs import moment_of, timestamp
from moat.errors import UsageError
from moat.runs.states import State
from moat.runs.store import Store
from moat.session.journal import journal as journal_module
from moat.session.journal.index import Stream
from moat.session.journal.journal import Journal
from moat.session.terminal.screen import Screen
from moat.spec import RunId, RunSpec, TerminalSize

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

COMMAND = str(Path(sys.executable).with_name("moat"))
OUT, ERR = Stream.STDOUT, Stream.STDERR

Done = subprocess.CompletedProcess[bytes]


@pytest.fixture
def ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """`ended(pieces)`: a run named "fix" that has written them and stopped with 3."""
    monkeypatch.setenv("MOAT_HOME", str(tmp_path / "home"))

    def make(pieces: Iterable[tuple[Stream, bytes]], *, tty: bool = False) -> None:
        spec = RunSpec(
            id=RunId("0123456789ab"),
            name="fix",
            command=("make", "all"),
            workspace="/",
            created_at="2026-01-01T00:00:00.000Z",
            tty=tty,
        )
        with Store() as store:
            store.create(spec)
            store.update(spec.id, state=State.STOPPED, exit_code=3)
            journal = Journal(store.folder(spec.id).journal / "main", TerminalSize(80, 24), 1 << 30)
        read, write = os.pipe()
        for stream, data in pieces:
            os.write(write, data)
            journal.take(stream, read)
        os.close(read)
        os.close(write)
        journal.close()

    return make


def moat(*arguments: str) -> Done:
    return subprocess.run([COMMAND, *arguments], capture_output=True, check=False)


def on_a_terminal(*arguments: str) -> bytes:
    """What a terminal gets on both outputs."""
    master, slave = pty.openpty()
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
    return received


PIECES = [(OUT, b"a\nb\n"), (ERR, b"one\n"), (OUT, b"c\n\xff\0half"), (ERR, b"two\n")]


def test_a_log_is_exact(ended: Callable[..., None]) -> None:
    """Each stream byte for byte, where it belongs."""
    ended(PIECES)
    done = moat("logs", "fix")
    assert (done.stdout, done.stderr) == (b"a\nb\nc\n\xff\0half", b"one\ntwo\n")
    done = moat("logs", "fix", "--stream", "stderr")
    assert (done.stdout, done.stderr) == (b"", b"one\ntwo\n")


def test_the_last_lines_are_of_both_streams(ended: Callable[..., None]) -> None:
    """In the order in which they were written; zero is nothing."""
    ended(PIECES)
    done = moat("logs", "fix", "-n", "3")
    assert (done.stdout, done.stderr) == (b"c\n\xff\0half", b"two\n")
    done = moat("logs", "-n", "0")
    assert (done.stdout, done.stderr) == (b"", b"")


def test_lines_have_their_times(ended: Callable[..., None]) -> None:
    """RFC 3339 before each line, also before one without end."""
    ended(PIECES)
    done = moat("logs", "fix", "--timestamps")
    stamp = rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z "
    expected = b"".join(stamp + re.escape(line) for line in (b"a\n", b"b\n", b"c\n", b"\xff\0half"))
    assert re.fullmatch(expected, done.stdout)
    assert re.fullmatch(stamp + b"one\n" + stamp + b"two\n", done.stderr)


def test_since_leaves_out_what_is_older(ended: Callable[..., None]) -> None:
    """Both ways to say when."""
    ended(PIECES)
    assert moat("logs", "fix", "--since", "1h").stdout.startswith(b"a\n")
    assert moat("logs", "fix", "--since", "2099-01-01T00:00:00Z").stdout == b""
    assert moat("logs", "fix", "--since", "tomorrow").returncode == 2


def test_following_a_run_that_has_ended_ends(ended: Callable[..., None]) -> None:
    """With all that it wrote, once."""
    ended(PIECES)
    assert moat("logs", "fix", "-f").stdout == b"a\nb\nc\n\xff\0half"


def test_a_log_of_many_megabytes_is_read_from_its_end(ended: Callable[..., None]) -> None:
    """For the last lines, the rest of it is not read."""
    line = b"x" * 99 + b"\n"
    ended([(OUT, line * 640)] * 500 + [(OUT, b"last\n")])
    with subprocess.Popen([COMMAND, "logs", "fix", "-n", "2"], stdout=subprocess.PIPE) as program:
        assert program.stdout is not None
        assert program.stdout.read() == line + b"last\n"
        os.waitid(os.P_PID, program.pid, os.WEXITED | os.WNOWAIT)
        counts = Path(f"/proc/{program.pid}/io").read_text()
    assert int(counts.split()[1]) < 640 * 100 * 100, "a fifth of it"
    assert len(moat("logs", "fix").stdout) == 640 * 500 * 100 + 5


@pytest.mark.parametrize("command", [("logs",), ("replay", "--speed", "0")], ids=" ".join)
def test_a_terminal_is_not_acted_upon(ended: Callable[..., None], command: tuple[str, ...]) -> None:
    """What the program wrote is hostile: no clipboard, no queries; and the modes end with it."""
    text = b"\x1b[31mred\x1b[m\x1b]52;c;ZXZpbA==\x07\x1b[6n\x1b[?1049h\x1b[?1000h"
    ended([(OUT, text)], tty=True)
    received = on_a_terminal(*command, "fix")
    assert b"\x1b[31mred" in received
    assert b"\x1b]52" not in received
    assert b"\x1b[6n" not in received
    last = {number: received.rfind(b"\x1b[?%dl" % number) for number in (1049, 1000)}
    assert all(last[number] > received.rfind(b"\x1b[?%dh" % number) for number in last)
    assert moat(*command, "fix").stdout == text


def test_a_replay_takes_its_time(ended: Callable[..., None]) -> None:
    """At the given speed, and at once for 0."""
    ended(PIECES)
    done = moat("replay", "fix", "--speed", "0")
    assert (done.stdout, done.stderr) == (b"a\nb\nc\n\xff\0half", b"one\ntwo\n")
    assert moat("replay", "fix", "--speed", "100").stdout == done.stdout
    assert moat("replay", "fix", "--speed", "-1").returncode == 2


def test_a_recording_can_be_exported(ended: Callable[..., None]) -> None:
    """asciicast v3, with the exit code."""
    ended(PIECES)
    header, *events = map(json.loads, moat("replay", "fix", "--cast").stdout.splitlines())
    assert (header["version"], header["command"], header["title"]) == (3, "make all", "fix")
    assert "".join(event[2] for event in events if event[1] == "o").startswith("a\nb\none\n")
    assert events[-1][1:] == ["x", "3"]


def test_a_replay_of_a_trimmed_journal_begins_with_its_screen(
    ended: Callable[..., None], tmp_path: Path
) -> None:
    """What the program had shown and set before is there, though its output is gone."""
    ended([], tty=True)
    folder = tmp_path / "home" / "runs" / "0123456789ab" / "journal" / "main"
    screen = Screen(TerminalSize(80, 24), 2000)
    journal = Journal(folder, TerminalSize(80, 24), limit=100)
    journal.keep_screens(screen.snapshot)
    read, write = os.pipe()
    for piece in (
        b"\x1b]2;title\x07\x1b[?2004hbefore ",
        b"x" * journal_module.SEGMENT_BYTES,
        b"after",
    ):
        for start in range(0, len(piece), 65536):
            os.write(write, piece[start : start + 65536])
            journal.take(OUT, read)
        screen.feed(piece)
        journal.trim({})
    journal.close()
    screen.close()
    os.close(read)
    os.close(write)
    replayed = moat("replay", "fix", "--speed", "0").stdout
    assert replayed.index(b"title") < replayed.index(b"after")
    assert b"\x1b[?2004h" in replayed
    first = json.loads(moat("replay", "fix", "--cast").stdout.splitlines()[1])
    assert "title" in first[2]


def test_an_unknown_session_is_said_so(ended: Callable[..., None]) -> None:
    """And nothing is made: readers don't write."""
    ended([])
    assert moat("logs", "fix").stdout == b""
    for command in ("logs", "replay"):
        done = moat(command, "fix", "--session", "exec-9")
        assert (done.returncode, b"no session" in done.stderr) == (2, True)
    assert moat("logs", "nobody").returncode == 125


def test_moments_are_times_or_ages() -> None:
    """A time without a zone is the user's own."""
    assert moment_of("10m", 1000.0) == 400.0
    assert moment_of("2026-01-01T00:00:00Z", 0.0) == 1_767_225_600.0
    assert moment_of("2026-01-01", 0.0) == time.mktime((2026, 1, 1, 0, 0, 0, 0, 0, -1))
    for text in ("", "yesterday", "2026-13-01"):
        with pytest.raises(UsageError):
            moment_of(text, 0.0)


def test_timestamps_are_cut_not_rounded() -> None:
    """The next second has not begun."""
    assert timestamp(1_767_225_599.9996) == b"2025-12-31T23:59:59.999Z "
