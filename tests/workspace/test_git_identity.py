"""The user's identity for git in a sandbox."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from moat.workspace import git_identity

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's home, on a machine whose administrator has configured nothing."""
    folder = tmp_path / "ada"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setattr(git_identity, "SYSTEM", tmp_path / "system")
    return folder


def repository(home: Path, path: str = "jobs/app") -> Path:
    folder = home / path
    subprocess.run(["git", "init", "-q", folder], check=True)
    return folder


def asked(arguments: list[str], **environment: str) -> str:
    """What git itself says."""
    command = ["git", "config", "--includes", *arguments]
    done = subprocess.run(
        command,
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip()


def value(home: Path, workspace: Path, name: str) -> str:
    """A value in the text for the sandbox, as git reads it."""
    file = home / "sandbox"
    file.write_text(git_identity.config_for(workspace))
    return asked(["--file", str(file), name])


def test_the_sandbox_has_the_users_identity_and_signs_nothing(home: Path) -> None:
    """Name, address and default branch are carried over, keys and programs are not."""
    (home / ".gitconfig").write_text(
        '[user]\n\tname = "Ada \\"A\\" L; #1"\n\temail = ada@example.com\n\tsigningKey = KEY\n'
        "[init]\n\tdefaultBranch = trunk\n\ttemplateDir = /t\n[commit]\n\tgpgSign = true\n"
        "[core]\n\tpager = evil\n[alias]\n\tx = !evil\n"
    )
    workspace = repository(home)
    assert value(home, workspace, "user.name") == 'Ada "A" L; #1'
    assert value(home, workspace, "user.email") == "ada@example.com"
    assert value(home, workspace, "init.defaultBranch") == "trunk"
    assert value(home, workspace, "commit.gpgSign") == "false"
    for name in ("user.signingKey", "init.templateDir", "core.pager", "alias.x"):
        assert value(home, workspace, name) == ""


def test_the_later_configuration_wins(home: Path, tmp_path: Path) -> None:
    """The system's is overridden by that below .config, and that by ~/.gitconfig, as git has it."""
    system = tmp_path / "system"
    system.write_text("[user]\n\tname = S\n\temail = s@x\n[core]\n\tabbrev = 9\n")
    system.chmod(0o644)  # whatever the umask
    (home / ".config/git").mkdir(parents=True)
    (home / ".config/git/config").write_text("[user]\n\tname = X\n\temail = x@x\n")
    (home / ".gitconfig").write_text("[user]\n\tname = H\n")
    workspace = repository(home)
    assert value(home, workspace, "user.name") == "H"
    assert value(home, workspace, "user.email") == "x@x"
    assert value(home, workspace, "core.abbrev") == "9"


def test_a_system_configuration_that_is_not_public_stays_out(home: Path, tmp_path: Path) -> None:
    """What not everybody may read on the host isn't shown, apart from the identity."""
    system = tmp_path / "system"
    system.write_text("[user]\n\tname = S\n[http]\n\textraHeader = secret\n")
    system.chmod(0o640)
    assert value(home, repository(home), "user.name") == "S"
    assert "secret" not in git_identity.config_for(repository(home))


@pytest.mark.parametrize(
    "condition",
    [
        "gitdir:~/jobs/",
        "gitdir:~/jobs/app/.git",
        "gitdir:~/other/",
        "gitdir:jobs/",
        "gitdir:app/.git",
        "gitdir:**/app/**",
        "gitdir:obs/",
        "gitdir:~/JOBS/",
        "gitdir/i:~/JOBS/",
        "gitdir:~/j?bs/a*/.git",
        "gitdir:~/jobs*",
        "gitdir:~/jobs/[a-c]pp/",
        "gitdir:~/jobs/[!a-c]pp/",
        "gitdir:./jobs/",
        "gitdir:./job/",
        "gitdir:~/j\\\\obs/",
        "gitdir:/",
        "gitdir:*",
        "gitdir:**",
        "unknown:x",
    ],
)
def test_conditions_hold_where_they_hold_for_git(home: Path, condition: str) -> None:
    """An include with a condition counts for the workspace exactly if git itself obeys it there."""
    (home / "inc").write_text("[user]\n\temail = jobs@example.com\n")
    (home / ".gitconfig").write_text(
        f'[user]\n\temail = home@example.com\n[includeIf "{condition}"]\n\tpath = inc\n'
    )
    workspace = repository(home)
    truth = asked(["--global", "user.email"], HOME=str(home), GIT_DIR=str(workspace / ".git"))
    assert truth in {"jobs@example.com", "home@example.com"}
    assert value(home, workspace, "user.email") == truth


def test_a_workspace_by_another_name_is_the_same(home: Path) -> None:
    """A condition may name the folder by a symbolic link or by its real path."""
    workspace = repository(home)
    (home / "link").symlink_to(home / "jobs")
    (home / "inc").write_text("[user]\n\temail = jobs@example.com\n")
    for name in ("link", "jobs"):
        (home / ".gitconfig").write_text(f'[includeIf "gitdir:~/{name}/"]\n\tpath = ~/inc\n')
        assert value(home, home / "link" / workspace.name, "user.email") == "jobs@example.com"


def test_the_workspace_decides_nothing(home: Path) -> None:
    """Neither its configuration nor its branch and remotes change the identity."""
    workspace = repository(home)
    (home / "inc").write_text("[user]\n\temail = jobs@example.com\n")
    (home / ".gitconfig").write_text(
        '[includeIf "onbranch:**"]\n\tpath = inc\n'
        '[includeIf "hasconfig:remote.*.url:**"]\n\tpath = inc\n'
    )
    with (workspace / ".git/config").open("a") as config:
        config.write('[user]\n\tname = Eve\n\temail = eve@x\n[remote "o"]\n\turl = u\n')
    assert value(home, workspace, "user.email") == ""
    assert value(home, workspace, "user.name") == ""


def test_an_include_of_itself_ends(home: Path) -> None:
    """Includes are followed as deep as git follows them, and no deeper."""
    include = "[include]\n\tpath = .gitconfig\n"
    (home / ".gitconfig").write_text(f"{include * 9}[user]\n\tname = A\n")
    assert value(home, home / "jobs", "user.name") == "A"


@pytest.mark.parametrize("content", [b"\xff[user]", b"[user]\nname = \xff\n", b"[user\nname"])
def test_a_damaged_configuration_is_no_failure(home: Path, content: bytes) -> None:
    """A run starts all the same; git on the host says what is wrong with the file."""
    (home / ".gitconfig").write_bytes(content)
    assert "gpgsign" in git_identity.config_for(home / "jobs")


@pytest.mark.parametrize(
    ("config", "signs"),
    [
        ("[user]\n\tname = Ada\n", False),
        ("[commit]\n\tGPGSign = true\n", True),
        ("[tag]\n\tforceSignAnnotated\n", True),
        ("# [commit] gpgSign = true\n", False),
    ],
)
def test_a_repository_that_asks_for_signatures_is_told_otherwise(
    tmp_path: Path, config: str, signs: bool
) -> None:
    """Git reads the last word, and a configuration that asks for none stays as it is."""
    text = git_identity.unsigned(config)
    assert (text != config) is signs
    assert text.startswith(config)
    (tmp_path / "config").write_text(text)
    for key in ("commit.gpgSign", "tag.forceSignAnnotated"):
        done = subprocess.run(
            ["git", "config", "-f", str(tmp_path / "config"), "--get", "--bool", key],
            check=False, capture_output=True, text=True,
        )  # fmt: skip
        assert done.stdout == ("false\n" if signs else "")
