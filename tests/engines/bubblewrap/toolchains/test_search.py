"""The search of toolchains for secrets, and what of it is kept for the next start."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from moat.engines.bubblewrap.toolchains import search
from moat.engines.bubblewrap.toolchains.search import UnsearchableError, hidden_in

KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\nsecret\n"
CERTIFICATE = "-----BEGIN CERTIFICATE-----\npublic\n"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MOAT_HOME", str(tmp_path / "store"))
    (tmp_path / "sdk").mkdir()
    return tmp_path / "sdk"


def put(path: Path, text: str = "x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    "path",
    [
        *("etc/npmrc", "lib/node_modules/x/.npmrc", "pip.conf", ".condarc", "a/b/c/d/.netrc"),
        *("share/app/.pypirc", ".env", "lib/app/.env.production", "x/.cargo/credentials.toml"),
        *("x/nuget.config", "x/conf/settings.xml", "x/gradle.properties", ".codex/auth.json"),
        *("bin/id_ed25519", "x/credentials", "x/store.p12", "x/.bash_history", ".bundle/config"),
    ],
)
def test_a_secret_is_hidden_at_any_depth(root: Path, path: str) -> None:
    """Its name is enough, wherever it lies."""
    put(root / path)
    assert hidden_in(root, ()) == {path: False}


@pytest.mark.parametrize(
    "path",
    [
        *(
            "lib/python3.12/site-packages/certifi/cacert.pem",
            "lib/x/credentials.py",
            "etc/gitconfig",
        ),
        *("locales/en/auth.json", ".env.example", "config.json", "lib/secrets.py", "env"),
    ],
)
def test_what_programs_need_is_not(root: Path, path: str) -> None:
    """Names that are common in packages stay, and so do certificates."""
    put(root / path, CERTIFICATE)
    assert hidden_in(root, ()) == {}


@pytest.mark.parametrize(
    ("path", "text", "is_hidden"),
    [
        ("server.pem", KEY, True),
        ("deep/tls.key", KEY, True),
        ("deep/server.pem", CERTIFICATE, False),
        ("lib/python3/test/keycert.pem", KEY, False),
    ],
)
def test_the_content_tells_a_key(root: Path, path: str, text: str, is_hidden: bool) -> None:
    """A certificate is public, and so is a key that a package publishes for its tests."""
    put(root / path, text)
    assert hidden_in(root, ()) == ({path: False} if is_hidden else {})


@pytest.mark.parametrize(
    ("config", "is_hidden"),
    [
        ('[remote "origin"]\n\turl = https://someone:secret@git.example/x\n', True),
        ('[http "https://git.example"]\n\textraheader = AUTHORIZATION: basic c2VjcmV0\n', True),
        ('[remote "origin"]\n\turl = https://git.example/x\n', False),
    ],
)
def test_a_repository_is_hidden_if_it_can_log_in(root: Path, config: str, is_hidden: bool) -> None:
    """Version managers are clones, and their programs ask git for the version."""
    put(root / "plugins" / "x" / ".git" / "config", config)
    assert hidden_in(root, ()) == ({"plugins/x/.git": True} if is_hidden else {})


def test_a_login_that_a_repository_gets_later(root: Path) -> None:
    """The folder of a configuration that was harmless is looked at again."""
    config = put(root / ".git" / "config", "[core]\n")
    assert hidden_in(root, ()) == {}
    put(root / ".git" / "new", "[remote]\n\turl = https://a:b@git.example/x\n").replace(config)
    assert hidden_in(root, ()) == {".git": True}


def test_sockets_and_pipes_are_hidden(root: Path) -> None:
    """Somebody on the host listens there."""
    with socket.socket(socket.AF_UNIX) as service:
        service.bind(str(root / "agent.sock"))
        os.mkfifo(root / "pipe")
        assert hidden_in(root, ()) == {"agent.sock": False, "pipe": False}


def test_what_a_link_with_a_secrets_name_leads_to(root: Path) -> None:
    """The link shows nothing by itself; what it leads to is hidden, if it is in the toolchain."""
    put(root / "share" / "settings")
    (root / "etc").mkdir()
    (root / "etc" / "npmrc").symlink_to("../share/settings")
    (root / ".netrc").symlink_to("/etc/hostname")
    assert hidden_in(root, ()) == {"share/settings": False}


def test_folders_that_nobody_needs(root: Path) -> None:
    """They are hidden at the top, and not searched."""
    put(root / "var" / "postgres" / "data")
    put(root / "lib" / "var" / "x")
    assert hidden_in(root, {"var"}) == {"var": True}


def test_later_starts_look_only_where_something_changed(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They find what is new and what is gone, and read no other folder."""
    put(root / "lib" / "a" / ".npmrc")
    put(root / "lib" / "b" / "module")
    assert hidden_in(root, ()) == {"lib/a/.npmrc": False}
    listed: list[str] = []
    read = search._list

    def record(folder: str) -> tuple[list[str], list[str], list[str], list[str]]:
        listed.append(str(Path(folder).relative_to(root)))
        return read(folder)

    monkeypatch.setattr(search, "_list", record)
    assert hidden_in(root, ()) == {"lib/a/.npmrc": False}
    assert listed == []
    put(root / "lib" / "b" / "new" / ".env")
    assert hidden_in(root, ()) == {"lib/a/.npmrc": False, "lib/b/new/.env": False}
    assert sorted(listed) == ["lib/b", "lib/b/new"]
    (root / "lib" / "a" / ".npmrc").unlink()
    assert hidden_in(root, ()) == {"lib/b/new/.env": False}
    (root / "lib" / "b").rename(root / "c")
    assert hidden_in(root, ()) == {"c/new/.env": False}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"rules": "others"}'])
def test_what_another_version_kept_is_not_used(root: Path, tmp_path: Path, text: str) -> None:
    """The search begins anew."""
    put(root / ".npmrc")
    assert hidden_in(root, ()) == {".npmrc": False}
    (kept,) = (tmp_path / "store" / "toolchains").glob("*.json")
    kept.write_text(text)
    assert hidden_in(root, ()) == {".npmrc": False}


def test_the_search_is_bounded(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that can't be searched is an error, and so is one full of secrets."""
    for number in range(4):
        put(root / str(number) / ".env")
    monkeypatch.setattr(search, "MAX_HIDDEN", 3)
    with pytest.raises(UnsearchableError, match="names of secrets"):
        hidden_in(root, ())
    monkeypatch.setattr(search, "MAX_FOLDERS", 3)
    with pytest.raises(UnsearchableError, match="folders"):
        search.search(str(root), search.Searched())
