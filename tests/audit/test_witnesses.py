"""What the verifier makes of the signatures of witnesses."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import pytest
from tests.audit.logs import OURS, codes, verified, write
from tests.audit.test_verifier import checkpoints, note
from tests.audit.witnesses import TIME, Cosigner, cosigned

from moat.audit.bundle import bundle, proofs
from moat.audit.cosignatures import Cosignature, Cosignatures
from moat.audit.proofs import Witness
from moat.paths import RunFolder

if TYPE_CHECKING:
    from pathlib import Path

FIRST, SECOND = Cosigner(), Cosigner("witness.example/w2", b"\4" * 32)
KNOWN = [FIRST.witness, SECOND.witness]


@pytest.fixture
def log(tmp_path: Path) -> list[bytes]:
    return write(tmp_path)


def sign(log: list[bytes], number: int, *cosigners: Cosigner) -> None:
    at = checkpoints(log)[number]
    log[at] = cosigned(log[at], *(each.line(note(log[at])) for each in cosigners))


def test_what_witnesses_have_seen(log: list[bytes]) -> None:
    """Each with the largest checkpoint that it has signed, and the time that it says."""
    sign(log, 0, FIRST, SECOND)
    sign(log, 1, FIRST)
    report = verified(log, witnesses=KNOWN)
    assert not report.problems
    assert [(each.name, each.size) for each in report.seen] == [
        ("witness.example/w1", 10),
        ("witness.example/w2", 6),
    ]
    assert report.seen[0].time == "2027-01-15T08:01:40Z"
    assert not report.unseen


def test_signatures_of_strangers_are_passed_over(log: list[bytes]) -> None:
    """Whoever is not named is no witness."""
    sign(log, 0, FIRST, SECOND)
    report = verified(log, witnesses=[SECOND.witness])
    assert not report.problems
    assert [each.name for each in report.seen] == ["witness.example/w2"]
    assert verified(log).seen == []


def test_a_witness_that_must_have_seen_it(log: list[bytes]) -> None:
    """Its signature may have been cut out, with a fork behind that."""
    sign(log, 0, FIRST)
    assert verified(log, witnesses=KNOWN).unseen == ["witness.example/w2"]
    report = verified(log, witnesses=KNOWN, must_be_seen=True)
    assert codes(report) == {"witness"}
    assert "witness.example/w2" in report.problems[0].text


@pytest.mark.parametrize("time", [0, 1 << 63])
def test_a_signature_without_a_time(log: list[bytes], time: int) -> None:
    """The specification demands one, and a time that nobody can read is none."""
    at = checkpoints(log)[0]
    log[at] = cosigned(log[at], FIRST.line(note(log[at]), time))
    assert codes(verified(log, witnesses=KNOWN)) == {"witness"}


def test_a_forged_signature(log: list[bytes]) -> None:
    """It bears the name of a witness, and is of another checkpoint: nobody passes over that."""
    first, second = checkpoints(log)[:2]
    log[first] = cosigned(log[first], FIRST.line(note(log[second])))
    report = verified(log, witnesses=KNOWN)
    assert codes(report) == {"witness"}
    assert "the cosignature of witness.example/w1 is not genuine" in report.problems[0].text


def test_a_short_signature(log: list[bytes]) -> None:
    """Half a signature is none."""
    at = checkpoints(log)[0]
    short = base64.b64encode(FIRST.witness.id + b"\0" * 5).decode()
    log[at] = cosigned(log[at], f"\u2014 {FIRST.witness.name} {short}")
    assert codes(verified(log, witnesses=KNOWN)) == {"witness"}


def test_a_fork_that_another_key_has_signed(log: list[bytes], tmp_path: Path) -> None:
    """What a witness has signed of the one is no signature of the other."""
    (tmp_path / "other").mkdir()
    forged = write(tmp_path / "other")
    sign(log, 2, FIRST)
    stolen = note(log[checkpoints(log)[2]]).splitlines()[-1]
    forged[-1] = cosigned(forged[-1], stolen)
    assert codes(verified(forged, witnesses=KNOWN)) == {"witness"}


# --- verifier keys ---


def test_a_verifier_key() -> None:
    """It has the form that Go's note package reads."""
    assert Witness.parse(FIRST.vkey) == FIRST.witness


@pytest.mark.parametrize(
    "text",
    [
        "",
        "witness.example",
        FIRST.vkey[:-4],
        FIRST.vkey.replace("w1", "w2"),
        FIRST.vkey.replace("witness", "wit ness"),
        "x+00000000+!!!!",
        # A key that signs logs (type 1), not one of a witness.
        "moat/0123456789ab+2a3b4c5d+" + base64.b64encode(b"\1" + bytes(32)).decode(),
    ],
)
def test_what_is_no_verifier_key(text: str) -> None:
    """A wrong hash most of all: then the key was not copied as it is."""
    with pytest.raises(ValueError):
        Witness.parse(text)


# --- stored with the run ---


def test_bundles_have_the_signatures(tmp_path: Path) -> None:
    """In the notes, where every program that knows signed notes finds them; so has a single entry."""
    folder = RunFolder(tmp_path / "0123456789ab")
    folder.root.mkdir()
    lines = write(folder.root)
    stored = Cosignatures()
    for at in checkpoints(lines):
        text = note(lines[at])
        stored.lines.append(Cosignature(int(text.split("\n")[1]), FIRST.line(text)))
    stored.save(folder.cosignatures)
    loaded = Cosignatures.load(folder.cosignatures)
    assert loaded == stored
    whole = list(bundle(folder, lambda _: None))[:-1]
    single = list(proofs(folder.audit, [2], loaded.by_size()))[:-1]
    for content in (whole, single):
        report = verified(content, witnesses=KNOWN, trusted={OURS.public})
        assert not report.problems
        assert [(each.name, each.size) for each in report.seen] == [("witness.example/w1", 11)]
    assert TIME == 1_800_000_100


def test_cosignatures_are_bounded(tmp_path: Path) -> None:
    """The newest ones are kept."""
    stored = Cosignatures([Cosignature(each, "\u2014 x y") for each in range(1500)])
    stored.save(tmp_path / "x")
    assert [each.size for each in Cosignatures.load(tmp_path / "x").lines] == list(range(500, 1500))
