"""The workspace in the hands of a hostile command, during a run and before it."""

from __future__ import annotations

import subprocess
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import pytest

from moat.engines.bubblewrap.layout import Layout
from moat.errors import UsageError
from moat.workspace.git_layout import repository_of_worktree

if TYPE_CHECKING:
    from tests.sandbox import Sandbox


def test_what_the_host_trusts_is_read_only(sandbox: Sandbox, repository: Path) -> None:
    """Hooks and the configurations of git, Moat, the editor and direnv can't be written or moved."""
    (repository / ".vscode").mkdir()
    for name in ("agent.yaml", ".envrc", ".vscode/tasks.json"):
        (repository / name).write_text("ours")
    targets = "agent.yaml .envrc .vscode/tasks.json .vscode/new .git/config .git/hooks/pre-commit"
    for target in targets.split():
        done = sandbox.run("bash", "-c", f"echo theirs > {target}")
        assert "Read-only" in done.stderr, target
    for name in (".git", ".git/hooks", ".git/config", "agent.yaml", ".vscode"):
        assert "busy" in sandbox.rename(name), name
        assert sandbox.run("rm", "-rf", name).returncode != 0, name


def test_writable_git_opens_them(sandbox: Sandbox, repository: Path) -> None:
    """The user may choose to make them writable."""
    sandbox.shell("git config user.name agent; touch .git/hooks/x", writable_git=True)
    assert "agent" in (repository / ".git" / "config").read_text()


def test_nothing_is_made_in_the_workspace(sandbox: Sandbox, repository: Path) -> None:
    """Covers leave no empty files behind."""
    before = sorted(repository.rglob("*"))
    sandbox.shell("true", exclude=("missing/secret", ".env"))
    assert sorted(repository.rglob("*")) == before


def test_a_missing_hooks_folder_is_made_and_covered(sandbox: Sandbox, repository: Path) -> None:
    """Otherwise the sandbox could create it, and the host's git would run what is in it."""
    subprocess.run(["rm", "-r", repository / ".git" / "hooks"], check=True)
    assert "Read-only" in sandbox.run("touch", ".git/hooks/pre-commit").stderr


def test_a_bare_repository_is_covered(sandbox: Sandbox) -> None:
    """The workspace itself is the git folder."""
    subprocess.run(["git", "init", "-q", "--bare", sandbox.workspace], check=True)
    for name in ("config", "hooks/pre-receive"):
        assert "Read-only" in sandbox.run("bash", "-c", f"echo > {name}").stderr, name


def test_git_folders_of_submodules_and_worktrees_are_covered(
    sandbox: Sandbox, repository: Path
) -> None:
    """Git on the host obeys their configurations and hooks too."""
    module = repository / ".git" / "modules" / "deep" / "name"
    subprocess.run(["git", "init", "-q", "--bare", module], check=True)
    (repository / ".git" / "worktrees" / "w").mkdir(parents=True)
    (repository / ".git" / "worktrees" / "w" / "commondir").write_text("../..\n")
    for name in ("modules/deep/name/config", "modules/deep/name/hooks/x", "worktrees/w/commondir"):
        assert "Read-only" in sandbox.run("bash", "-c", f"echo > .git/{name}").stderr, name
    assert "busy" in sandbox.rename(".git/modules")


def test_excluded_paths_are_hidden(sandbox: Sandbox) -> None:
    """A file and a folder appear empty, and neither can be moved out of the way."""
    (sandbox.workspace / "deep" / "secrets").mkdir(parents=True)
    (sandbox.workspace / "deep" / "secrets" / "key").write_text("secret")
    (sandbox.workspace / ".env").write_text("secret")
    exclude = ("deep/secrets", ".env")
    assert sandbox.shell("cat .env; ls -A deep/secrets; ls -A deep", exclude=exclude) == "secrets"
    for target in (".env", "deep/secrets", "deep"):
        assert "busy" in sandbox.rename(target, exclude=exclude)
    assert sandbox.run("bash", "-c", "echo > .env", exclude=exclude).returncode != 0
    assert (sandbox.workspace / ".env").read_text() == "secret"


def test_an_excluded_link_hides_what_it_leads_to(sandbox: Sandbox) -> None:
    """The link alone holds nothing; a link out of the workspace leads nowhere in the sandbox."""
    (sandbox.workspace / "real").write_text("secret")
    (sandbox.workspace / "link").symlink_to("real")
    (sandbox.workspace / "out").symlink_to(sandbox.home / "other")
    assert sandbox.shell("cat real link", exclude=("link", "out")) == ""


