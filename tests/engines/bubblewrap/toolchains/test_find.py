"""The toolchains that the sandbox shows for each folder of the user's PATH."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from moat.engines.bubblewrap.system import STANDARD_PATH
from moat.engines.bubblewrap.toolchains.find import HostFolders, find_toolchains
from moat.engines.under_shim import secret_paths

if TYPE_CHECKING:
    from pathlib import Path

    from tests.sandbox import Sandbox


@pytest.fixture
def host(tmp_path: Path) -> HostFolders:
    home = tmp_path / "home"
    (home / "project").mkdir(parents=True)
    return HostFolders(home=home, workspace=home / "project", store=home / ".moat")


def program(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\necho works\n")
    path.chmod(0o755)
    return path


def own_path(path: list[str]) -> list[str]:
    return [entry for entry in path if entry not in STANDARD_PATH]


def test_the_systems_folders_come_in_the_users_order(host: HostFolders) -> None:
    """The standard folders follow them, so that there is always a shell."""
    found = find_toolchains("/bin:/usr/bin:relative::/missing", host)
    assert found.path[:2] == ["/bin", "/usr/bin"]
    assert found.path[2:] == ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/sbin"]
    assert found.roots == []


def test_a_version_manager_comes_whole(host: HostFolders) -> None:
    """Its shims find it by a variable, because the sandbox's home folder is another."""
    shim = program(host.home / ".pyenv" / "shims" / "python3")
    found = find_toolchains(str(shim.parent), host)
    assert found.roots == [host.home / ".pyenv"]
    assert found.env == {"PYENV_ROOT": str(host.home / ".pyenv")}
    assert own_path(found.path) == [str(shim.parent)]


def test_cargo_comes_without_its_credentials(host: HostFolders) -> None:
    """Its programs are shown, and rustup's folder, which they lead to."""
    program(host.home / ".cargo" / "bin" / "cargo")
    (host.home / ".cargo" / "lib").mkdir()
    (host.home / ".cargo" / "credentials.toml").write_text("secret")
    (host.home / ".rustup").mkdir()
    found = find_toolchains(f"{host.home}/.cargo/bin", host)
    assert found.roots == [host.home / ".cargo" / "bin", host.home / ".rustup"]
    assert found.env == {"RUSTUP_HOME": str(host.home / ".rustup")}


def test_an_installation_comes_whole(host: HostFolders) -> None:
    """Its programs need the libraries beside them."""
    program(host.home / "sdk" / "bin" / "tool")
    (host.home / "sdk" / "lib").mkdir()
    assert find_toolchains(f"{host.home}/sdk/bin", host).roots == [host.home / "sdk"]


@pytest.mark.parametrize("mark", [".git", "src"])
def test_a_project_shows_its_programs_alone(host: HostFolders, mark: str) -> None:
    """A bin in a repository, or without libraries beside it, doesn't show what lies around it."""
    program(host.home / "other" / "bin" / "tool")
    (host.home / "other" / mark).mkdir()
    found = find_toolchains(f"{host.home}/other/bin", host)
    assert found.roots == [host.home / "other" / "bin"]


def test_the_home_folder_is_no_installation(host: HostFolders) -> None:
    """~/bin and ~/lib don't make all of ~ a toolchain."""
    program(host.home / "bin" / "tool")
    (host.home / "lib").mkdir()
    assert find_toolchains(f"{host.home}/bin", host).roots == [host.home / "bin"]


@pytest.mark.parametrize("secret", secret_paths.HOME)
def test_no_secret_is_ever_shown(host: HostFolders, secret: str) -> None:
    """Whatever PATH says, it shows neither a secret nor a folder in it or around it."""
    place = host.home / secret
    program(place / "bin" / "tool")
    (place / "lib").mkdir()
    program(place.parent / "bin" / "tool")
    found = find_toolchains(f"{place}/bin:{place}:{place.parent}/bin:{host.home}", host)
    assert not any(place.is_relative_to(p) or p.is_relative_to(place) for p in found.roots)


