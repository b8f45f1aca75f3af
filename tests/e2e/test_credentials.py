"""The vault through the installed command: grant, list, show, revoke, rekey, back up, restore."""

from __future__ import annotations

import json
import stat
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest
from tests.e2e.stored_files import holding
from tests.oauth_server import CLIENT, OAuthServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.e2e.conftest import Moat, Terminal

SECRET = "ghp_" + "n0b0dySees" * 3
NO_KEYRING = {"DBUS_SESSION_BUS_ADDRESS": "unix:path=/dev/null/bus"}
TYPED = ("--from", "stdin", "--no-validate")
PASSPHRASE = "correct horse battery\n"


@pytest.fixture(autouse=True)
def _no_keyring(moat: Moat, tmp_path: Path) -> None:
    moat.environment |= NO_KEYRING | {"HOME": str(tmp_path)}


def grant(moat: Moat, *arguments: str, secret: str = SECRET) -> str:
    """Grants what is on standard input; what was said on stderr."""
    done = moat("grant", *arguments, *TYPED, stdin=secret)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    return done.stderr


def nothing_has_the_secret(moat: Moat, secret: str = SECRET) -> None:
    assert holding(moat.home, secret) == []


def test_a_credential_is_granted_listed_and_revoked(moat: Moat) -> None:
    """The life of a credential: no output and no file of the store ever has it."""
    said = grant(moat, "github")
    assert "github: granted, from standard input" in said
    assert "there is no keyring, so the vault's key is in the file" in said
    assert "keyring" not in grant(moat, "github", "--profile", "work")

    listed = moat.ok("grant", "list")
    assert [line.split()[:2] for line in listed.splitlines()[1:]] == [
        ["github", "default"],
        ["github", "work"],
    ]
    shown = moat.ok("grant", "show", "github")
    assert "token       (hidden)" in shown
    (first, _) = moat.json("grant", "list", "--json")
    assert first["name"] == "github"
    assert first["fields"] == ["token"]
    assert SECRET not in said + listed + shown + json.dumps(first)
    nothing_has_the_secret(moat)
    assert stat.S_IMODE((moat.home / "vault").stat().st_mode) == 0o700

    assert moat.ok("revoke", "github") == "github: revoked\n"
    done = moat("grant", "show", "github")
    assert done.returncode == 125
    assert done.stderr == "moat: there is no credential github\n      The vault has github@work\n"
    assert moat.ok("revoke", "--all") == "github@work: revoked\n"


def test_another_name_of_a_provider_will_do(moat: Moat) -> None:
    """An alias names the same credential in every command."""
    assert "github: granted" in grant(moat, "gh")
    assert "(hidden)" in moat.ok("grant", "show", "gh")
    assert moat.ok("revoke", "gh") == "github: revoked\n"


def test_a_credential_of_a_forgotten_provider_can_be_revoked(moat: Moat) -> None:
    """Without the provider's file, its credentials can be listed, shown and revoked."""
    folder = moat.home / "providers"
    folder.mkdir(mode=0o700, parents=True)
    (folder / "own.yaml").write_text("id: own\ntitle: Own\ninject:\n  - hosts: [api.example.com]\n")
    grant(moat, "own")
    (folder / "own.yaml").unlink()
    assert "own" in moat.ok("grant", "list")
    assert "(hidden)" in moat.ok("grant", "show", "own")
    assert moat.ok("revoke", "own") == "own: revoked\n"


def test_a_profile_comes_from_the_environment(moat: Moat) -> None:
    """MOAT_PROFILE stands for --profile everywhere."""
    moat.environment["MOAT_PROFILE"] = "work"
    grant(moat, "github")
    assert "work" in moat.ok("grant", "show", "github")
    assert moat.ok("revoke", "github") == "github@work: revoked\n"


def test_the_login_of_gh_is_found(moat: Moat, tmp_path: Path) -> None:
    """The token is taken from gh, or from its file in the form in which gh writes it."""
    (tmp_path / ".config" / "gh").mkdir(parents=True)
    (tmp_path / ".config" / "gh" / "hosts.yml").write_text(
        f"github.com:\n    user: octo\n    oauth_token: {SECRET}\n    git_protocol: https\n"
    )
    done = moat("grant", "github", "--no-validate")
    assert done.returncode == 0, done.stderr
    assert "github: granted, from" in done.stderr
    assert moat.json("grant", "show", "github", "--json")["source"] == "cli"
    assert SECRET not in done.stderr
    nothing_has_the_secret(moat)