@pytest.mark.parametrize("exclude", ["/etc/passwd", "../other", "", ".", "a/../.."])
def test_excludes_lie_below_the_workspace(sandbox: Sandbox, exclude: str) -> None:
    """Another path would be a promise that can't be kept."""
    with pytest.raises(UsageError, match="exclude"):
        Layout.of(sandbox.spec(exclude=(exclude,)), sandbox.private, b"")


def test_a_hidden_folder_in_a_read_only_one(sandbox: Sandbox) -> None:
    """The folders between the two don't become writable."""
    deep = sandbox.workspace / ".vscode" / "a" / "b"
    deep.mkdir(parents=True)
    done = sandbox.run("touch", ".vscode/a/x", exclude=(".vscode/a/b",))
    assert "Read-only" in done.stderr


@pytest.mark.usefixtures("descriptors")
@pytest.mark.parametrize("name", [".git/hooks", "agent.yaml", ".git"])
def test_no_link_is_followed_or_covered(sandbox: Sandbox, repository: Path, name: str) -> None:
    """An earlier run may have made it; a link can't be covered, so the run is refused."""
    target = sandbox.home / "target"
    target.mkdir()
    subprocess.run(["rm", "-rf", repository / name], check=True)
    (repository / name).symlink_to(target)
    with pytest.raises(UsageError, match="symbolic link"):
        Layout.of(sandbox.spec(), sandbox.private, b"")


def test_a_path_changed_after_the_layout_stops_the_start(
    sandbox: Sandbox, repository: Path
) -> None:
    """Bubblewrap notices that it mounted something other than what was opened."""
    swap = ["mv .git/hooks x", "ln -s /etc .git/hooks"]
    done = sandbox.run("true", before=swap)
    assert done.returncode != 0
    assert "bwrap" in done.stderr


@pytest.fixture
def worktree(sandbox: Sandbox) -> Path:
    """A linked worktree as the workspace; its repository lies beside it."""
    main = sandbox.home / "main"
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(main)]
    subprocess.run(["git", "init", "-q", main], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "first"], check=True)
    sandbox.workspace.rmdir()
    subprocess.run([*git, "worktree", "add", "-q", sandbox.workspace], check=True)
    return sandbox.workspace


def test_git_works_in_a_linked_worktree(sandbox: Sandbox, worktree: Path) -> None:
    """The repository is where the `.git` file says, its hooks and configuration read-only."""
    git = "git -c user.name=a -c user.email=a@b"
    sandbox.shell(f"touch x; git add x; {git} commit -q -m second; {git} log | grep -q second")
    main = sandbox.home / "main" / ".git"
    for target in (".git", f"{main}/config", f"{main}/hooks/x", f"{main}/worktrees/project/gitdir"):
        assert "Read-only" in sandbox.run("bash", "-c", f"echo > {target}").stderr, target


def test_a_forged_git_file_shows_nothing(sandbox: Sandbox, worktree: Path) -> None:
    """A repository that doesn't name the workspace in turn isn't shown."""
    other = sandbox.home / "other"
    subprocess.run(["git", "init", "-q", other], check=True)
    (other / ".git" / "worktrees" / "x").mkdir(parents=True)
    assert repository_of_worktree(worktree) == sandbox.home / "main" / ".git"
    (worktree / ".git").write_text(f"gitdir: {other}/.git/worktrees/x\n")
    assert repository_of_worktree(worktree) is None
    (worktree / ".git").write_text(f"gitdir: {sandbox.home}\n")
    assert repository_of_worktree(worktree) is None
    assert sandbox.run("ls", str(sandbox.home)).returncode != 0


def test_a_repository_of_many_submodules_still_starts(sandbox: Sandbox, repository: Path) -> None:
    """There are more covers than descriptors can be passed: the others are mounted by path."""
    for number in range(120):
        module = repository / ".git" / "modules" / f"m{number}"
        (module / "hooks").mkdir(parents=True)
        (module / "HEAD").touch()
    with Layout.of(sandbox.spec(), sandbox.private, b"") as layout:
        assert len(layout.descriptors) == 200
    assert "Read-only" in sandbox.run("touch", ".git/modules/m99/hooks/x").stderr


def test_paths_sort_parents_first() -> None:
    """Bubblewrap mounts in order, and a parent mounted late would hide its children."""
    paths = [PurePosixPath(p) for p in (".git", ".git/a", ".git-b", ".git/a/b")]
    assert sorted(paths) == [PurePosixPath(p) for p in (".git", ".git/a", ".git/a/b", ".git-b")]
