"""The audit log of real runs: what is in it, what it proves, and what stops without it."""

from __future__ import annotations

import inspect
import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final, get_args

import pytest
from tests.e2e.test_granted_requests import SECRET, curl, origin

from moat import events
from moat.audit import proofs, verifier

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.e2e.conftest import Moat, Terminal
    from tests.origin import Origin

__all__ = ["origin"]

DETACH = b"\x1fd"

PRODUCED: Final = {
    "test_the_life_of_a_run": {
        *(
            "run_created",
            "supervisor_started",
            "state_changed",
            "viewer_attached",
            "viewer_detached",
        ),
        *("exec_started", "exec_ended", "policy_amended", "question_asked", "question_closed"),
        *("denied", "input_sent", "signal_sent", "quarantined", "log_continued", "requests"),
        *("signing_key", "journal_closed", "log_closed"),
    },
    "test_a_run_whose_sandbox_is_killed": {"fault"},
    "test_credentials_and_secrets": {"credential_used", "credential_echoed", "secrets_resolved"},
    "test_ssh.py test_git_clones": {"ssh_key_used"},
    "test_bounded_record.py test_a_flood_fills_no_disk_and_its_sums_are_right": {"traffic_dropped"},
    "test_planted.py": {"left_behind"},
    "test_budgets.py test_tokens_are_counted_across_supervisors_and_limited": {
        *("limit_used_up", "limit_changed", "model_used"),
    },
    "test_ports.py test_ports_in_the_audit_log": {"port_published", "port_connected"},
    "test_services.py test_a_service_lives_with_its_run": {"service_changed"},
    "test_waiting.py": {"waiting_changed"},
    "test_snapshots.py test_a_run_at_work": {"snapshot_taken", "restore_begun"},
    "audit/test_run_log.py test_more_than_can_wait_is_counted": {"gap"},
}
"""The test in which a real run, or the real writer, produces each kind of entry."""

LIFE = """\
git init -q nested
git -C nested config core.fsmonitor 'touch /tmp/marker; false'
mkdir -p nested/x; mv nested/.git planted-git; cp -r planted-git nested/.git
trap 'echo signalled' USR1
echo ready; read line
curl -s --max-time 300 http://asked.test/
echo asked; read line
exit 4
"""


def entries(moat: Moat, run: str = "x") -> list[dict[str, Any]]:
    return [json.loads(line) for line in moat.ok("audit", run, "--json").splitlines()]


def kinds(moat: Moat, run: str = "x") -> set[str]:
    return {entry["event"] for entry in entries(moat, run)}