def test_the_login_of_claude_code_is_found(moat: Moat, tmp_path: Path) -> None:
    """The tokens come from Claude Code's file, with the time at which they end."""
    (tmp_path / ".claude").mkdir()
    login = {"accessToken": SECRET, "refreshToken": "r" + SECRET, "expiresAt": 1999999999123}
    (tmp_path / ".claude" / ".credentials.json").write_text(
        json.dumps({"claudeAiOauth": login | {"scopes": ["user:inference"]}})
    )
    moat.ok("grant", "claude", "--no-validate")
    shown = moat.json("grant", "show", "claude", "--json")
    assert shown["fields"] == ["token", "refresh_token"]
    assert shown["expires_at"] == 1999999999.123
    nothing_has_the_secret(moat)


def test_a_variable_comes_first(moat: Moat) -> None:
    """The provider's own variable is taken, and named."""
    done = moat("grant", "github", "--no-validate", GITHUB_TOKEN=SECRET)
    assert "granted, from GITHUB_TOKEN" in done.stderr
    assert SECRET not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "stdin", "words"),
    [
        (["githb"], "", "Did you mean github?"),
        (["github"], "", "no credential of GitHub was found (looked at: "),
        (["../x"], "", "can't be the name of a provider"),
        (["github", "--profile", "a b"], "", "can't be the name of a profile"),
        (["github", "--from", "stdin"], "", "standard input is empty"),
        (["github", "--from", "stdin"], "a\nb", "line breaks or control characters"),
        (["github", "--from", "stdin"], b"\xff", "no UTF-8"),
        (["github", "--from", "stdin"], "x" * 70_000, "too long"),
        (["anthropic", "--from", "device"], "", "can't come from device"),
        (["github", "--from", "env"], "", "no credential of GitHub was found"),
    ],
    ids=str,
)
def test_what_is_no_credential_is_refused(
    moat: Moat, arguments: list[str], stdin: str | bytes, words: str
) -> None:
    """Each mistake has its line, and the vault isn't even made."""
    done = moat("grant", *arguments, "--no-validate", stdin=stdin)
    assert done.returncode != 0
    assert words in done.stderr
    assert len(done.stderr.splitlines()) <= 2
    assert not (moat.home / "vault").exists()


def test_a_credential_is_typed_without_echo(moat: Moat, terminal: Callable[..., Terminal]) -> None:
    """What is typed at the question is not shown."""
    window = terminal("grant", "github", "--from", "prompt", "--no-validate")
    window.expect(rb"GitHub token: ")
    window.send(SECRET.encode() + b"\r")
    window.expect(rb"granted, from the terminal")
    assert window.wait() == 0
    assert SECRET.encode() not in window.output
    assert moat.json("grant", "show", "github", "--json")["source"] == "prompt"


def test_a_secret_is_revealed_after_a_question_only(
    moat: Moat, terminal: Callable[..., Terminal]
) -> None:
    """--reveal asks, and takes no answer but that of a terminal."""
    grant(moat, "github")
    done = moat("grant", "show", "github", "--reveal", stdin="y\n")
    assert done.returncode == 2
    assert "there is no terminal" in done.stderr

    window = terminal("grant", "show", "github", "--reveal")
    window.expect(rb"Print the secrets of github on this terminal\? \[y/N\]")
    window.send(b"\r")
    assert window.wait() == 130
    assert SECRET.encode() not in window.output

    window = terminal("grant", "show", "github", "--reveal")
    window.expect(rb"\[y/N\]")
    window.send(b"y\r")
    assert window.wait() == 0
    window.expect(SECRET.encode())


@pytest.mark.parametrize(
    "arguments",
    [
        ["grant", "github"],
        ["grant", "show", "github", "--reveal"],
        ["revoke", "github"],
        ["vault", "rekey"],
        ["vault", "backup", "x"],
    ],
    ids=" ".join,
)
def test_no_run_changes_the_vault(moat: Moat, arguments: list[str]) -> None:
    """Inside a run these commands say where they belong."""
    done = moat(*arguments, MOAT_RUN="r")
    assert done.returncode == 2
    assert "this command runs inside a run" in done.stderr


