"""Attacks on a log. Each is detected and named; none is accepted."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.audit.logs import OURS, RUN, THEIRS, Clock, codes, entry_lines, header, verified, write

from moat.audit import checkpoint
from moat.audit.bundle import proofs
from moat.audit.entry import entry, private_part
from moat.audit.log import AuditLog
from moat.audit.proofs import Frontier, leaf_hash
from moat.audit.report import UnreadableError
from moat.audit.verifier import Verifier

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def log(tmp_path: Path) -> list[bytes]:
    return write(tmp_path)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """The same log for all examples of a property."""
    return write(tmp_path_factory.mktemp("log"))


def note(line: bytes) -> str:
    return base64.b64decode(line.removeprefix(b"checkpoint ")).decode()


def checkpoints(lines: list[bytes]) -> list[int]:
    return [at for at, line in enumerate(lines) if line.startswith(b"checkpoint ")]


def test_a_genuine_log(log: list[bytes]) -> None:
    """Nothing is wrong with it, all of it is signed, and it is complete."""
    report = verified(log, trusted={OURS.public})
    assert not report.problems
    assert report.entries == report.signed == 11  # one of them names the key
    assert report.checkpoints == 3
    assert report.closed
    assert report.trusted
    assert report.keys == [OURS.public]
    assert report.absent == 1
    assert report.run == RUN
    assert report.first_time < report.last_time


# --- entries ---


def test_a_changed_content(log: list[bytes]) -> None:
    """Other words behind the same hash."""
    at = entry_lines(log)[3]
    log[at] = log[at].replace(b'"size":3', b'"size":4')
    assert codes(verified(log)) == {"content"}


def test_a_changed_content_with_its_hash(log: list[bytes]) -> None:
    """The hash is made to fit: then the next entry doesn't, nor does the signature."""
    at = entry_lines(log)[3]
    line, _, private = log[at].partition(b"\t")
    forged = private.replace(b'"size":3', b'"size":4')
    hashes = [hashlib.sha256(each).hexdigest().encode() for each in (private, forged)]
    log[at] = line.replace(*hashes) + b"\t" + forged
    assert codes(verified(log)) == {"chain", "root"}


def test_an_entry_that_says_another_time_or_kind(log: list[bytes]) -> None:
    """What stands in the entry itself is in the hash that the next one has."""
    at = entry_lines(log)[3]
    log[at] = log[at].replace(b"input_sent", b"input_lost")
    assert codes(verified(log)) == {"chain", "root"}


def test_a_dropped_entry(log: list[bytes]) -> None:
    """Its number is missing."""
    del log[entry_lines(log)[3]]
    report = verified(log)
    assert "missing" in codes(report)
    assert "no entry 3" in report.problems[0].text


def test_a_first_entry_that_was_dropped(log: list[bytes]) -> None:
    """A log does not begin in the middle."""
    del log[entry_lines(log)[0]]
    assert "missing" in codes(verified(log))


def test_an_inserted_entry(log: list[bytes]) -> None:
    """One that fits onto the entry before it doesn't fit before the entry after it."""
    at = entry_lines(log)[3]
    private = private_part({"size": 99}, bytes(16))
    prev = leaf_hash(log[at][6:].partition(b"\t")[0]).hex()
    line = entry(
        run=RUN,
        seq=4,
        prev=prev,
        time="2027-01-15T08:00:00.010Z",
        kind="input_sent",
        private=private,
    )
    log.insert(at + 1, b"entry " + line + b"\t" + private)
    assert {"order", "shorter"} <= codes(verified(log))


def test_an_entry_that_comes_twice(log: list[bytes]) -> None:
    """Its number was there already."""
    at = entry_lines(log)[3]
    log.insert(at + 1, log[at])
    assert "order" in codes(verified(log))


def test_entries_in_another_order(log: list[bytes]) -> None:
    """Two that have changed places are named."""
    first, second = entry_lines(log)[2:4]
    log[first], log[second] = log[second], log[first]
    assert {"missing", "order"} <= codes(verified(log))


def test_an_entry_of_another_run(log: list[bytes], tmp_path: Path) -> None:
    """A genuine entry of another log, at the same place."""
    (tmp_path / "other").mkdir()
    other = write(tmp_path / "other", run="ffffffffffff")
    at = entry_lines(log)[3]
    log[at] = other[entry_lines(other)[3]]
    assert {"run", "chain"} <= codes(verified(log))


