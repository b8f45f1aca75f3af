"""Credentials from `moat grant` to the server, past a command that never holds them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.e2e.stored_files import holding
from tests.origin import Origin

from moat.egress.tls.ca import CertificateAuthority

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.e2e.conftest import Moat, Terminal

SECRET = "mine_TheRealTokenOfTheUser"
PROVIDER = """\
id: mine
title: Mine
inject:
  - hosts: [api.test]
    ports: [PORT]
placeholders: {token: "mine_{alnum:20}"}
env: {MINE_TOKEN: "{token}"}
files:
  - path: .mine/token.json
    content: |
      {"token": "{token}"}
"""
SETTINGS = """\
network:
  policy: strict
  upstream_ca: FOLDER/ca.pem
  hosts: {api.test: 127.0.0.1}
  private: [127.0.0.0/8]
"""


@pytest.fixture
def server(moat: Moat, tmp_path: Path) -> Iterator[Origin]:
    """A server of the user's, its provider, and a policy that allows nothing."""
    folder = tmp_path / "ca"
    folder.mkdir()
    authority = CertificateAuthority.load_or_create(folder)
    (folder / "ca.pem").write_bytes(authority.certificate_pem)
    moat.write_settings(SETTINGS.replace("FOLDER", str(folder)))
    with Origin(authority.context("api.test", ("http/1.1",))) as origin:
        providers = moat.home / "providers"
        providers.mkdir()
        (providers / "mine.yaml").write_text(PROVIDER.replace("PORT", str(origin.port)))
        yield origin


def put(moat: Moat, *options: str) -> None:
    moat.ok("grant", "mine", "--from", "stdin", "--no-validate", *options, stdin=SECRET)


def call(server: Origin, *more: str) -> tuple[str, ...]:
    url = f"https://api.test:{server.port}/plain"
    script = f'curl -sS -m 300 -H "Authorization: Bearer $MINE_TOKEN" {url}'
    return "sh", "-c", "; ".join((script, *more))


def test_the_server_gets_what_the_command_does_not_have(moat: Moat, server: Origin) -> None:
    """The command sees a placeholder in its variable and its file; the host is open to it alone."""
    put(moat)
    done = moat(
        *("run", "-n", "x", "--grant", "mine", "--"),
        *call(server, "echo; cat ~/.mine/token.json; printenv MINE_TOKEN"),
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == "moat: the run may use, and never holds, mine at api.test\n"
    shown = done.stdout.splitlines()[-1]
    assert f'{{"token": "{shown}"}}' in done.stdout
    assert shown.startswith("mine_")
    assert SECRET not in done.stdout
    [head] = server.heads
    assert f"authorization: Bearer {SECRET}".encode() in head
    denied = moat("run", "-n", "y", "--", *call(server))
    assert denied.returncode != 0
    assert len(server.heads) == 1
    assert holding(moat.home, SECRET) == []


def test_grants_of_a_project_need_consent(moat: Moat, server: Origin) -> None:
    """A file that a run may have written gives no later run a credential."""
    put(moat)
    (moat.workspace / "agent.yaml").write_text("grants: [mine]\n")
    refused = moat("run", "-n", "x", "--", *call(server))
    assert (refused.returncode, "grants: mine" in refused.stderr) == (3, True)
    moat.ok("trust")
    moat.ok("run", "-n", "x", "--", *call(server))
    assert f"Bearer {SECRET}".encode() in server.heads[0]


def test_what_is_missing_stops_the_start(moat: Moat, server: Origin) -> None:
    """Without a terminal the error names the command, and nothing is left of the run."""
    put(moat)
    done = moat("run", "--grant", "mine@work", "--", *call(server))
    assert done.returncode == 125
    assert done.stderr == (
        "moat: there is no credential mine@work in the vault\n"
        "      The vault has mine; for this one: moat grant mine --profile work\n"
    )
    assert moat.runs() == []
    put(moat, "--profile", "work")
    moat.ok("run", "--grant", "mine", "--", *call(server), MOAT_PROFILE="work")


def test_what_is_missing_is_offered_on_a_terminal(
    moat: Moat, server: Origin, terminal: Callable[..., Terminal]
) -> None:
    """After a yes it is asked for, without echo, and the run goes on."""
    window = terminal("run", "--grant", "mine", "--", *call(server), size=(120, 30))
    window.expect(rb"Grant it now\?")
    window.send(b"y\n")
    window.expect(rb"token")
    window.send(SECRET.encode() + b"\n")
    assert window.wait() == 0
    assert f"Bearer {SECRET}".encode() in server.heads[0]
