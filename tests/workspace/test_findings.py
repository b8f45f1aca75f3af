"""The findings of a clean-up, as lines for people and as the file that programs read.

`corpus` has a report of each version, which is read for ever. Its files never change.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from moat.workspace import findings
from moat.workspace.findings import MAX_SAVED, Finding, Report

CORPUS = Path(__file__).parent / "corpus"

NEWEST = Report(
    [
        Finding("/srv/app", "lib/.git/config", "quarantined", "took out x.y", "git", "names y"),
        Finding("/srv/app", "a", "cleared", "setgid", "the kernel", "lends rights"),
        Finding("/srv/app", "b", "left", "", "direnv", "is run"),
        Finding("/srv/app", "", "unchecked", "has too many folders"),
    ],
    7,
)
EXPECTED = {"findings-1.json": NEWEST}


@pytest.mark.parametrize("name", EXPECTED)
def test_a_report_of_an_earlier_version_is_read(name: str) -> None:
    """A user asks for it long after the run, with the Moat of that day."""
    assert findings.loads((CORPUS / name).read_text()) == EXPECTED[name]


def test_the_newest_report_is_what_is_written_today() -> None:
    """A change of the form makes another file of the corpus."""
    assert (CORPUS / f"findings-{findings.VERSION}.json").read_text() == NEWEST.dumps()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": 2, "findings": [], "more": 0}'])
def test_what_is_no_report_is_refused(text: str) -> None:
    """A later version may mean something else by the same words."""
    with pytest.raises(ValueError):
        findings.loads(text)


def test_findings_of_the_same_kind_share_a_line() -> None:
    """A person is to read the lines at the end of a run."""
    assert NEWEST.lines() == [
        "/srv/app/lib/.git/config: took out x.y",
        "/srv/app: taken off: a (setgid)",
        "/srv/app: new or changed, and obeyed unasked: b (direnv)",
        "/srv/app has too many folders",
    ]
    assert NEWEST.lines("cleared") == ["/srv/app: taken off: a (setgid)"]


def test_each_folder_has_lines_of_its_own() -> None:
    """Mounts of the user's are looked at as well."""
    report = Report([Finding(root, "b", "left", "", "direnv") for root in ("/a", "/c")])
    assert [line.partition(":")[0] for line in report.lines()] == ["/a", "/c"]


def test_lines_and_files_are_bounded() -> None:
    """A hostile run can cause any number of findings."""
    many = [Finding("/a", str(i), "quarantined", "x") for i in range(MAX_SAVED + 5)]
    report = Report([*many, *(Finding("/a", str(i), "left", "", "x") for i in range(12))])
    lines = report.lines()
    assert len(lines) == 101
    assert lines[-1] == f"and {MAX_SAVED + 6 - 100} more"
    (left,) = report.lines("left")
    assert left.endswith("9 (x) and 2 more")
    saved = findings.loads(report.dumps())
    assert (len(saved.findings), saved.more) == (MAX_SAVED, 17)


def test_names_can_not_steer_a_terminal() -> None:
    """The run chose them."""
    report = Report([Finding("/a", "b\x1b]0;x\n\udcff", "quarantined", "x")])
    assert report.lines() == ["/a/b?]0;x??: x"]