def test_a_log_of_another_run_as_a_whole(tmp_path: Path) -> None:
    """Its entries and checkpoints say whose it is."""
    other = write(tmp_path, run="ffffffffffff")
    other[1] = header()[1]
    assert {"run", "signature"} <= codes(verified(other)) or "run" in codes(verified(other))


@given(st.data())
def test_no_change_of_a_byte_is_accepted(shared: list[bytes], data: st.DataObject) -> None:
    """Whatever byte of the signed part is another one, the log is not genuine."""
    lines = list(shared)
    at = data.draw(st.integers(0, len(lines) - 1))
    place = data.draw(st.integers(0, len(lines[at]) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda each: each != lines[at][place]))
    lines[at] = lines[at][:place] + bytes([byte]) + lines[at][place + 1 :]
    try:
        report = verified(lines, trusted={OURS.public})
    except UnreadableError:
        return
    assert report.problems


@given(st.data())
def test_no_other_order_or_number_of_lines_is_accepted(
    shared: list[bytes], data: st.DataObject
) -> None:
    """However lines are moved, dropped or repeated: it is a genuine log, or it is refused."""
    picked = data.draw(st.lists(st.integers(0, len(shared) - 1), max_size=len(shared) + 3))
    lines = [shared[at] for at in picked]
    try:
        report = verified(lines, trusted={OURS.public})
    except UnreadableError:
        return
    if not report.problems:
        assert [line for line in lines if line.startswith(b"entry ")] == [
            line for line in shared if line.startswith(b"entry ")
        ][: report.entries], "a beginning of the log, up to a checkpoint or further"


# --- the end ---


def test_a_log_cut_off_at_a_checkpoint(log: list[bytes]) -> None:
    """By itself it is a genuine log that is not closed; who has a later checkpoint knows better."""
    cut = log[: checkpoints(log)[1] + 1]
    report = verified(cut)
    assert not report.problems
    assert not report.closed
    assert codes(verified(cut, held=[note(log[-1])])) == {"shorter"}


def test_a_log_cut_off_behind_a_checkpoint(log: list[bytes]) -> None:
    """The checkpoint covers more than there is."""
    assert "shorter" in codes(verified([*log[: checkpoints(log)[1] - 1], log[checkpoints(log)[1]]]))


def test_a_bundle_that_was_not_copied_to_its_end(log: list[bytes]) -> None:
    """The end record is missing, or counts more lines."""
    verifier = Verifier()
    for line in log:
        verifier.feed(line)
    assert codes(verifier.finish()) == {"cut"}
    assert "format" in codes(verified([*log, b"end 3"]))


def test_something_behind_the_end(log: list[bytes]) -> None:
    """Nothing may be added to a bundle."""
    ended = [*log, b"end %d" % (len(log) + 1)]
    assert "format" in codes(verified([*ended, b"key " + base64.b64encode(THEIRS.public)]))


def test_a_log_that_is_not_signed(tmp_path: Path) -> None:
    """A chain alone proves nothing to others: anybody can make one."""
    log = AuditLog(tmp_path / "log", tmp_path / "head", RUN, Clock())
    log.append("run_created", {})
    log.close()
    lines = (tmp_path / "log").read_bytes().splitlines()
    assert codes(verified(lines)) == {"signature"}
    assert not verified(lines, is_open=True).problems, "while the run is alive, that is not yet"


# --- keys and checkpoints ---


def test_checkpoints_signed_by_another_key(log: list[bytes]) -> None:
    """The entries name the key that signs: another one in the bundle is not believed."""
    forged = [
        b"key " + base64.b64encode(THEIRS.public) if line.startswith(b"key ") else line
        for line in log
    ]
    tree = Frontier()
    for at, line in enumerate(forged):
        if line.startswith(b"entry "):
            tree.append(leaf_hash(line[6:].partition(b"\t")[0]))
        elif line.startswith(b"checkpoint "):
            signed = checkpoint.signed(RUN, tree.size, tree.root(), THEIRS)
            forged[at] = b"checkpoint " + base64.b64encode(signed.encode())
    assert codes(verified(forged)) == {"key"}


