"""What a run leaves for the next command of Moat's to execute, import or believe.

Each test has a run plant something that makes a file on the host, or shows that the run which would
plant it isn't started.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import moat as package

if TYPE_CHECKING:
    from tests.e2e.ordinary_user import OrdinaryUser

PROGRAMS = ("bwrap", "git", "python", "python3", "keytool", "uname", "true")
SUPERVISORS_OWN = {"DBUS_SESSION_BUS_ADDRESS", "HOME", "LANG", "MOAT_HOME", "PATH"}
"""The first leads to the user's keyring, with the key of the vault."""
HOSTILE_ENVIRONMENT = {
    "BASH_ENV": "/nowhere/bash",
    "ENV": "/nowhere/env",
    "GIT_CONFIG_GLOBAL": "/nowhere/gitconfig",
    "LD_LIBRARY_PATH": "/nowhere/lib",
    "OPENSSL_CONF": "/nowhere/openssl.cnf",
    "PYTHONPATH": "/nowhere/python",
    "PYTHONSTARTUP": "/nowhere/startup.py",
    "SSLKEYLOGFILE": "/nowhere/keys",
}


def planting(folder: str, marker: Path) -> str:
    """Return a shell script that leaves programs in a folder; each of them makes the marker."""
    names = " ".join(PROGRAMS)
    return (
        f"mkdir -p {folder} && cd {folder} && for name in {names}; do "
        f"printf '#!/bin/sh\\ntouch {marker}\\n' >$name; chmod +x $name; done"
    )


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    """A file of the host that no sandbox shows."""
    return tmp_path / "marker"


def refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """Nothing was started; there are two lines with these words, and no traceback."""
    assert done.returncode == 2, done
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 2, done.stderr
    assert lines[0].startswith("moat: ")
    for word in words:
        assert word in done.stderr


@pytest.mark.parametrize("folder", [".venv/bin", "node_modules/.bin", "."])
@pytest.mark.parametrize("relative", [False, True])
def test_programs_that_come_first_on_path(
    moat: Any, marker: Path, folder: str, relative: bool
) -> None:
    """A virtual environment that a run has filled, activated; and entries without a slash in front."""
    moat.ok("run", "--", "sh", "-c", planting(folder, marker))
    first = folder if relative else str(moat.workspace / folder)
    path = {"PATH": f"{first}:{moat.environment['PATH']}"}
    moat.ok("run", "-d", "-n", "x", "--", "/bin/sleep", "infinity", **path)
    moat.kill("x", "supervisor")
    for command in (("exec", "x", "--", "/bin/true"), ("list",), ("stop", "x"), ("destroy", "x")):
        moat.ok(*command, **path)
    said = moat.ok("doctor", **path)
    assert f"not used: {first}/bwrap" in said
    assert not marker.exists()


def test_a_program_of_the_settings(moat: Any, marker: Path, tmp_path: Path) -> None:
    """The user's own choice is started, unless a run could write it."""
    moat.ok("list")
    own = tmp_path / "tools" / "bwrap"
    own.parent.mkdir()
    own.write_text('#!/bin/sh\nexec /usr/bin/bwrap "$@"\n')
    own.chmod(0o755)
    (moat.home / "config.yaml").write_text(f"programs: {{bwrap: {own}}}\n")
    assert f"bubblewrap: {own}" in moat.ok("doctor")
    refused(moat("run", "-m", f"{own.parent}:/tools", "--", "true"), str(own), "programs")
    refused(moat("run", own.parent, "--", "true"), str(own), "programs")
    (moat.home / "config.yaml").write_text("programs: {bwrap: bin/bwrap}\n")
    assert "config.yaml:1: bwrap: 'bin/bwrap' is not absolute" in moat("run", "--", "true").stderr
    assert not marker.exists()


