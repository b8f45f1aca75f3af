"""The frozen bundles, and the verdict that each must get from every implementation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from tests.audit.javascript import verified_twice
from tests.audit.logs import RUN, write
from tests.audit.witnesses import Cosigner

from moat.audit.bundle import bundle
from moat.paths import RunFolder

if TYPE_CHECKING:
    from moat.audit.report import Report

FOLDER: Final = Path(__file__).parent / "vectors"
BUNDLES: Final = sorted(FOLDER.glob("*.bundle"))


def report_of(path: Path, **options: Any) -> Report:
    return verified_twice(path.read_bytes().splitlines(), **options)


def codes_of(path: Path) -> set[str]:
    """Return the problems of a bundle for somebody who knows the witness of the vectors."""
    report = report_of(path, witnesses=[Cosigner().witness])
    return {each.code for each in report.problems}


@pytest.mark.parametrize("path", BUNDLES, ids=[each.stem for each in BUNDLES])
def test_each_bundle_gets_its_verdict(path: Path) -> None:
    """Genuine ones are, and each attack is named as it always was."""
    expected = json.loads((FOLDER / "verdicts.json").read_text())["problems"]
    assert sorted(codes_of(path)) == expected[path.stem]


def test_the_genuine_ones() -> None:
    """With the key that the vectors name; and all verdicts have their bundle."""
    verdicts = json.loads((FOLDER / "verdicts.json").read_text())
    assert set(verdicts["problems"]) == {each.stem for each in BUNDLES}
    assert verdicts["witness"] == Cosigner().vkey
    for name in ("genuine", "redacted", "two-entries", "witnessed"):
        report = report_of(FOLDER / f"{name}.bundle", trusted={bytes.fromhex(verdicts["key"])})
        assert report.problems == []
        assert report.trusted
    whole = report_of(FOLDER / "genuine.bundle")
    assert whole.closed
    assert (whole.entries, whole.signed, whole.absent) == (7, 7, 1)
    assert set(whole.files) == {"spec.json", "requests/0", "journal/main/00000000.stdout"}
    assert all(whole.files.values())
    assert report_of(FOLDER / "redacted.bundle").redacted == 6
    assert report_of(FOLDER / "two-entries.bundle").proved == [1, 4]


def test_the_witnessed_one() -> None:
    """The witness has signed twice; of a fork, it would have signed one of them."""
    report = report_of(
        FOLDER / "witnessed.bundle", witnesses=[Cosigner().witness], must_be_seen=True
    )
    assert report.problems == []
    assert report.seen == [("witness.example/w1", 7, "2027-01-15T08:02:40Z")]
    genuine = report_of(FOLDER / "genuine.bundle", witnesses=[Cosigner().witness])
    assert genuine.unseen == ["witness.example/w1"]


def test_a_changed_log_names_no_file_of_the_host(tmp_path: Path) -> None:
    """Who can write a log has neither other files nor endless rows put into a bundle of it."""
    (tmp_path / "secret").write_text("the host's")
    folder = RunFolder(tmp_path / "runs" / RUN)
    folder.root.mkdir(parents=True)
    write(folder.root)
    (folder.root / "spec.json").write_text("{}")
    text = folder.audit.read_bytes()
    for data in (
        b'{"commits":{"../../secret":"","requests/0":""},"ids":[[0,5]]}',
        b'{"commits":{"requests/0":""},"ids":[["x",null]]}',
        b'[{"commits":{}}]',
        b'"commits":{',
    ):
        changed = text.splitlines()
        at = next(at for at, line in enumerate(changed) if b'"size":3' in line)
        changed[at] = changed[at].partition(b"\t")[0] + b'\t{"data":' + data + b"}"
        folder.audit.write_bytes(b"\n".join(changed) + b"\n")
        files = [line for line in bundle(folder, lambda _: None) if line.startswith(b"file ")]
        assert files == [b"file spec.json"]
