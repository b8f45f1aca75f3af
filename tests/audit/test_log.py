"""The file of a log: what its writer leaves behind, and what the next one makes of it."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.audit.logs import OURS, RUN, THEIRS, Clock, verified, write
from tests.full_disk import files_of_at_most

from moat.audit.log import AuditBrokenError, AuditLog


def opened(folder: Path) -> AuditLog:
    return AuditLog(folder / "audit.log", folder / "heads" / RUN, RUN, Clock())


def lines_of(folder: Path) -> list[bytes]:
    return (folder / "audit.log").read_bytes().splitlines()


def test_the_next_writer_goes_on(tmp_path: Path) -> None:
    """The chain, the tree and the key are those of the writer before."""
    first = opened(tmp_path)
    assert first.earlier.entries == 0
    first.append("run_created", {"commits": {"spec.json": "0" * 64}})
    first.checkpoint(OURS)
    assert first.append("input_sent", {"size": 1}) == 2
    first.close()
    second = opened(tmp_path)
    assert second.earlier.entries == 3
    assert second.earlier.commits == {"spec.json": "0" * 64}
    assert second.earlier.torn is None
    assert second.unsigned == 1
    second.append("requests", {"commits": {"requests/0": "1" * 64}, "ids": [[1, 2]]})
    second.checkpoint(OURS)
    second.close()
    report = verified(lines_of(tmp_path), is_open=True, trusted={OURS.public})
    assert not report.problems
    assert report.signed == report.entries == 4
    third = opened(tmp_path)
    assert third.earlier.commits == {"spec.json": "0" * 64, "requests/0": "1" * 64}
    third.close()


def test_another_key_is_named_before_it_signs(tmp_path: Path) -> None:
    """A key that was rotated goes on to count for what it has signed."""
    log = opened(tmp_path)
    log.append("run_created", {})
    log.checkpoint(OURS)
    log.checkpoint(THEIRS)
    log.close()
    report = verified(lines_of(tmp_path), is_open=True)
    assert not report.problems
    assert report.keys == [OURS.public, THEIRS.public]


def test_a_writer_that_ended_at_any_byte(tmp_path: Path) -> None:
    """What it had acknowledged is there, and what it had not is recorded as torn."""
    write(tmp_path, 3)
    path, head = tmp_path / "audit.log", tmp_path / "heads" / RUN
    content = path.read_bytes()
    head.unlink()  # it may be older than the log, and was just not there yet
    header = content.index(b"entry ")
    for end in range(1, len(content)):
        path.write_bytes(content[:end])
        log = opened(tmp_path)
        whole = content[: content[:end].rfind(b"\n") + 1] if end >= header else b""
        assert path.read_bytes() == (whole or content[:header])
        assert log.earlier.entries == whole.count(b"\nentry ")
        torn = log.earlier.torn
        assert (0 if torn is None else torn["bytes"]) == (end - len(whole) if end != header else 0)
        kind = "log_continued" if log.earlier.entries else "run_created"
        log.append(kind, {"torn": torn})
        log.close()
        assert not verified(lines_of(tmp_path), is_open=True).problems


def test_zeros_after_a_crash_of_the_machine(tmp_path: Path) -> None:
    """A file system may have made the file longer, and not have written what belongs there."""
    write(tmp_path, 4)
    path = tmp_path / "audit.log"
    content = path.read_bytes()
    path.write_bytes(content + bytes(600) + b"\n" + bytes(8))
    log = opened(tmp_path)
    assert log.earlier.torn is not None
    assert log.earlier.torn["bytes"] == 609
    log.close()
    assert path.read_bytes() == content


WRITER = """
import sys
from pathlib import Path
from tests.audit.logs import OURS, Clock, RUN
from moat.audit.log import AuditLog
folder = Path(sys.argv[1])
log = AuditLog(folder / "audit.log", folder / "heads" / RUN, RUN, Clock())
if not log.earlier.entries:
    log.append("run_created", {})
else:
    log.append("log_continued", {"torn": log.earlier.torn})
for number in range(10**9):
    log.append("input_sent", {"size": number})
    print(log._tree.size, flush=True)
    if number % 7 == 0:
        log.checkpoint(OURS)