def virtual_environment(folder: Path) -> Path:
    """Make one with this Moat in it; return its Python."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (packages,) = folder.glob("lib/python3*/site-packages")
    tree = [Path(package.__file__).parents[1], sysconfig.get_paths()["purelib"]]
    (packages / "moat.pth").write_text("".join(f"{place}\n" for place in tree))
    return folder / "bin" / "python"


def call(moat: Any, python: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the Moat in an environment, where the other one's would run it."""
    return subprocess.run(
        [str(python), "-I", "-m", "moat", *arguments],
        cwd=moat.workspace,
        env=moat.environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def test_moat_in_the_workspaces_environment(moat: Any, marker: Path) -> None:
    """A .pth file there would be run by the next `moat list`, so the run isn't started."""
    python = virtual_environment(moat.workspace / ".venv")
    plant = (
        f'echo "import os; os.mknod({str(marker)!r})" >"$(echo .venv/lib/*/site-packages)/x.pth"'
    )
    refused(call(moat, python, "run", "--", "sh", "-c", plant), ".venv", "uv tool install")
    refused(call(moat, python, "run", ".venv/lib", "--", "true"), "Moat's Python")
    (moat.workspace.parent / "other").mkdir()
    mount = f"{moat.workspace}:/data"
    refused(call(moat, python, "run", "-m", mount, "../other", "--", "true"), "mount")
    assert call(moat, python, "list").returncode == 0
    assert not marker.exists()
    # Another Moat may work there: it obeys nothing of it.
    moat.ok("run", "--", "sh", "-c", plant)
    moat.ok("list")
    assert not marker.exists()


def test_a_module_that_the_projects_environment_shares(
    moat: Any, marker: Path, tmp_path: Path
) -> None:
    """uv links the files of a package into every environment: one file, two names."""
    python = virtual_environment(tmp_path / "tool")
    (packages,) = (tmp_path / "tool").glob("lib/python3*/site-packages")
    own = Path(sysconfig.get_paths()["purelib"])
    shutil.copytree(own / "click", moat.workspace / "click")
    (packages / "click-8.dist-info").mkdir()
    (moat.workspace / "METADATA").write_text("Name: click\n")
    (packages / "click-8.dist-info" / "METADATA").hardlink_to(moat.workspace / "METADATA")
    shutil.copytree(moat.workspace / "click", packages / "click", copy_function=os.link)
    plant = f"echo 'import os; os.mknod(\"{marker}\")' >>click/__init__.py"
    done = call(moat, python, "run", "--", "sh", "-c", plant)
    assert (done.returncode, done.stderr) == (0, "")
    assert "mknod" in (moat.workspace / "click" / "__init__.py").read_text()
    assert call(moat, python, "list").returncode == 0
    assert not marker.exists()


@pytest.mark.parametrize("link", [False, True])
def test_the_store_in_the_workspace(moat: Any, link: bool) -> None:
    """The record of runs, their keys and the settings would be the run's to write."""
    store = moat.workspace / "store"
    if link:
        store.mkdir(mode=0o700)
        (moat.home.parent / "link").symlink_to(store)
        store = moat.home.parent / "link"
    refused(moat("run", "--", "true", MOAT_HOME=str(store)), "keeps its runs", "MOAT_HOME")


def test_settings_that_lie_in_the_workspace(moat: Any) -> None:
    """A link from the store into a repository of dotfiles, in which the run would work."""
    moat.ok("list")
    (moat.workspace / "moat.yaml").write_text("network: {policy: permissive}\n")
    (moat.home / "config.yaml").symlink_to(moat.workspace / "moat.yaml")
    refused(moat("run", "--", "true"), "moat.yaml", "Moat's settings")
    (moat.workspace / "moat.yaml").unlink()  # an editor saves by replacing
    refused(moat("run", "--", "true"), "Moat's settings")


@pytest.mark.parametrize(
    "variable", ["PYTHONPATH", "PYTHONUSERBASE", "PYTHONPYCACHEPREFIX", "LD_LIBRARY_PATH"]
)
def test_a_variable_that_leads_into_the_workspace(moat: Any, variable: str) -> None:
    """The next `moat` in this shell would load what the run has left there."""
    done = moat("run", "--", "true", **{variable: str(moat.workspace / "code")})
    refused(done, variable, "work in another folder")


def test_moat_as_a_module_in_the_workspace(moat: Any) -> None:
    """`python -m` takes the working directory first, where the run could leave a `moat` of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "moat", "run", "--", "true"],
        cwd=moat.workspace,
        env=moat.environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    refused(done, str(moat.workspace), "start it as moat")


@pytest.mark.parametrize("path", [".", "..", ".ssh", ".config/git", "bin"])
def test_the_home_folder_is_no_workspace(moat: Any, path: str) -> None:
    """Refused for its own sake, wherever the store is; a project in it is fine."""
    home = moat.workspace / "home"
    for folder in (".ssh", ".config/git", "bin", "project"):
        (home / folder).mkdir(parents=True)
    (home / ".ssh" / "id_ed25519").write_text("the key\n")
    here: dict[str, Any] = {"cwd": home, "HOME": str(home)}
    command = ("--", "sh", "-c", "cat .ssh/* id_*")
    refused(moat("run", path, *command, **here), str((home / path).resolve()))
    mode = "ro" if path in {".", ".."} else "rw"
    mount = f"{(home / path).resolve()}:/data:{mode}"
    refused(moat("run", "project", "-m", mount, *command, **here), "mount")
    assert moat.ok("run", "project", "--", "echo", "fine", **here) == "fine\n"


@pytest.mark.parametrize("path", ["/", "/etc", "/usr", "/usr/local/bin", "/tmp", "/var"])
def test_the_system_is_no_workspace(moat: Any, path: str) -> None:
    """Not even for root, whose runs could change all of it."""
    refused(moat("run", path, "--", "true"), path)


def variables(pid: int) -> set[str]:
    """Return the names of the variables that a process was started with."""
    content = Path(f"/proc/{pid}/environ").read_bytes()
    return {line.partition(b"=")[0].decode() for line in content.split(b"\0") if line}


def test_the_environment_of_moats_own_processes_is_made_for_them(moat: Any) -> None:
    """Nothing of the user's shell that chooses code, keys or certificates gets there."""
    moat.write_settings("spare: false\n")  # what is forked shows its parent's in /proc
    moat.ok("run", "-d", "-n", "x", "--", "sleep", "infinity", **HOSTILE_ENVIRONMENT)
    run = moat.inspect("x")
    assert variables(run["supervisor"]["pid"]) == SUPERVISORS_OWN
    shim = run["shim"]["pid"]
    assert variables(shim) == {"PATH"}
    (sandbox,) = Path(f"/proc/{shim}/task/{shim}/children").read_text().split()
    assert variables(int(sandbox)) <= {"LC_CTYPE", "PATH"}  # Python adds the first
    moat.kill("x", "supervisor")
    moat.ok("exec", "x", "--", "true", **HOSTILE_ENVIRONMENT)
    again = variables(moat.supervisor("x"))
    assert again == SUPERVISORS_OWN
    assert "/nowhere" not in Path(f"/proc/{moat.supervisor('x')}/environ").read_text()


def test_an_ordinary_user(ordinary_user: OrdinaryUser, marker: Path) -> None:
    """The same holds where Moat and the system belong to somebody else: to root."""
    user = ordinary_user
    done = user.moat("run", "--", "sh", "-c", planting(".venv/bin", marker))
    assert done.returncode == 0, done.stderr
    path = {"PATH": f"{user.workspace}/.venv/bin:/usr/bin:/bin"}
    assert user.moat("run", "--", "/bin/true", **path).returncode == 0
    assert f"not used: {user.workspace}/.venv/bin/bwrap" in user.moat("doctor", **path).stdout
    refused(user.moat("run", "--", "true", PYTHONPATH=str(user.workspace)), "PYTHONPATH")
    refused(user.moat("run", "..", "--", "true"), "is a home folder")
    refused(user.moat("run", str(user.folder), "--", "true"), "holds the home folder")
    assert not marker.exists()
