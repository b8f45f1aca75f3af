"""A granted credential at work in a real run: the server gets it, and the sandbox never does."""

from __future__ import annotations

import json
import textwrap
from typing import TYPE_CHECKING

import pytest
from tests.e2e.stored_files import holding
from tests.origin import Origin

from moat.egress.tls.ca import CertificateAuthority

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.conftest import Moat

SECRET = "own_TheRealTokenOfTheUser0123456789"
NEW_SECRET = "own_AnotherTokenOfTheUser987654321"


@pytest.fixture
def origin(moat: Moat, tmp_path: Path) -> Iterator[Origin]:
    """A server that the user's settings and a provider of the user's know."""
    moat.environment |= {"DBUS_SESSION_BUS_ADDRESS": "unix:path=/dev/null/bus"}
    folder = tmp_path / "authority"
    folder.mkdir()
    authority = CertificateAuthority.load_or_create(folder)
    (folder / "ca.pem").write_bytes(authority.certificate_pem)
    with Origin(authority.context("origin.test", ("http/1.1",))) as started:
        network = {
            "policy": "strict",
            "hosts": {"origin.test": "127.0.0.1"},
            "private": ["127.0.0.0/8"],
            "upstream_ca": str(folder / "ca.pem"),
        }
        moat.write_settings(json.dumps({"network": network}))
        (moat.home / "providers").mkdir(mode=0o700, parents=True)
        (moat.home / "providers" / "own.yaml").write_text(
            textwrap.dedent(
                f"""
                id: own
                title: Own
                inject:
                  - hosts: [origin.test]
                    ports: [{started.port}]
                placeholders: {{token: "own_{{alnum:30}}"}}
                env: {{OWN_TOKEN: "{{token}}"}}
                """
            )
        )
        grant(moat, SECRET)
        yield started


def grant(moat: Moat, secret: str) -> None:
    done = moat("grant", "own", "--from", "stdin", "--no-validate", stdin=secret)
    assert done.returncode == 0, done.stderr


def curl(origin: Origin, path: str) -> list[str]:
    ask = f'curl -sS -H "Authorization: Bearer $OWN_TOKEN" https://origin.test:{origin.port}{path}'
    return ["sh", "-c", ask]


def test_the_server_gets_the_secret_and_the_sandbox_a_placeholder(
    moat: Moat, origin: Origin
) -> None:
    """Even a server that echoes the request gives nothing away; the record has the grant's name."""
    program = curl(origin, "/echo")
    program[-1] += "; env; cat /proc/self/environ"
    done = moat("run", "--name", "one", "--grant", "own", "--", *program)

    assert done.returncode == 0, done.stderr
    assert SECRET.encode() in origin.heads[0]
    assert SECRET not in done.stdout
    assert "*" * len(SECRET) in done.stdout
    assert "OWN_TOKEN=own_" in done.stdout
    [row] = [
        row
        for row in map(json.loads, moat.ok("trace", "one", "--json").splitlines())
        if row["kind"] == "request"
    ]
    assert (row["credential"], row["verdict"], row["status"]) == ("own", "allowed", 200)
    assert "credential: own" in moat.ok("trace", "one")
    [event] = [
        event
        for event in map(json.loads, moat.ok("events", "one", "--json").splitlines())
        if event["event"] == "credential_echoed"
    ]
    assert (event["credential"], event["host"]) == ("own", "origin.test")
    assert holding(moat.home, SECRET) == []


def test_a_grant_is_revoked_and_given_again_while_the_run_runs(moat: Moat, origin: Origin) -> None:
    """Each holds from the next request on, also under a supervisor that took the run over."""
    moat.ok("run", "--name", "one", "--grant", "own", "-d", "--", "sleep", "1000")
    ask = ["exec", "one", "--", *curl(origin, "/plain")]
    assert moat.ok(*ask) == "hello from /plain"
    moat.ok("revoke", "own")
    assert "moat grant own" in moat.ok(*ask)
    grant(moat, NEW_SECRET)
    assert moat.ok(*ask) == "hello from /plain"
    assert NEW_SECRET.encode() in origin.heads[-1]

    moat.kill("one", "supervisor")
    assert moat.ok(*ask) == "hello from /plain"
    assert NEW_SECRET.encode() in origin.heads[-1]
    moat.ok("revoke", "own")
    assert "moat grant own" in moat.ok(*ask)
    assert len(origin.heads) == 3
    moat.ok("stop", "one")


@pytest.mark.parametrize(
    "arguments",
    [
        ["-X", "TRACE"],
        ["-X", "OPTIONS"],
        ["-H", "Max-Forwards: 0"],
        ["-H", "Authorization: Bearer of-the-attacker", "-H", "X-Api-Key: of-the-attacker"],
        ["-H", "Host: other.test"],
        ["-H", "AUTHORIZATION: a", "-H", "authorization: b"],
        ["-u", "user:password"],
        ["--http2", "-H", "X-HTTP-Method-Override: TRACE"],
    ],
    ids=" ".join,
)
def test_an_odd_request_gets_the_secret_once_in_its_place_or_not_at_all(
    moat: Moat, origin: Origin, arguments: list[str]
) -> None:
    """Nothing of it comes back, and nothing goes to another place or in another's name."""
    url = f"https://origin.test:{origin.port}/echo"
    done = moat("run", "--name", "one", "--grant", "own", "--", "curl", "-sS", *arguments, url)

    assert SECRET not in done.stdout + done.stderr
    sent = b"".join(origin.heads)
    assert sent.count(SECRET.encode()) <= 1
    if SECRET.encode() in sent:
        assert sent.lower().count(b"authorization:") == 1
        assert not sent.startswith((b"TRACE", b"OPTIONS"))
        assert b"of-the-attacker" not in sent
        assert b"host: other.test" not in sent.lower()