"""


@pytest.mark.parametrize("after", [1, 3, 8, 15, 40])
def test_a_writer_that_is_killed_hides_nothing(tmp_path: Path, after: int) -> None:
    """SIGKILL wherever it is: each acknowledged entry is in the log, and the chain goes on."""
    acknowledged = 0
    for _ in range(3):
        command = [sys.executable, "-c", WRITER, str(tmp_path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, text=True) as writer:
            assert writer.stdout is not None
            for _ in range(after):
                acknowledged = int(writer.stdout.readline())
            writer.send_signal(signal.SIGKILL)
            acknowledged = max([acknowledged, *map(int, writer.stdout.read().split("\n")[:-1])])
        log = opened(tmp_path)
        assert log.earlier.entries >= acknowledged
        log.close()
        assert not verified(lines_of(tmp_path), is_open=True).problems


ROOT = Path(__file__).parents[2]


def test_a_full_disk(tmp_path: Path) -> None:
    """An entry is written as a whole or not at all, and later ones follow on the last that was."""
    log = opened(tmp_path)
    log.append("run_created", {})
    size = (tmp_path / "audit.log").stat().st_size
    with files_of_at_most(size + 100), pytest.raises(OSError, match=r"File too large|No space"):
        log.append("input_sent", {"size": 1})
    assert (tmp_path / "audit.log").stat().st_size == size
    with files_of_at_most(size + 100), pytest.raises(OSError, match=r"File too large|No space"):
        log.checkpoint(OURS)
    assert log.append("input_sent", {"size": 2}) == 1
    log.checkpoint(OURS)
    log.close()
    report = verified(lines_of(tmp_path), is_open=True)
    assert not report.problems
    assert report.signed == 3


# --- a log that somebody has changed ---


def broken(folder: Path) -> str:
    before = (folder / "audit.log").read_bytes()
    with pytest.raises(AuditBrokenError) as caught:
        opened(folder)
    assert (folder / "audit.log").read_bytes() == before, "the evidence stays as it is"
    return caught.value.summary


def test_a_changed_log_is_not_continued(tmp_path: Path) -> None:
    """A changed entry under a signature: nothing is written behind it."""
    write(tmp_path)
    path = tmp_path / "audit.log"
    path.write_bytes(path.read_bytes().replace(b'"size":3', b'"size":4'))
    assert "content of entry 3 was changed" in broken(tmp_path)


def test_a_log_that_was_rolled_back(tmp_path: Path) -> None:
    """An older copy was put in its place: the newest checkpoint, kept elsewhere, knows of more."""
    write(tmp_path)
    path = tmp_path / "audit.log"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:6]))
    assert "checkpoint of 11 entries" in broken(tmp_path)
    path.write_bytes(b"")
    assert "it is empty, but it was signed before" in broken(tmp_path)


def test_a_log_that_was_written_anew(tmp_path: Path) -> None:
    """Another history with the same key and as many entries: a fork."""
    (tmp_path / "other").mkdir()
    write(tmp_path)
    write(tmp_path / "other")
    (tmp_path / "other" / "audit.log").replace(tmp_path / "audit.log")
    assert "has another root" in broken(tmp_path)


def test_a_log_of_another_run(tmp_path: Path) -> None:
    """It says whose it is."""
    write(tmp_path, run="ffffffffffff")
    assert "run ffffffffffff" in broken(tmp_path)


def test_what_is_no_log(tmp_path: Path) -> None:
    """Another file in its place is left alone."""
    (tmp_path / "audit.log").write_bytes(b"hello\n")
    assert "no audit log" in broken(tmp_path)


def test_a_damaged_newest_checkpoint(tmp_path: Path) -> None:
    """It is no reason to go on without one."""
    write(tmp_path)
    (tmp_path / "heads" / RUN).write_text("hello")
    assert "can't be read" in broken(tmp_path)


def test_a_changed_log_is_left_as_it_is(tmp_path: Path) -> None:
    """It is evidence: a zero in the middle doesn't have the rest taken for a torn tail."""
    write(tmp_path)
    path = tmp_path / "audit.log"
    text = path.read_bytes()
    changed = text.replace(b'"size":3', b'"size":\0')
    path.write_bytes(changed)
    assert "cut short" in broken(tmp_path)
    assert path.read_bytes() == changed


@pytest.mark.parametrize("garbage", [b'{"commits":{', b'"commits":{}', b'[{"commits":{}}]'])
def test_contents_that_are_none(tmp_path: Path, garbage: bytes) -> None:
    """A log that was changed is named as such, and the writer doesn't stumble over it."""
    lines = write(tmp_path)
    at = next(at for at, line in enumerate(lines) if b'"size":3' in line)
    lines[at] = lines[at].partition(b"\t")[0] + b"\t" + garbage
    (tmp_path / "audit.log").write_bytes(b"\n".join(lines) + b"\n")
    assert "content of entry" in broken(tmp_path)
