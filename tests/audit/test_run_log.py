"""The log of a run: how it begins and goes on, and what waits while it can't be written."""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from tests.audit.logs import OURS, RUN, Clock, verified

from moat.audit import run_log
from moat.audit.run_log import RunLog
from moat.events import Denied, InputSent, Peer
from moat.paths import RunFolder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    root = tmp_path / "runs" / RUN
    (root / "journal" / "main").mkdir(parents=True)
    (root / "spec.json").write_text("{}")
    return RunFolder(root)


def make(folder: RunFolder) -> RunLog:
    return RunLog(folder, {"name": "test"}, folder.root.parents[1], Clock())


def opened(folder: RunFolder) -> RunLog:
    log = make(folder)
    assert log.open()
    return log


def entries(folder: RunFolder) -> list[tuple[str, Any]]:
    found = []
    for line in folder.audit.read_bytes().splitlines():
        if line.startswith(b"entry "):
            public, _, private = line[6:].partition(b"\t")
            found.append((json.loads(public)["kind"], json.loads(private)["data"]))
    return found


def kinds(folder: RunFolder) -> list[str]:
    return [kind for kind, _ in entries(folder)]


@contextmanager
def full_disk(log: RunLog) -> Iterator[None]:
    """The kernel's own: the log's descriptor is one of /dev/full for a while."""
    fd = log._log._fd  # pyright: ignore[reportOptionalMemberAccess]
    kept, full = os.dup(fd), os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, fd)
    try:
        yield
    finally:
        os.dup2(kept, fd)
        os.close(kept)
        os.close(full)


def genuine(folder: RunFolder) -> None:
    assert not verified(folder.audit.read_bytes().splitlines(), is_open=True).problems


def test_it_begins_with_the_run(folder: RunFolder) -> None:
    """The first entry commits to the specification; events follow, without their time and kind."""
    log = opened(folder)
    assert not log.adopted
    log(5.0, InputSent("main", 3, Peer(1, 2)))
    log.close()
    (created, first), (kind, data) = entries(folder)
    assert (created, kind) == ("run_created", "input_sent")
    assert first["name"] == "test"
    assert first["commits"] == {"spec.json": run_log.sha256_of(folder.spec)}
    assert data == {"session": "main", "size": 3, "peer": {"uid": 1, "pid": 2}}
    genuine(folder)


def test_another_supervisor_goes_on(folder: RunFolder) -> None:
    """It says so first, with what its predecessor had left unfinished."""
    opened(folder).close()
    with folder.audit.open("ab") as file:
        file.write(b"entry {")
    log = opened(folder)
    assert log.adopted
    log.close()
    kind, data = entries(folder)[1]
    assert kind == "log_continued"
    assert data["torn"]["text"] == "entry {"
    assert data["unsigned"] == 1
    genuine(folder)


def test_a_torn_beginning(folder: RunFolder) -> None:
    """Nothing was acknowledged yet: the log begins anew, and says so."""
    folder.audit.write_bytes(b"moat-au")
    opened(folder).close()
    ((kind, data),) = entries(folder)
    assert kind == "run_created"
    assert data["torn"]["bytes"] == 7


def test_what_a_full_disk_refuses_is_written_later(folder: RunFolder) -> None:
    """In its order and with its time; meanwhile there is a reason why nothing may pass."""
    log = opened(folder)
    with full_disk(log):
        assert not log.add("first", {}, 5.0)
        assert not log.add("second", {}, 6.0)
        assert log.problem == "the audit log can't be written: No space left on device"
        log.requests([(1, "a")])
        assert not log.end_batch()
    assert log.flush()
    assert log.problem == ""
    assert log.end_batch()
    log.close()
    assert kinds(folder) == ["run_created", "first", "second", "requests"]
    assert b'"time":"1970-01-01T00:00:06.000Z"' in folder.audit.read_bytes()
    genuine(folder)


