"""The statement of a real run, read by in-toto's own libraries."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import TYPE_CHECKING, Any

from securesystemslib.dsse import Envelope
from tests.audit.test_statement import key
from tests.e2e.test_audit import log_of

from moat.audit.proofs import read_checkpoint

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.conftest import Moat


def opened(moat: Moat, path: Path) -> dict[str, Any]:
    """The statement in a file, signed by the installation's key."""
    envelope = Envelope.from_dict(json.loads(path.read_text()))
    (known,) = json.loads(moat.ok("audit", "key", "show", "--json"))
    assert envelope.verify([key(bytes.fromhex(known["public"]))], threshold=1)
    return json.loads(envelope.payload)


def line(mode: str, content: bytes, path: str) -> bytes:
    return f"{mode} {hashlib.sha256(content).hexdigest()}  {path}\n".encode()


def test_what_a_run_did_to_its_workspace(moat: Moat, tmp_path: Path) -> None:
    """Digests of before and after that anybody can compute, the files between, and the log."""
    (moat.workspace / "kept").write_bytes(b"kept\n")
    (moat.workspace / "old").write_bytes(b"old\n")
    script = "rm old; printf new > new; chmod +x new; ln -s new link"
    moat.ok("run", "-n", "x", "--", "bash", "-c", script)
    path = tmp_path / "x.intoto.json"
    moat.ok("audit", "statement", "x", "-o", path)
    content = opened(moat, path)
    definition = content["predicate"]["buildDefinition"]
    details = content["predicate"]["runDetails"]
    before = line("100644", b"kept\n", "kept") + line("100644", b"old\n", "old")
    after = (
        line("100644", b"kept\n", "kept")
        + line("120000", b"new", "link")
        + line("100755", b"new", "new")
    )
    trees = {
        each["name"]: each for each in definition["resolvedDependencies"] + details["byproducts"]
    }
    assert trees["workspace at the start"]["digest"] == {
        "moatTree": hashlib.sha256(before).hexdigest()
    }
    assert trees["workspace at the end"]["digest"] == {
        "moatTree": hashlib.sha256(after).hexdigest()
    }
    subjects = {each["name"]: each["digest"]["sha256"] for each in content["subject"]}
    assert subjects["new"] == hashlib.sha256(b"new").hexdigest()
    assert definition["externalParameters"]["command"] == ["bash", "-c", script]
    note = base64.b64decode(trees["checkpoint"]["content"]).decode()
    assert read_checkpoint(note).root.hex() == subjects[read_checkpoint(note).origin]
    assert trees["checkpoint"]["annotations"] == {"closed": True, "exitCode": 0}
    # The note is one by which a bundle of the run can be told from a fork.
    (tmp_path / "note").write_text(note)
    moat.ok("audit", "export", "x", "-o", tmp_path / "bundle")
    moat.ok("audit", "verify", tmp_path / "bundle", "--checkpoint", tmp_path / "note")


def test_redacted(moat: Moat, tmp_path: Path) -> None:
    """Nothing that the user has written is in it."""
    moat.ok("run", "-n", "x", "--", "bash", "-c", "echo secret-word > secret-file")
    moat.ok("audit", "statement", "x", "--redact", "-o", tmp_path / "x")
    text = json.dumps(opened(moat, tmp_path / "x"))
    assert "secret" not in text
    assert str(moat.workspace) not in text


def test_what_is_not_vouched_for(moat: Moat, tmp_path: Path) -> None:
    """A run that is alive, and one whose log was changed: nothing is signed, and no file made."""
    moat.ok("run", "-id", "-n", "x", "--", "bash", "-c", "read line")
    done = moat("audit", "statement", "x", "-o", tmp_path / "x")
    assert done.returncode == 2
    assert "has not ended" in done.stderr
    moat.ok("send", "x", "go\n")
    moat.ok("wait", "x", "--exit")
    moat.ok("audit", "x", "--verify")
    path = log_of(moat)
    path.write_bytes(path.read_bytes().replace(b'"uid":', b'"uod":'))
    done = moat("audit", "statement", "x", "-o", tmp_path / "x")
    assert done.returncode == 125
    assert "can't be vouched for" in done.stderr
    assert not (tmp_path / "x").exists()