def test_a_backup_is_restored_on_another_machine(moat: Moat, tmp_path: Path) -> None:
    """The passphrase opens the backup anywhere; what is there already stays unless it is given up."""
    grant(moat, "github")
    grant(moat, "openai", secret="sk-" + "q" * 30)
    file = tmp_path / "backup"
    moat.ok("vault", "backup", file, "--passphrase-stdin", stdin=PASSPHRASE)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert SECRET.encode() not in file.read_bytes()

    other = {"MOAT_HOME": str(tmp_path / "other")}
    restore = ("vault", "restore", file, "--passphrase-stdin")
    wrong = moat(*restore, stdin="another passphrase\n", **other)
    assert wrong.returncode == 125
    assert "the passphrase is wrong, or the backup is damaged" in wrong.stderr
    assert not (tmp_path / "other" / "vault").exists()

    assert moat.ok(*restore, stdin=PASSPHRASE, **other) == "github: restored\nopenai: restored\n"
    moat.ok("revoke", "openai", **other)
    again = moat(*restore, stdin=PASSPHRASE, **other)
    assert again.stdout == "openai: restored\n"
    assert "1 credential left as in the vault" in again.stderr
    forced = moat.ok(*restore, "--overwrite", stdin=PASSPHRASE, **other)
    assert forced == "github: restored\nopenai: restored\n"


def test_a_lost_key_is_told_until_a_backup_is_restored(moat: Moat, tmp_path: Path) -> None:
    """Without its key a vault opens nothing and takes nothing; doctor says so."""
    grant(moat, "github")
    moat.ok("audit", "key", "rotate")
    file = tmp_path / "backup"
    moat.ok("vault", "backup", file, "--passphrase-stdin", stdin=PASSPHRASE)
    assert "1 credential\n" in moat("doctor").stdout
    assert "the key is in the file" in moat("doctor").stdout
    (moat.home / "vault" / "key").unlink()

    done = moat("grant", "openai", *TYPED, stdin="sk-x")
    assert "the key of the vault" in done.stderr
    assert "is gone" in done.stderr
    assert "github" in moat.ok("grant", "list")
    doctor = moat("doctor")
    assert doctor.returncode == 1
    assert "NO   vault: the key of the vault" in doctor.stdout

    restore = ("vault", "restore", file, "--passphrase-stdin", "--overwrite")
    moat.ok(*restore, stdin=PASSPHRASE)
    # No backup has the key of audit logs, but there can be a new one.
    assert "      Make a new key for audit logs: moat audit key rotate" in moat("doctor").stdout
    moat.ok("audit", "key", "rotate")
    assert "warn vault: 1 credential" in moat("doctor").stdout
    assert "1 credential encrypted" in moat.ok("vault", "rekey")


def test_rekey_says_where_the_key_is(moat: Moat) -> None:
    """A new key takes the place of the old one."""
    grant(moat, "github")
    before = (moat.home / "vault" / "key").read_bytes()
    assert "1 credential encrypted with a new key, which is in a file" in moat.ok("vault", "rekey")
    assert (moat.home / "vault" / "key").read_bytes() != before
    done = moat("vault", "rekey", "--key", "keyring")
    assert done.returncode == 125
    assert "there is no keyring here" in done.stderr
    assert "warn vault" in moat("doctor").stdout


def test_a_damaged_file_is_named(moat: Moat) -> None:
    """The others are listed; revoking removes the damaged one."""
    grant(moat, "github")
    grant(moat, "openai")
    (file,) = (moat.home / "vault" / "entries").glob("github-*")
    file.write_bytes(b"{}")
    done = moat("grant", "list")
    assert done.returncode == 1
    assert "openai" in done.stdout
    assert f"{file} is damaged" in done.stderr
    assert "is damaged" in moat("grant", "github", *TYPED, stdin="x").stderr
    moat.ok("revoke", "github")
    assert moat("grant", "list").returncode == 0


# --- a provider of the user's own, which checks ---