def test_local_programs_bring_what_they_link_to(host: HostFolders) -> None:
    """pipx, uv and programs that update themselves install links to folders of their own."""
    local = host.home / ".local"
    (local / "bin").mkdir(parents=True)
    targets = {
        "black": program(local / "share" / "pipx" / "venvs" / "black" / "bin" / "black"),
        "claude": program(local / "share" / "claude" / "versions" / "2.0.0"),
        "tool": program(host.home / "other" / "tool.sh"),
        "login": program(local / "share" / "keyrings" / "login"),
    }
    (targets["black"].parent.parent / "pyvenv.cfg").touch()
    for name, target in targets.items():
        (local / "bin" / name).symlink_to(target)
    (local / "bin" / "folder").symlink_to(host.home)
    found = find_toolchains(f"{local}/bin", host)
    assert set(found.roots) == {
        local / "bin",
        local / "share" / "pipx" / "venvs" / "black",
        local / "share" / "claude",
        host.home / "other" / "tool.sh",
    }


def test_a_virtual_environment_brings_its_python(host: HostFolders) -> None:
    """Its interpreter is a link to another installation."""
    base = program(host.home / "pythons" / "3.12" / "bin" / "python3.12")
    (base.parent.parent / "lib").mkdir()
    environment = host.home / "venv"
    (environment / "bin").mkdir(parents=True)
    (environment / "pyvenv.cfg").touch()
    (environment / "bin" / "python").symlink_to(base)
    found = find_toolchains(f"{environment}/bin", host)
    assert found.roots == [environment, base.parent.parent]


def test_the_workspaces_own_folders_are_renamed(host: HostFolders) -> None:
    """The sandbox has them under /workspace already, and links in them are not followed."""
    program(host.workspace / ".venv" / "bin" / "tool")
    (host.workspace / ".venv" / "bin" / "out").symlink_to(host.home / "other")
    found = find_toolchains(f"{host.workspace}/.venv/bin", host)
    assert own_path(found.path) == ["/workspace/.venv/bin"]
    assert found.roots == []


def test_a_link_in_the_workspace_shows_nothing(host: HostFolders) -> None:
    """A hostile run can replace a folder that PATH names with a link."""
    program(host.home / "private" / "bin" / "tool")
    (host.home / "private" / "lib").mkdir()
    (host.workspace / ".venv").symlink_to(host.home / "private")
    (host.home / "bin").mkdir()
    (host.home / "bin" / "tool").symlink_to(host.workspace / ".venv" / "bin" / "tool")
    assert find_toolchains(f"{host.home}/bin", host).roots == [host.home / "bin"]
    found = find_toolchains(f"{host.workspace}/.venv/bin", host)
    assert found.roots == []
    assert own_path(found.path) == []


def test_programs_of_toolchains_run(sandbox: Sandbox) -> None:
    """They run from the same absolute path, read-only, without the rest of the home folder."""
    tool = program(sandbox.home / "sdk" / "bin" / "sometool")
    (sandbox.home / "sdk" / "lib").mkdir()
    path = f"{tool.parent}:/usr/bin:/bin"
    assert sandbox.shell("sometool; command -v sometool", host_path=path).splitlines() == [
        "works",
        str(tool),
    ]
    assert sandbox.shell(f"ls -A {sandbox.home}", host_path=path) == "sdk"
    assert "Read-only" in sandbox.run("touch", str(tool), host_path=path).stderr


def test_a_home_behind_a_link(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shebangs and links that use the home folder's other name work."""
    tool = program(sandbox.home / "sdk" / "bin" / "sometool")
    alias = sandbox.home.parent / "alias"
    alias.symlink_to(sandbox.home)
    monkeypatch.setenv("HOME", str(alias))
    path = f"{alias}/sdk/bin:/usr/bin:/bin"
    assert sandbox.shell(f"{alias}/sdk/bin/sometool; sometool", host_path=path) == "works\nworks"
    assert tool.exists()