def test_a_log_that_another_key_has_made(tmp_path: Path) -> None:
    """It is a genuine log of somebody else: only who knows the right key can tell."""
    forged = write(tmp_path, signer=THEIRS)
    assert not verified(forged).problems
    assert codes(verified(forged, trusted={OURS.public})) == {"key"}


def test_a_revoked_key(log: list[bytes]) -> None:
    """Nothing that it has signed counts."""
    assert codes(verified(log, revoked={OURS.public})) == {"key"}


def test_a_damaged_signature(log: list[bytes]) -> None:
    """One bit of it is another one."""
    at = checkpoints(log)[1]
    text = note(log[at])
    damaged = text[:-4] + ("AAA" if text[-5:-2] != "AAA" else "BBB") + "\n"
    log[at] = b"checkpoint " + base64.b64encode(damaged.encode())
    assert codes(verified(log)) & {"signature", "format"}


def test_a_checkpoint_of_another_run(log: list[bytes]) -> None:
    """The same key has signed it, for another log."""
    stranger = checkpoint.signed("ffffffffffff", 4, bytes(32), OURS)
    log[checkpoints(log)[0]] = b"checkpoint " + base64.b64encode(stranger.encode())
    assert codes(verified(log)) == {"run"}


def test_a_fork(tmp_path: Path) -> None:
    """Two logs of one run, both signed: a checkpoint of the one gives the other away."""
    (tmp_path / "other").mkdir()
    ours = write(tmp_path)
    other = write(tmp_path / "other")
    for line in (ours[at] for at in checkpoints(ours)):
        assert codes(verified(other, held=[note(line)])) == {"fork"}
        assert not verified(ours, held=[note(line)]).problems


def test_a_checkpoint_to_compare_with_that_is_none() -> None:
    """It is not passed over."""
    with pytest.raises(UnreadableError, match="that you hold"):
        Verifier(held=["moat/1\n"])


# --- clocks ---


def test_a_clock_that_was_set_back(tmp_path: Path) -> None:
    """The order is that of the entries, and the jump is named."""
    clock = Clock()

    def set_back() -> float:
        clock.now -= 3600 if int(clock.now * 1000) % 5 == 0 else 0
        return clock()

    report = verified(write(tmp_path, clock=set_back))
    assert not report.problems
    assert any("the clock went back at entry" in each for each in report.remarks)


# --- redacted ---


def test_a_redacted_log(log: list[bytes]) -> None:
    """Without their content, the entries still prove when something of which kind happened."""
    redacted = [
        line.partition(b"\t")[0] + b"\t"
        if line.startswith(b"entry ") and b"signing_key" not in line
        else line
        for line in log
    ]
    report = verified(redacted, trusted={OURS.public})
    assert not report.problems
    assert report.redacted == 10
    assert report.closed


# --- files ---


def test_files_are_compared_with_what_the_log_commits_to(tmp_path: Path) -> None:
    """A file is genuine, was changed, is missing, or has nothing to do with the log."""
    content = b"x" * 100_000
    log = AuditLog(tmp_path / "log", tmp_path / "head", RUN, Clock())
    commits = {name: hashlib.sha256(content).hexdigest() for name in ("a", "b", "c", "d")}
    log.append("run_created", {"commits": commits})
    log.append("voided", {"commits": {}, "void": ["d"]})
    log.checkpoint(OURS)
    log.close()
    lines = (tmp_path / "log").read_bytes().splitlines()
    data = [b"data " + base64.b64encode(each) for each in (content[:70_000], content[70_000:])]
    report = verified([*lines, b"file a", *data, b"file b", data[0], b"file e", *data])
    assert codes(report) == {"file"}
    assert [each.text for each in report.problems] == [
        "b is not what the log commits to",
        "e is not what the log commits to",
    ]
    assert report.files == {"a": True, "b": False, "e": False}
    assert report.absent == 1


def continued(log: list[bytes], kind: str, data: dict[str, object]) -> bytes:
    """Return an entry that follows on a log, as anybody can write it without a key."""
    last = log[entry_lines(log)[-1]][6:].partition(b"\t")[0]
    private = private_part(data, bytes(16))
    line = entry(
        run=RUN,
        seq=len(entry_lines(log)),
        prev=leaf_hash(last).hex(),
        time="2030-01-01T00:00:00.000Z",
        kind=kind,
        private=private,
    )
    return b"entry " + line + b"\t" + private