PROVIDER = """\
id: example
title: Example
obtain:
  variables:
    - fields: {{token: EXAMPLE_TOKEN}}
  oauth:
    client_id: {client}
    token_url: {url}/token
    device_url: {url}/device
    authorize_url: {url}/authorize
    scopes: [repo, user]
  validation:
    url: {url}/user
    headers: {{Authorization: "Bearer {{token}}"}}
    attributes: {{account: login}}
    scopes_header: X-OAuth-Scopes
  help: https://example.com/tokens
inject:
  - hosts: [api.example.com]
"""


@pytest.fixture
def provider(moat: Moat, tmp_path: Path) -> Iterator[OAuthServer]:
    (tmp_path / "authority").mkdir()
    folder = moat.home / "providers"
    folder.mkdir(mode=0o700, parents=True)
    with OAuthServer(tmp_path / "authority") as started:
        text = PROVIDER.format(client=CLIENT, url=started.url)
        (folder / "example.yaml").write_text(text)
        moat.environment["SSL_CERT_FILE"] = str(started.certificate)
        yield started


def test_a_browser_on_another_machine_will_do(
    moat: Moat, terminal: Callable[..., Terminal], provider: OAuthServer
) -> None:
    """The address on which the browser ends is pasted; the tokens are tried, and nothing shows them."""
    window = terminal("grant", "example", "--from", "browser", size=(1000, 24))
    shown = window.expect(rb"(https://localhost:\d+/authorize\?\S+)")
    window.expect(rb"paste the address")
    query = parse_qs(urlsplit(shown[1].decode()).query)
    ended = provider.authorize({name: values[0] for name, values in query.items()})
    window.send(b"https://elsewhere.example/?code=x\r")
    window.expect(rb"that is not the address")
    window.send(ended.encode() + b"\r")
    window.expect(rb"example: granted, from the browser, as octo")
    assert window.wait() == 0
    (token,) = provider.accepted
    assert token.encode() not in window.output
    nothing_has_the_secret(moat, token)
    shown = moat.json("grant", "show", "example", "--json")
    assert shown["fields"] == ["token", "refresh_token"]
    assert shown["attributes"]["scopes"] == "repo user"


def test_a_device_code_is_confirmed_elsewhere(moat: Moat, provider: OAuthServer) -> None:
    """The code and the page are told, also where there is no terminal."""
    provider.interval = 0
    provider.device_answers = ["authorization_pending"]
    done = moat("grant", "example", "--from", "device")
    assert done.returncode == 0, done.stderr
    assert f"type the code ABCD-EFGH on this page: {provider.url}/activate" in done.stderr
    assert "granted, from the code at" in done.stderr
    assert len(provider.parameters("/token")) == 2


def test_a_credential_that_the_provider_refuses_is_not_kept(
    moat: Moat, provider: OAuthServer
) -> None:
    """A revoked one is named by its place; nothing is stored, and the good one before it stays."""
    provider.accepted.add("good")
    assert "as octo" in moat("grant", "example", EXAMPLE_TOKEN="good").stderr
    done = moat("grant", "example", "--from", "env", EXAMPLE_TOKEN="s3cret-and-revoked")
    assert done.returncode == 125
    assert done.stderr == (
        "moat: Example refuses the credential from EXAMPLE_TOKEN (401): "
        "it has expired, was revoked, or is mistyped\n"
        "      Make a new one: https://example.com/tokens\n"
    )
    assert moat.json("grant", "show", "example", "--json")["version"] == 1


def test_a_token_never_reaches_a_host_that_nobody_proves(moat: Moat, provider: OAuthServer) -> None:
    """Without the authority's certificate no request is made."""
    del moat.environment["SSL_CERT_FILE"]
    done = moat("grant", "example", EXAMPLE_TOKEN="x")
    assert done.returncode == 125
    assert "its certificate isn't valid" in done.stderr
    assert "--no-validate" in done.stderr
    assert provider.requests == []


def test_an_authority_of_the_settings_holds_for_grants_too(
    moat: Moat, provider: OAuthServer
) -> None:
    """Runs reach such a provider, and so does the question whether it accepts the credential."""
    del moat.environment["SSL_CERT_FILE"]
    moat.write_settings(f"network: {{upstream_ca: {provider.certificate}}}\n")
    provider.accepted.add("good")
    assert (
        "granted, from EXAMPLE_TOKEN, as octo"
        in moat("grant", "example", EXAMPLE_TOKEN="good").stderr
    )
