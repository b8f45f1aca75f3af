"""Checkpoints at a real witness: what it signs, what it refuses, and that no run waits for it."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest
from tests.audit.logs import entry_lines
from tests.e2e.test_audit import log_of
from tests.witness import NAME, Witness

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.conftest import Moat


@pytest.fixture
def witness(moat: Moat, moat_home: Path) -> Iterator[Witness]:
    """A witness that the settings name."""
    with Witness(moat_home.parent / "w") as running:
        use(moat, running)
        yield running


def use(moat: Moat, *running: Witness) -> None:
    moat.write_settings(
        json.dumps(
            {
                "audit": {"witness": [{"url": each.url, "key": each.key} for each in running]},
                "network": {"upstream_ca": str(running[0].certificate)},
            }
        )
    )


def asked(moat: Moat, run: str = "x", *, code: int = 0) -> dict[str, Any]:
    """What became of a submission."""
    done = moat("audit", "witness", run, "--json")
    assert done.returncode == code, done.stdout + done.stderr
    return json.loads(done.stdout)[0]


def begun(moat: Moat) -> None:
    """A run that has ended, of which the witness knew nothing."""
    moat.ok("run", "-n", "x", "--", "true")


def learned(moat: Moat, witness: Witness) -> dict[str, Any]:
    witness.learn(moat.ok("audit", "witness", "x", "--log-list"))
    return asked(moat)


def test_a_run_that_a_witness_has_seen(moat: Moat, witness: Witness, tmp_path: Path) -> None:
    """Its signature is in the log's verdict and in bundles, whole, redacted and of one entry."""
    begun(moat)
    unknown = asked(moat, code=1)
    assert unknown["problem"] == "it does not know the log (status 404)"
    assert unknown["seen"] == 0
    seen = learned(moat, witness)
    report = json.loads(moat.ok("audit", "x", "--verify", "--json"))
    assert seen["seen"] == report["entries"] == report["signed"]
    assert [(each["name"], each["size"]) for each in report["seen"]] == [(NAME, seen["seen"])]
    assert f"{NAME} has seen the first {seen['seen']} entries" in moat.ok("audit", "x")
    for number, options in enumerate(([], ["--redact"], ["--entry", "2"])):
        path = tmp_path / f"{number}.bundle"
        moat.ok("audit", "export", "x", "-o", path, *options)
        said = moat.ok("audit", "verify", path, "--witness", witness.key)
        assert f"{NAME} saw the first {seen['seen']} entries by 20" in said
    assert list((moat.home / "unwitnessed").iterdir()) == []
    before = len(witness.requests)
    asked(moat)
    assert len(witness.requests) == before, "there is nothing to submit"


def test_the_run_itself_submits_at_its_end(moat: Moat, witness: Witness) -> None:
    """In the background, without anybody's asking; and a living one, whenever it is asked."""
    came = threading.Event()

    def noted(_: bytes) -> None:
        came.set()

    witness.instead = noted
    moat.ok("run", "-id", "-n", "x", "--", "bash", "-c", "read line")
    witness.learn(moat.ok("audit", "witness", "x", "--log-list"))
    moat.ok("send", "x", "go\n")
    moat.ok("wait", "x", "--exit")
    assert came.wait(60)
    report = asked(moat)
    whole = json.loads(moat.ok("audit", "x", "--verify", "--json"))
    assert report["seen"] == whole["entries"]
    assert witness.answers[-1] == 200


def test_a_log_that_grows(moat: Moat, witness: Witness) -> None:
    """The second submission proves that the first tree is the beginning of the second one."""
    moat.ok("run", "-id", "-n", "x", "--", "bash", "-c", "read line; read line")
    witness.learn(moat.ok("audit", "witness", "x", "--log-list"))
    first = until_seen(moat, 1)
    moat.ok("send", "x", "go\n")
    second = until_seen(moat, first + 1)
    assert second > first
    # What is known here of the witness is gone: it says itself what it has, and gets a proof from there.
    (log_of(moat).parent / "cosignatures.json").unlink()
    moat.ok("send", "x", "go\n")
    moat.ok("wait", "x", "--exit")
    moat.ok("audit", "x", "--verify")  # waits for the end of the log
    third = asked(moat)["seen"]
    assert third > second
    assert 409 in witness.answers


def until_seen(moat: Moat, least: int) -> int:
    """Submit until the witness has seen so much: a checkpoint takes up to ten seconds."""
    while True:
        seen: int = json.loads(moat("audit", "witness", "x", "--json").stdout)[0]["seen"]
        if seen >= least:
            return seen
        moat("wait", "x", "--exit", "--timeout", "1")


def test_a_witness_that_is_not_there(moat: Moat, witness: Witness) -> None:
    """The run ends as ever; what waits is submitted by a later command once the witness is back."""
    url, key = witness.url, witness.key
    settings = {"url": "https://localhost:9", "key": key}
    network = {"upstream_ca": str(witness.certificate)}
    moat.write_settings(json.dumps({"audit": {"witness": [settings]}, "network": network}))
    moat.ok("run", "-n", "x", "--", "true")
    assert "can't be reached" in asked(moat, code=1)["problem"]
    assert [each.name for each in (moat.home / "unwitnessed").iterdir()] == [
        log_of(moat).parent.name
    ]
    witness.learn(moat.ok("audit", "witness", "x", "--log-list"))
    settings["url"] = url
    moat.write_settings(json.dumps({"audit": {"witness": [settings]}, "network": network}))
    came = threading.Event()
    witness.instead = lambda body: came.set() if b"moat/" in body else None
    moat.ok("run", "-n", "y", "--", "true")
    assert came.wait(60)
    assert asked(moat)["problem"] is None


