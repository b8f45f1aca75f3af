"""The words of `moat audit`."""

from __future__ import annotations

from typing import Any

import pytest

from moat.audit.cosignatures import Attempt
from moat.audit.report import Problem, Report, Seen
from moat.cli.audit_text import timeline_line, verdict, witness_line

KEY = bytes(32)


def line(event: str, data: Any) -> str:
    return timeline_line({"time": "T", "seq": 7, "event": event, "data": data})


@pytest.mark.parametrize(
    ("event", "data", "words"),
    [
        ("run_created", {"name": "x", "command": ["a", "b"], "workspace": "/w"}, "x: a b in /w"),
        (
            "run_created",
            {"name": "x", "state": "running", "command": ["a"], "workspace": "/w"},
            "x (running already): a in /w",
        ),
        ("log_continued", {"torn": None}, "by a new supervisor"),
        (
            "log_continued",
            {"torn": {"bytes": 9}},
            "by a new supervisor; the last one was killed over an entry (9 bytes)",
        ),
        ("log_closed", {}, "nothing follows"),
        ("requests", {"count": 3}, "3 rows of the traffic record"),
        ("journal_closed", {"session": "main", "segment": 0}, "main, segment 0"),
        ("signing_key", {"public": "ab" * 32}, "abababababababab… signs from here on"),
        ("gap", {"missed": 4}, "4 entries could not be written"),
        ("fault", {"part": "disk", "detail": "full"}, "disk: full"),
        ("fault", None, "(redacted)"),
    ],
)
def test_a_line_of_the_timeline(event: str, data: Any, words: str) -> None:
    """Time, number, kind, and what it says."""
    assert line(event, data) == f"T      7  {event:<18}  {words}"


def test_a_genuine_log() -> None:
    """What is proven comes first, and what nothing can prove is said all the same."""
    files = {"spec.json": True, "stray": False}
    report = Report(
        "r", entries=9, checkpoints=1, signed=9, closed=True, keys=[KEY], trusted=True, files=files
    )
    lines = list(verdict(report))
    assert lines[:2] == ["run r: 9 entries", "proven:"]
    text = "\n".join(lines)
    assert "the first 9 entries are what 66687aadf862bd776c8fc18b8e9f8e20 has signed" in text
    assert "that key is the one that you named" in text
    assert "entry 8 closes it" in text
    assert "1 files" in text
    assert "files to which only unsigned entries commit: stray" in text
    assert text.index("not proven:") < text.index("that the machine told the truth")


def test_a_log_that_is_open_unsigned_and_redacted() -> None:
    """Each thing that is missing has its line."""
    report = Report("r", entries=9, redacted=2, absent=3, remarks=["the clock went back"])
    text = "\n".join(verdict(report))
    assert "each entry follows on the one before it" in text
    assert "the last 9 entries are not signed yet" in text
    assert "whose key it is" in text
    assert "the log is not closed" in text
    assert "what 2 entries say" in text
    assert "3 files that the log commits to" in text
    assert text.endswith("worth a look:\n  - the clock went back")


def test_single_entries() -> None:
    """Nothing is said of the log as a whole."""
    text = "\n".join(verdict(Report("r", signed=20, proved=[2, 5], keys=[KEY])))
    assert "entries 2, 5 are in the log of 20 entries that 66687aadf862bd776c8fc18b8e9f8e20" in text
    assert "the log is not closed" not in text


def test_a_log_that_is_not_genuine() -> None:
    """That comes first, and nothing counts as proven."""
    report = Report("r", problems=[Problem("chain", "one"), Problem("root", "two")])
    lines = list(verdict(report))
    assert lines[:2] == ["NOT GENUINE: one", "             two"]
    assert "proven:" not in lines


# --- witnesses ---


@pytest.mark.parametrize(
    ("attempt", "words"),
    [
        (Attempt("T", 7), "T  w.example has seen the first 7 entries"),
        (Attempt("T", 7, "why"), "T  w.example has seen the first 7 entries; why"),
        (Attempt("T", 0, "why"), "T  w.example: nothing seen; why"),
    ],
)
def test_a_line_for_a_witness(attempt: Attempt, words: str) -> None:
    """What it has seen, and why not all."""
    assert witness_line("w.example+12345678+AAAA", attempt) == words


def test_the_verdict_says_what_witnesses_have_seen() -> None:
    """What that excludes, what it doesn't, and who has seen nothing."""
    seen = [Seen("w1", 5, "T1"), Seen("w2", 8, "T2")]
    report = Report("r", entries=10, signed=10, checkpoints=2, keys=[KEY], seen=seen, unseen=["w3"])
    lines = "\n".join(verdict(report))
    assert "w1 saw the first 5 entries by T1" in lines
    assert "that the last 2 entries are the only ones: no witness has seen them" in lines
    assert "that a witness is honest" in lines
    assert "that w3 has seen it" in lines
    assert "no second log" not in lines
    assert "that there is no second log of this run" in "\n".join(verdict(Report("r", entries=1)))