def test_an_unsigned_entry_proves_no_file(log: list[bytes]) -> None:
    """Anybody can add one, and commit to another file in it."""
    digest = hashlib.sha256(b"evil").hexdigest()
    added = continued(log, "requests", {"commits": {"spec.json": digest}})
    report = verified([*log, added, b"file spec.json", b"data " + base64.b64encode(b"evil")])
    assert report.files == {"spec.json": False}
    assert report.signed == report.entries - 1
    assert report.absent == 0


def test_a_file_that_is_there_twice(log: list[bytes]) -> None:
    """Who takes the first of them would get another one than who takes the last."""
    data = [b"file x", b"data AAAA", b"file x", b"data AAAB"]
    assert "there is a file of that name already" in verified([*log, *data]).problems[0].text


def test_records_behind_a_file(log: list[bytes]) -> None:
    """Files are last: nothing that proves them may follow."""
    for line in (log[-1], continued(log, "x", {}), b"key " + base64.b64encode(THEIRS.public)):
        assert "format" in codes(verified([*log, b"file spec.json", line]))


# --- single entries ---


def test_entries_behind_a_checkpoint_of_single_ones(log: list[bytes], tmp_path: Path) -> None:
    """The checkpoint of another history, put before a forged one, does not sign that."""
    (tmp_path / "forged").mkdir()
    forged = write(tmp_path / "forged", signer=THEIRS)
    entries = [line for line in forged if line.startswith(b"entry ")]
    key = b"key " + base64.b64encode(OURS.public)
    report = verified([*header(), key, log[-1], *entries], trusted={OURS.public})
    assert "format" in codes(report)
    assert not report.closed


def test_checkpoints_without_entries(log: list[bytes]) -> None:
    """They prove nothing about nothing; and of single entries there is one checkpoint alone."""
    bare = [*header(), b"key " + base64.b64encode(OURS.public), log[-1]]
    assert codes(verified(bare)) == {"missing"}
    assert "format" in codes(verified([*bare, log[-1]]))


def test_a_held_checkpoint_of_another_size_and_a_single_entry(
    log: list[bytes], tmp_path: Path
) -> None:
    """Nothing can be said, and that is said."""
    lines = list(proofs(tmp_path / "audit.log", [2]))[:-1]
    report = verified(lines, held=[note(log[checkpoints(log)[0]])])
    assert not report.problems
    assert "that you hold" in report.remarks[0]


def test_two_held_checkpoints_of_one_size(log: list[bytes]) -> None:
    """One of them is of a fork, whichever was given last."""
    other = checkpoint.signed(RUN, 11, bytes(32), OURS)
    for held in ([note(log[-1]), other], [other, note(log[-1])]):
        assert codes(verified(log, held=held)) == {"fork"}


# --- what would take long ---


def test_a_key_that_no_entry_names(log: list[bytes]) -> None:
    """The entry that names the key was redacted, so that another one could sign."""
    at = next(at for at in entry_lines(log) if b'"signing_key"' in log[at])
    log[at] = log[at].partition(b"\t")[0] + b"\t"
    assert codes(verified(log)) == {"key"}


def test_many_keys_and_many_signatures(log: list[bytes]) -> None:
    """Keys are bounded, and of one key's signatures in a note only one is looked at."""
    keys = [b"key " + base64.b64encode(hashlib.sha256(b"%d" % at).digest()) for at in range(200)]
    assert "format" in codes(verified([*header(), *keys, *log[2:]]))
    at = checkpoints(log)[-1]
    text, _, line = note(log[at]).rstrip("\n").rpartition("\n")
    bad = line[:-8] + "AAAAAA=="
    twice = f"{text}\n{bad}\n{line}\n"
    log[at] = b"checkpoint " + base64.b64encode(twice.encode())
    assert codes(verified(log)) == {"signature"}


def test_many_jumps_of_the_clock(tmp_path: Path) -> None:
    """What is reported of them is bounded."""
    moments = iter(range(2_000_000_000, 1_000_000_000, -1))
    assert len(verified(write(tmp_path, 120, clock=lambda: next(moments))).remarks) == 50


def test_what_follows_the_end(log: list[bytes]) -> None:
    """Entries, too."""
    lines = [*log, b"end %d" % (len(log) + 1), continued(log, "x", {})]
    report = verified(lines)
    assert report.entries == 11
    assert codes(report) == {"format"}