def proven(moat: Moat, run: str = "x") -> dict[str, Any]:
    """The report about a log that must be genuine."""
    done = moat("audit", run, "--verify", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def log_of(moat: Moat, run: str = "x") -> Path:
    return moat.home / "runs" / moat.inspect(run)["id"] / "audit.log"


def test_every_kind_has_a_run_that_produces_it() -> None:
    """No event, and no entry of the log's own, is without a test."""
    own = {
        "run_created",
        "log_continued",
        "log_closed",
        "requests",
        "journal_closed",
        "signing_key",
        "gap",
    }
    assert set.union(*PRODUCED.values()) == {
        *(kind.KIND for kind in get_args(events.Event)),
        *own,
    }


def test_the_life_of_a_run(moat: Moat, terminal: Callable[..., Terminal]) -> None:
    """From its creation over a supervisor's death to its end, in an unbroken chain that is signed."""
    (moat.workspace / "life.sh").write_text(LIFE)
    window = terminal("run", "-i", "-n", "x", "--network-policy", "ask", "--", "bash", "life.sh")
    window.shows("ready")
    moat.ok("kill", "x", "-s", "USR1")
    window.send(DETACH)
    assert window.wait() == 0
    moat.ok("exec", "x", "--", "true")
    moat.kill("x", "supervisor")
    moat.ok("send", "x", "go\n")
    until_asked(moat)
    moat.ok("deny", "x", "asked.test")
    moat.ok("wait", "x", "--text", "asked")
    moat.ok("send", "x", "go\n")
    moat.ok("wait", "x", "--exit")
    found = entries(moat)
    report = proven(moat)
    assert report["closed"]
    assert report["trusted"]
    assert report["signed"] == report["entries"] == len(found)
    assert report["absent"] == 0
    assert {"spec.json", "requests/0", "journal/main/00000000.stdout"} <= set(report["files"])
    assert all(report["files"].values())
    assert PRODUCED["test_the_life_of_a_run"] <= {entry["event"] for entry in found}
    assert [entry["seq"] for entry in found] == list(range(len(found)))
    timeline = moat.ok("audit", "x")
    assert "input_sent" in timeline
    assert "(uid " in timeline


def test_a_question_that_ends_with_the_run(moat: Moat) -> None:
    """It is closed in the log, however soon the run is over."""
    script = "curl -s http://asked.test/ & read line; exit 0"
    moat.ok("run", "-id", "-n", "x", "--network-policy", "ask", "--", "bash", "-c", script)
    until_asked(moat)
    moat.ok("send", "x", "go\n")
    moat.ok("wait", "x", "--exit")
    assert proven(moat)["closed"]
    asked = [each["event"] for each in entries(moat) if each["event"].startswith("question_")]
    assert asked == ["question_asked", "question_closed"]


def until_asked(moat: Moat) -> None:
    """Return once the policy asks about something that the run wants."""
    follower = moat.start("events", "x", "-f", "--json")
    assert follower.stdout is not None
    for line in follower.stdout:
        if json.loads(line)["event"] == "question_asked":
            break
    follower.kill()
    follower.communicate()


def test_a_run_whose_sandbox_is_killed(moat: Moat) -> None:
    """The fault is in the log, which is closed all the same."""
    moat.ok("run", "-d", "-n", "x", "--", "sleep", "1000")
    moat.kill("x", "shim")
    moat("wait", "x", "--exit")
    assert "fault" in kinds(moat)
    assert proven(moat)["closed"]


def test_credentials_and_secrets(moat: Moat, origin: Origin, tmp_path: Path) -> None:
    """Which credential went where, and which secrets a command got: by name, never by value."""
    (tmp_path / "secret").write_text("hunter2-0f3a9c")
    settings = moat.home / "config.yaml"
    known = json.loads(settings.read_text())
    settings.write_text(json.dumps({**known, "secrets": {"TOKEN": f"file://{tmp_path}/secret"}}))
    program = curl(origin, "/echo")
    moat.ok("run", "-n", "x", "--grant", "own", "--", *program)
    found = entries(moat)
    assert PRODUCED["test_credentials_and_secrets"] <= {entry["event"] for entry in found}
    (use,) = (entry for entry in found if entry["event"] == "credential_used")
    assert use["data"] == {"credential": "own", "host": "origin.test", "port": origin.port}
    text = log_of(moat).read_text()
    assert SECRET not in text
    assert "hunter2" not in text
    proven(moat)
    at = [entry["event"] for entry in found]
    assert at.index("secrets_resolved") < at.index("credential_used") < at.index("requests")


# --- bundles ---


@pytest.fixture
def exported(moat: Moat) -> Path:
    """The bundle of a run that has ended."""
    moat.ok("run", "-n", "x", "--", "sh", "-c", "echo hello; curl -s http://nowhere.test/; true")
    bundle = moat.workspace / "x.bundle"
    moat.ok("audit", "export", "x", "-o", bundle)
    return bundle


def verify(moat: Moat, bundle: Path, *options: str | Path) -> tuple[int, str]:
    """Verify in another place, where there is no store."""
    nowhere = str(moat.workspace / "nowhere")
    done = moat("audit", "verify", bundle, *options, MOAT_HOME=nowhere)
    assert not (moat.workspace / "nowhere").exists()
    return done.returncode, done.stdout + done.stderr


def test_a_bundle_is_verified_elsewhere(moat: Moat, exported: Path) -> None:
    """Without the store, with the key that the machine's user has published."""
    keys = moat.workspace / "keys.json"
    keys.write_text(moat.ok("audit", "key", "show", "--json"))
    code, words = verify(moat, exported, "--keys", keys)
    assert code == 0, words
    assert "that key is the one that you named" in words
    assert "the log is complete" in words
    key = json.loads(keys.read_text())[0]["public"]
    assert verify(moat, exported, "--key", key)[0] == 0
    code, words = verify(moat, exported)
    assert code == 0
    assert "whose key it is" in words
    assert verify(moat, exported, "--key", "0" * 64)[0] == 1
    assert verify(moat, exported, "--key", "x")[0] == 2


def test_a_changed_bundle(moat: Moat, exported: Path) -> None:
    """Each file and each entry is what the log says, or is named."""
    content = exported.read_bytes()
    at = content.index(b"file journal/main/00000000.stdout\ndata ") + 40
    changed = {
        "journal/main/00000000.stdout is not what": content[:at]
        + (b"A" if content[at : at + 1] != b"A" else b"B")
        + content[at + 1 :],
        "the content of entry 0 was changed": content.replace(b'"name":"x"', b'"name":"y"'),
        "the bundle ends in the middle": content.rpartition(b"end ")[0],
    }
    for words, data in changed.items():
        exported.write_bytes(data)
        code, said = verify(moat, exported)
        assert code == 1, said
        assert said.startswith("NOT GENUINE: ")
        assert words in said
    exported.write_bytes(b"hello\n")
    code, said = verify(moat, exported)
    assert code == 2
    assert "it is no audit log" in said


def test_a_redacted_bundle(moat: Moat) -> None:
    """It says when what kind of thing happened, and nothing of what."""
    moat.ok("run", "-n", "x", "--", "echo", "hello-from-the-command")
    bundle = moat.workspace / "x.bundle"
    moat.ok("audit", "export", "x", "--redact", "-o", bundle)
    assert b"hello-from-the-command" not in bundle.read_bytes()
    assert str(moat.workspace).encode() not in bundle.read_bytes()
    code, said = verify(moat, bundle)
    assert code == 0, said
    assert "their content was left out" in said
    assert moat("audit", "export", "x", "-o", bundle).returncode == 2, "it is there already"


def test_one_entry_with_its_proof(moat: Moat, exported: Path) -> None:
    """Enough to show one thing to somebody who is to see nothing else."""
    del exported
    bundle = moat.workspace / "one.bundle"
    moat.ok("audit", "export", "x", "--entry", "0", "-o", bundle)
    code, said = verify(moat, bundle)
    assert code == 0, said
    assert "entries 0 are in the log" in said
    assert bundle.read_bytes().count(b"proved ") == 1
    assert moat("audit", "export", "x", "--entry", "999", "-o", "two").returncode == 2


def test_the_verifier_needs_nothing_of_moat(moat: Moat, exported: Path, tmp_path: Path) -> None:
    """Its two files alone, with Python and cryptography, verify a bundle."""
    del moat
    for module in (verifier, proofs):
        name = module.__name__.rpartition(".")[2] + ".py"
        text = inspect.getsource(module)
        (tmp_path / name).write_text(text.replace("moat.audit.proofs", "proofs"))
    script = (
        "import sys; from verifier import Verifier; v = Verifier()\n"
        "for line in open(sys.argv[1], 'rb'): v.feed(line.rstrip(b'\\n'))\n"
        "report = v.finish(); assert report.closed and not report.problems; print(report.entries)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, exported],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 5


# --- what somebody does to the log of a run ---


def test_a_supervisor_does_not_continue_a_log_that_was_changed(moat: Moat) -> None:
    """Then nothing passes any more, and it says why; the run can be stopped."""
    ask = "until curl -s http://x.test/ | grep -q 'audit log was changed'; do sleep 0.1; done"
    moat.ok("run", "-d", "-i", "-n", "x", "--", "sh", "-c", f"echo ready; {ask}; echo refused; cat")
    moat.ok("wait", "x", "--text", "ready")
    log = log_of(moat)
    moat.kill("x", "supervisor")
    content = log.read_bytes()
    log.write_bytes(content.replace(b'"name":"x"', b'"name":"y"'))
    moat.ok("wait", "x", "--text", "refused")
    done = moat("exec", "x", "--", "true")
    assert done.returncode == 125
    assert "the run's audit log was changed or cut short: the content of entry 0" in done.stderr
    assert moat("send", "x", "hello").returncode == 125
    done = moat("audit", "x", "--verify")
    assert done.returncode == 1
    assert done.stdout.startswith("NOT GENUINE: the content of entry 0 was changed")
    moat.ok("stop", "x")
    assert log.read_bytes() == content.replace(b'"name":"x"', b'"name":"y"')


def test_a_log_that_is_garbage(moat: Moat) -> None:
    """Each command says so in a line, as far as it can't show what is there."""
    moat("run", "-n", "x", "--", "true")
    log = moat.home / "runs" / moat.inspect("x")["id"] / "audit.log"
    text = log.read_bytes()
    changes = (b"entry \xff\tx\n", b"entry " + b"[" * 100_000 + b"\n")
    for garbage in changes:
        log.write_bytes(text + garbage)
        told = moat("audit", "x")
        assert "the audit log was changed" in told.stderr
        assert "nothing follows" in told.stdout, "what stands before is shown"
        assert moat("audit", "x", "--verify").returncode == 1
    log.write_bytes(text)
    head = moat.home / "heads" / log.parent.name
    head.write_bytes(b"\xff")
    assert "can't be verified" in moat("audit", "x", "--verify").stderr


def test_a_traffic_record_that_was_rolled_back(moat: Moat, exported: Path) -> None:
    """The database may be changed; it is not what the log commits to any more."""
    del exported
    database = log_of(moat).with_name("run.db")
    with closing(sqlite3.connect(database)) as db, db:
        db.execute("UPDATE entries SET host = 'good.test'")
    done = moat("audit", "x", "--verify")
    assert done.returncode == 1
    assert "requests/0 is not what the log commits to" in done.stdout


def test_a_log_that_was_put_back(moat: Moat) -> None:
    """An older copy has fewer entries than the newest checkpoint, which lies elsewhere."""
    moat.ok("run", "-n", "x", "--", "true")
    proven(moat)
    log = log_of(moat)
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join(lines[:5]))
    done = moat("audit", "x", "--verify")
    assert done.returncode == 1
    assert "you hold a checkpoint of" in done.stdout


# --- keys ---


def test_keys_are_rotated_and_revoked(moat: Moat) -> None:
    """An old key counts until it is revoked, and its private half is gone."""
    assert moat("audit", "key", "show").stderr.startswith("moat: there is no key yet")
    moat.ok("run", "-n", "x", "--", "true")
    proven(moat)
    moat.ok("audit", "key", "rotate")
    moat.ok("run", "-n", "y", "--", "true")
    old, new = proven(moat)["keys"][0], proven(moat, "y")["keys"][0]
    listed = moat.json("audit", "key", "show", "--json")
    assert [each["public"] for each in listed] == [new, old]
    assert [bool(each["retired_at"]) for each in listed] == [False, True]
    moat.ok("audit", "key", "revoke", listed[1]["fingerprint"][:8])
    done = moat("audit", "x", "--verify")
    assert done.returncode == 1
    assert "its key was revoked" in done.stdout
    proven(moat, "y")
    assert moat("audit", "key", "revoke", "zzzz").returncode == 2
    moat.ok("audit", "key", "revoke", listed[0]["fingerprint"])
    assert [each["revoked"] for each in moat.json("audit", "key", "show", "--json")] == [
        False,
        True,
        True,
    ]
    assert "audit" not in moat.ok("grant", "list"), "keys are no credentials"
    moat.ok("destroy", "x")
    assert [each.name for each in (moat.home / "heads").iterdir()] == [moat.inspect("y")["id"]]


def test_entries_are_followed(moat: Moat) -> None:
    """Each is printed as it is written, under every supervisor, until the run has ended."""
    moat.ok("run", "-d", "-i", "-n", "x", "--", "cat")
    follower = moat.start("audit", "x", "-f", "--json")
    assert follower.stdout is not None
    followed = map(json.loads, follower.stdout)
    # The key that signs comes when it is time for that.
    heard = (each for each in followed if each["event"] != "signing_key")
    while next(heard)["data"].get("after") != "running":
        pass
    moat.ok("send", "x", "hello")
    assert next(heard)["event"] == "input_sent"
    moat.kill("x", "supervisor")
    assert next(heard)["event"] == "log_continued"
    moat.ok("stop", "x")
    assert [each["event"] for each in heard][-1] == "log_closed"
    assert follower.wait() == 0
    follower.communicate()
