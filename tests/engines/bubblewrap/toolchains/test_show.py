"""The mounts that show toolchains."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from moat.engines.bubblewrap.mounts import Mounts
from moat.engines.bubblewrap.toolchains import search, show
from moat.engines.bubblewrap.toolchains.find import HostFolders
from moat.engines.bubblewrap.toolchains.show import Software

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> HostFolders:
    home = tmp_path / "home"
    (home / "project").mkdir(parents=True)
    monkeypatch.setenv("MOAT_HOME", str(home / ".moat"))
    return HostFolders(home=home, workspace=home / "project", store=home / ".moat")


def installation(prefix: Path, *files: str) -> str:
    """Make one, and return the folder for PATH."""
    for name in ("bin/tool", "lib/x", *files):
        (prefix / name).parent.mkdir(parents=True, exist_ok=True)
        (prefix / name).touch()
    return str(prefix / "bin")


def mounted(host: HostFolders, path: str) -> list[str]:
    """Return what is mounted or made below the home folder."""
    mounts = Mounts(host.store / "private")
    Software.of(path, host, {}).mount(mounts)
    home = f"{host.home}/"
    return [
        word.removeprefix(home)
        for option, word in zip(mounts.arguments, mounts.arguments[2:], strict=False)
        if option.startswith("--") and word.startswith(home)
    ]


def test_an_installation_without_secrets_is_one_mount(host: HostFolders) -> None:
    """Each mount costs a third of a millisecond."""
    path = installation(host.home / "sdk", "etc/gitconfig", "share/x/README")
    assert mounted(host, path) == ["sdk"]


def test_one_with_secret_settings_comes_in_parts(host: HostFolders) -> None:
    """What takes the place of such a file while a run is at work is not shown either."""
    path = installation(host.home / "sdk", "etc/npmrc", "etc/gitconfig", ".npmrc")
    assert mounted(host, path) == ["sdk/bin", "sdk/etc/gitconfig", "sdk/lib"]


def test_a_secret_further_down_is_covered(host: HostFolders) -> None:
    """The rest of the installation stays one mount."""
    path = installation(host.home / "sdk", "lib/deep/.netrc", "var/data")
    assert mounted(host, path) == ["sdk", "sdk/lib/deep/.netrc", "sdk/var"]


def test_what_was_searched_ahead_is_not_searched_again(host: HostFolders) -> None:
    """The result of another process is taken as it is."""
    path = installation(host.home / "sdk", "lib/.netrc")
    software = Software.of(path, host, {str(host.home / "sdk"): {"lib/x": False}})
    assert software.hidden[host.home / "sdk"] == {"lib/x": False}


def test_what_can_not_be_searched_is_not_shown(
    host: HostFolders, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A toolchain is left out; a folder that comes with the system's is covered as a whole."""
    path = installation(host.home / "sdk")
    system = tmp_path / "opt"
    installation(system)
    monkeypatch.setattr(show, "SYSTEM_FOLDERS", (system,))
    monkeypatch.setattr(show, "_SETTINGS_OF_SYSTEM", (system,))
    monkeypatch.setattr(search, "MAX_FOLDERS", 1)
    software = Software.of(path, host, {})
    assert software.toolchains.roots == []
    assert software.hidden == {system: {"": True}}