# --- single entries, proven ---


def test_single_entries_with_proofs(log: list[bytes], tmp_path: Path) -> None:
    """An entry is shown to be in the log without the others."""
    lines = list(proofs(tmp_path / "audit.log", [5, 2]))
    verifier = Verifier(trusted={OURS.public})
    for line in lines:
        verifier.feed(line)
    report = verifier.finish()
    assert not report.problems
    assert report.proved == [2, 5]
    assert report.signed == 11
    assert len(lines) < len(log)


@pytest.mark.parametrize("change", [b'"size":2', b'"seq":2', RUN.encode()])
def test_a_changed_entry_with_a_proof(log: list[bytes], tmp_path: Path, change: bytes) -> None:
    """The proof leads to another root, or its content or run is wrong."""
    del log
    lines = list(proofs(tmp_path / "audit.log", [2]))
    at = next(at for at, line in enumerate(lines) if line.startswith(b"proved "))
    lines[at] = lines[at].replace(change, change[:-1] + b"7")
    verifier = Verifier()
    for line in lines:
        verifier.feed(line)
    assert codes(verifier.finish()) & {"content", "root", "run"}


def test_a_held_checkpoint_and_a_single_entry(log: list[bytes], tmp_path: Path) -> None:
    """The checkpoint of a proof is compared with one of the same size that was kept."""
    lines = list(proofs(tmp_path / "audit.log", [2]))[:-1]
    assert not verified(lines, held=[note(log[-1])]).problems
    other = checkpoint.signed(RUN, 11, bytes(32), OURS)
    assert codes(verified(lines, held=[other])) == {"fork"}


# --- what can't be read ---


@pytest.mark.parametrize("lines", [[], [b"hello"], [b"moat-audit-bundle/2"], [header()[0]]])
def test_what_is_no_log(lines: list[bytes]) -> None:
    """It is an error of its own, and no verdict."""
    with pytest.raises(UnreadableError):
        verified(lines, is_open=True)


@pytest.mark.parametrize(
    "line",
    [
        b"entry {}",
        b"entry x\ty",
        b"run x",
        b"key AAAA",
        b"key !",
        b"checkpoint AAAA",
        b"data AAAA",
        b"what 1",
        b"proved - x",
        b"proved",
    ],
)
def test_a_line_that_makes_no_sense(log: list[bytes], line: bytes) -> None:
    """It is named with its number, and the rest is looked at."""
    report = verified([*log, line])
    assert codes(report) == {"format"}
    assert report.entries == 11


@given(st.lists(st.binary(max_size=40), max_size=8))
def test_garbage_is_refused(lines: list[bytes]) -> None:
    """No bytes make the verifier fail in another way."""
    report = verified([*header(), *lines], is_open=True)
    assert report.entries == 0
    assert not report.closed


def test_the_number_of_problems_is_bounded(log: list[bytes]) -> None:
    """A log that is all wrong doesn't fill the screen."""
    assert len(verified(log + [b"what"] * 500).problems) == 50


def test_entries_that_are_not_canonical(log: list[bytes]) -> None:
    """The same JSON with a space in it is another entry, and none that Moat writes."""
    at = entry_lines(log)[3]
    line, _, private = log[at][6:].partition(b"\t")
    log[at] = b"entry " + json.dumps(json.loads(line)).encode() + b"\t" + private
    assert "format" in codes(verified(log))


@pytest.mark.parametrize(
    "private",
    [
        b'{"data":{"commits":{"a":' + b"[" * 100_000 + b"}}}",
        b'{"data":{"commits":{}',
        b'{"data":[],"x":{"commits":{}}}',
        b'{"data":{"commits":{},"void":3}}',
        b'{"data":3,"x":{"commits":{}}}',
    ],
)
def test_a_content_that_only_an_enemy_writes(private: bytes) -> None:
    """Its hash fits, and it is nothing that can be read: a problem, not a failure."""
    line = entry(
        run=RUN,
        seq=0,
        prev="0" * 64,
        time="2027-01-15T08:00:00.010Z",
        kind="run_created",
        private=private,
    )
    assert codes(verified([*header(), b"entry " + line + b"\t" + private], is_open=True)) == {
        "format"
    }