def test_more_than_can_wait_is_counted(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a bounded memory can't keep leaves an entry with its number."""
    monkeypatch.setattr(run_log, "MAX_PENDING", 3)
    log = opened(folder)
    with full_disk(log):
        for number in range(10):
            log.add("waits", {"number": number})
    assert log.add("later", {}) is True
    log.close()
    assert kinds(folder) == ["run_created", "waits", "waits", "waits", "gap"]
    assert entries(folder)[-1][1] == {"missed": 8}


def test_a_log_that_can_not_be_begun(folder: RunFolder) -> None:
    """It is begun as soon as that is possible, and nothing of what happened before is lost."""
    folder.audit.symlink_to("/dev/full")
    log = make(folder)
    assert not log.open()
    assert "No space left" in log.problem
    log(1.0, Denied("http", "h", 80, "r", "no"))
    assert not log.flush()
    folder.audit.unlink()
    assert log.open()
    assert log.problem == ""
    log.close()
    assert kinds(folder) == ["run_created", "denied"]


def test_a_log_that_was_changed(folder: RunFolder) -> None:
    """Nothing is written to it ever again."""
    opened(folder).close()
    content = folder.audit.read_bytes().replace(b'"name":"test"', b'"name":"tess"')
    folder.audit.write_bytes(content)
    log = make(folder)
    assert not log.open()
    assert log.broken
    assert "changed or cut short" in log.problem
    assert not log.add("x", {})
    assert not log.open()
    assert not log.flush()
    assert log.unsigned == 0
    log.checkpoint(OURS)
    log.end(OURS)
    log.close()
    assert folder.audit.read_bytes() == content


def test_requests_are_committed_to_in_batches(folder: RunFolder) -> None:
    """Each batch has its name, also under the next supervisor."""
    log = opened(folder)
    assert log.requests([(2, "b"), (1, "a")])
    assert not log.requests([(3, "c")])
    assert not opened_requests(log)
    assert log.end_batch()
    assert log.end_batch(), "an empty one leaves no entry"
    log.close()
    log = opened(folder)
    log.requests([(4, "d")])
    log.end(None)
    log.close()
    batches = [data for kind, data in entries(folder) if kind == "requests"]
    assert [data["ids"] for data in batches] == [[[1, 3]], [[4, 4]]]
    assert [list(data["commits"]) for data in batches] == [["requests/0"], ["requests/1"]]
    assert kinds(folder)[-1] == "log_closed"
    genuine(folder)


def opened_requests(log: RunLog) -> bool:
    """No rows begin no batch."""
    return log.requests([])


def test_segments_are_committed_to_once(folder: RunFolder) -> None:
    """All but the last one, and that at the end."""
    journal = folder.journal / "main"
    for number in (0, 1):
        for suffix in ("index", "stdout"):
            (journal / f"{number:08}.{suffix}").write_text(f"{number}{suffix}")
    (journal / "00000000.screen").write_text("made from the rest")
    log = opened(folder)
    for _ in range(2):
        assert log.close_segments("main")
    log.close()
    log = opened(folder)
    log.close_segments("main")
    (journal / "00000001.stdout").write_text("more")
    log.close_segments("main", last=True)
    log.end(OURS)
    log.close()
    segments = [data for kind, data in entries(folder) if kind == "journal_closed"]
    assert [data["segment"] for data in segments] == [0, 1]
    assert list(segments[0]["commits"]) == [
        "journal/main/00000000.index",
        "journal/main/00000000.stdout",
    ]
    report = verified(folder.audit.read_bytes().splitlines(), is_open=True)
    assert report.closed
    assert report.signed == report.entries


def test_the_end_is_not_claimed_while_something_waits(folder: RunFolder) -> None:
    """A log with a gap behind it stays open."""
    log = opened(folder)
    with full_disk(log):
        log.add("waits", {})
        log.end(OURS)
    log.close()
    assert kinds(folder) == ["run_created"]