def test_a_pass_forgets_no_run(moat: Moat, witness: Witness) -> None:
    """Of two runs that a dead witness has not seen, neither leaves the queue."""
    settings = {"url": "https://localhost:9", "key": witness.key}
    moat.write_settings(json.dumps({"audit": {"witness": [settings]}}))
    for name in ("x", "y"):
        moat.ok("run", "-n", name, "--", "true")
        asked(moat, name, code=1)
    queue = moat.home / "unwitnessed"
    command = [sys.executable, "-I", "-m", "moat.client.witness", str(moat.home)]
    subprocess.run(command, check=True)
    assert {each.name for each in queue.iterdir()} == {
        log_of(moat, name).parent.name for name in ("x", "y")
    }


def test_a_witness_that_hangs_holds_nobody_up(moat: Moat, witness: Witness) -> None:
    """The run is over and can be read while the witness still has the question."""
    over, came = threading.Event(), threading.Event()

    def hang(_: bytes) -> tuple[int, bytes]:
        came.set()
        over.wait(60)
        return 200, b""

    witness.instead = hang
    try:
        moat.ok("run", "-n", "x", "--", "true")
        moat.ok("audit", "x", "--verify")
        assert came.wait(60)
        assert not witness.answers
        assert moat.inspect("x")["state"] == "stopped"
    finally:
        over.set()
    asked(moat, code=1)  # and the process in the background is gone


@pytest.mark.parametrize(
    ("status", "body", "why"),
    [
        (200, b"", "no signature of its key"),
        (200, b"x" * 100_000, "too long"),
        (200, b"x" * 3_000_000, "no signature of its key"),
        (200, f"\u2014 {NAME} {base64.b64encode(bytes(76)).decode()}\n".encode(), "no signature"),
        (409, b"999\n", "it has seen 999 entries, and here are"),
        (409, b"lies\n", "which size it knows"),
        (409, b"1\n", "it refuses the checkpoint (status 409)"),
        (403, b"", "it does not know the key"),
        (422, b"", "not the one that it has seen"),
        (302, b"", "it refuses the checkpoint (status 302)"),
        (500, b"", "it refuses the checkpoint (status 500)"),
    ],
)
def test_a_witness_that_lies(
    moat: Moat, witness: Witness, status: int, body: bytes, why: str
) -> None:
    """Nothing that it says is stored but that it was of no use, and the log stays genuine."""
    witness.instead = lambda _: (status, body)
    begun(moat)
    assert why in asked(moat, code=1)["problem"]
    report = json.loads(moat.ok("audit", "x", "--verify", "--json"))
    assert report["seen"] == []
    assert report["unseen"] == [NAME]


def test_signatures_of_another_checkpoint(moat: Moat, witness: Witness) -> None:
    """A genuine signature of the witness, of another run's log, is refused."""
    begun(moat)
    learned(moat, witness)
    moat.ok("run", "-n", "y", "--", "true")
    stored = json.loads((log_of(moat).parent / "cosignatures.json").read_text())
    stolen = stored["lines"][0]["line"]
    witness.instead = lambda _: (200, f"{stolen}\n".encode())
    assert "is not genuine" in asked(moat, "y", code=1)["problem"]


def test_a_second_history_gets_no_signature(moat: Moat, witness: Witness, tmp_path: Path) -> None:
    """Whoever has the key, and writes another log of the run, finds that the witness refuses it."""
    begun(moat)
    learned(moat, witness)
    path = log_of(moat)
    lines = path.read_bytes().splitlines()
    forged = rewritten(moat, path, lines)
    path.write_bytes(forged)
    (path.parent / "cosignatures.json").unlink()
    assert "not the one that it has seen" in asked(moat, code=1)["problem"]
    moat.ok("audit", "export", "x", "-o", tmp_path / "forged")
    assert moat("audit", "verify", tmp_path / "forged").returncode == 0, "the key has signed it"
    done = moat("audit", "verify", tmp_path / "forged", "--witness", witness.key)
    assert done.returncode == 1
    assert f"NOT GENUINE: {NAME} has seen none of it" in done.stdout


def rewritten(moat: Moat, path: Path, lines: list[bytes]) -> bytes:
    """The log as somebody writes it anew who has the key: with another content in its second entry."""
    from moat.audit.log import AuditLog  # noqa: PLC0415
    from moat.audit.signing_key import SigningKeys  # noqa: PLC0415

    signer = SigningKeys(moat.home).current()
    fake = path.parent / "fake"
    log = AuditLog(fake, path.parent / "head", path.parent.name, lambda: 1_800_000_000.0)
    for number, at in enumerate(entry_lines(lines)):
        public, _, private = lines[at][6:].partition(b"\t")
        kind, data = json.loads(public)["kind"], json.loads(private)["data"]
        if kind == "signing_key":
            log.introduce(signer)
        else:
            log.append(kind, data | ({"forged": True} if number == 1 else {}))
    log.checkpoint(signer)
    log.close()
    content = fake.read_bytes()
    for each in (fake, path.parent / "head"):
        each.unlink()
    return content
