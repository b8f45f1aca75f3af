"""A run as one file: exported, destroyed, imported, and looked at elsewhere."""

from __future__ import annotations

import json
import zipfile
from typing import TYPE_CHECKING, Any

import pytest
from tests.e2e.conftest import Moat

if TYPE_CHECKING:
    from pathlib import Path

SCRIPT = "printf 'hello\\n'; echo new > new.txt; curl -s http://closed.test/ >/dev/null; exit 3"
TOKEN = "hunter2-of-the-user"


@pytest.fixture
def other(tmp_path: Path) -> Moat:
    """The command with a store of another machine."""
    (tmp_path / "other").mkdir()
    return Moat(tmp_path / "other" / "home")


def test_a_run_is_looked_at_on_another_machine(moat: Any, other: Any, tmp_path: Path) -> None:
    """Its output, requests, changes and audit log are there, and nothing of a credential is."""
    run = ("run", "-n", "fix", "--env", f"TOKEN={TOKEN}", "--deny", "closed.test")
    assert moat(*run, "--", "sh", "-c", SCRIPT).returncode == 3
    file = tmp_path / "fix.zip"
    assert "masked" in moat("export", "fix", "-o", file).stderr
    assert oct(file.stat().st_mode & 0o777) == "0o600"
    with zipfile.ZipFile(file) as archive:
        content = b"".join(map(archive.read, archive.namelist()))
    assert TOKEN.encode() not in content
    assert b"PRIVATE KEY" not in content
    assert moat("export", "fix", "-o", file).returncode == 2, "a file that is there is not replaced"

    assert "fix: imported as" in other.ok("import", file)
    [listed] = json.loads(other.ok("list", "-a", "--json"))
    assert (listed["state"], listed["exit_code"]) == ("stopped", 3)
    assert listed["imported_at"]
    assert "stopped (3), imported" in other.ok("list", "-a")
    for command in (
        ("logs", "fix"),
        ("replay", "fix", "--speed", "0"),
        ("trace", "fix", "--json"),
        ("trace", "fix", "--har"),
        ("trace", "fix", "--summary"),
        ("events", "fix", "--json"),
        ("audit", "fix", "--json"),
        ("diff", "fix"),
    ):
        assert other.ok(*command) == moat.ok(*command), command
    attached = other("attach", "fix")
    assert (attached.returncode, attached.stdout) == (3, "hello\n")
    assert other("wait", "fix").stdout == "3\n"
    report = json.loads(other.ok("audit", "fix", "--verify", "--json"))
    assert report["genuine"]
    assert not report["trusted"], "another machine's key has signed it"
    assert json.loads(moat.ok("audit", "fix", "--verify", "--json"))["trusted"]
    other.ok("report", "fix", "-o", tmp_path / "fix.html")
    other.ok("audit", "export", "fix", "-o", tmp_path / "fix.bundle")
    other.ok("audit", "verify", tmp_path / "fix.bundle")


def test_nothing_here_obeys_an_imported_run(moat: Any, other: Any, tmp_path: Path) -> None:
    """Neither its folders, nor its policy, nor a supervisor, also after the index was rebuilt."""
    moat.ok("run", "-n", "fix", "--", "sh", "-c", "echo new > new.txt")
    moat.ok("export", "fix", "-o", tmp_path / "fix.zip")
    other.ok("import", tmp_path / "fix.zip", "--name", "theirs")
    before = (moat.workspace / "new.txt").read_text()
    for command in (
        ("restore", "theirs", "-y"),
        ("apply", "theirs", "-y"),
        ("snapshot", "theirs"),
        ("allow", "theirs", "a.test", "--always"),
    ):
        done = other(*command)
        assert done.returncode == 125, command
        assert "was imported" in done.stderr, command
    other.ok("doctor", "--rebuild-index")
    assert other("exec", "fix", "--", "true").returncode == 125
    assert [each["state"] for each in json.loads(other.ok("list", "-a", "--json"))] == ["stopped"]
    assert (moat.workspace / "new.txt").read_text() == before
    other.ok("destroy", "fix")
    assert list((other.home / "runs").iterdir()) == []


def test_a_destroyed_run_comes_back(moat: Any, tmp_path: Path) -> None:
    """On the machine where it was, whose key has signed it."""
    moat.ok("run", "-n", "fix", "--", "echo", "hello")
    moat.ok("export", "fix", "-o", tmp_path / "fix.zip")
    refused = moat("import", tmp_path / "fix.zip")
    assert "in the store already" in refused.stderr
    moat.ok("destroy", "fix")
    moat.ok("import", tmp_path / "fix.zip")
    assert moat.ok("logs", "fix") == "hello\n"
    report = json.loads(moat.ok("audit", "fix", "--verify", "--json"))
    assert (report["genuine"], report["trusted"]) == (True, True)
    assert report["files"]["spec.json"], (
        "nothing had to be masked, so it is what the log commits to"
    )


def test_other_forms_are_what_other_commands_print(moat: Any, tmp_path: Path) -> None:
    """One command exports, whatever the form, and a running run as well where that can be."""
    moat.ok("run", "-d", "-n", "fix", "--", "sh", "-c", "echo hello; exec sleep 1000")
    moat.ok("wait", "fix", "--text", "hello")
    moat.ok("export", "fix", "--cast", "-o", tmp_path / "fix.cast")
    assert (tmp_path / "fix.cast").read_text() == moat.ok("replay", "fix", "--cast")
    refused = moat("export", "fix", "-o", tmp_path / "fix.zip")
    assert "only one that has ended" in refused.stderr
    assert not (tmp_path / "fix.zip").exists()
    assert moat("export", "fix", "--cast", "--har", "-o", tmp_path / "x").returncode == 2
    moat.ok("kill", "fix")
    moat.ok("export", "fix", "--har", "-o", tmp_path / "fix.har")
    assert (tmp_path / "fix.har").read_text() == moat.ok("trace", "fix", "--har")


def test_a_file_that_is_no_run_is_refused(moat: Any, tmp_path: Path) -> None:
    """In one line, and nothing is left of it."""
    (tmp_path / "x.zip").write_bytes(b"PK\x05\x06" + bytes(18))
    done = moat("import", tmp_path / "x.zip")
    assert done.returncode == 2
    assert done.stderr.splitlines()[0].endswith("can't be imported: it has no spec.json")
    assert moat.ok("list", "-a", "--json") == "[]\n"
