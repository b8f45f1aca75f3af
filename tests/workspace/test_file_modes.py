"""Rights, pipes and sockets that a run leaves behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from moat.spec import Mount

if TYPE_CHECKING:
    from pathlib import Path

    from tests.workspace.host import Host

LENDING = {
    "by chmod": "cp /bin/true x; chmod g+s x",
    "by open": "python3 -c 'import os; os.open(\"x\", os.O_CREAT | os.O_WRONLY, 0o2755)'",
    "by a copy": "chmod g+s sub; cp -p /bin/true x; chmod 2755 x; cp -p x sub/y; mv sub/y x",
    "from an archive": "cp /bin/true x; chmod g+s x; tar cf t x; rm x; tar xpf t",
    "by installation": "install -m 2755 /bin/true x",
}


@pytest.mark.parametrize("way", LENDING)
def test_files_that_lend_rights_lose_them(host: Host, way: str) -> None:
    """Whoever starts the file on the host would have the rights of the user's group."""
    host.prepare("mkdir sub")
    lines = host.attacked(LENDING[way])
    assert lines == [f"{host.root}: taken off: x (setgid)"]
    assert (host.root / "x").stat().st_mode & 0o7777 == 0o755


@pytest.mark.parametrize("mode", ["u+s", "6755", "4711"])
def test_no_file_can_be_made_setuid(host: Host, mode: str) -> None:
    """The kernel refuses it to the sandbox, so nobody can start it even before the run's end."""
    assert host.sandbox.run("sh", "-c", f"cp /bin/true x; chmod {mode} x").returncode != 0
    assert not (host.root / "x").stat().st_mode & 0o4000


def test_no_file_gets_capabilities(host: Host) -> None:
    """They are an attribute that takes a capability to set."""
    script = (
        "import os; os.setxattr('file', 'security.capability', b'\\1\\0\\0\\2' + b'\\xff' * 16)"
    )
    assert "not permitted" in host.sandbox.run("python3", "-c", script).stderr


def test_rights_of_the_users_own_stay(host: Host) -> None:
    """Shared folders lend their group to new files, and so may a program that the user put there."""
    host.prepare("cp /bin/true mine; chmod 2755 mine; mkdir shared; chmod 2775 shared")
    assert host.attacked("touch shared/new; mkdir -m 2755 other") == []
    assert (host.root / "mine").stat().st_mode & 0o2000
    assert (host.root / "shared").stat().st_mode & 0o2000


def test_a_link_to_a_program_of_the_host_is_left_alone(host: Host, tmp_path: Path) -> None:
    """Only what lies in the workspace is changed."""
    program = tmp_path / "program"
    program.write_text("")
    program.chmod(0o2755)
    assert host.attacked(f"ln -s {program} x") == []
    assert program.stat().st_mode & 0o2000


def test_a_mounted_folder_is_looked_at_too(host: Host, tmp_path: Path) -> None:
    """What the user mounts writable is treated as the workspace is."""
    other = tmp_path / "other"
    other.mkdir()
    host.sandbox.spec_fields["mounts"] = (Mount(str(other), "/other"),)
    assert host.attacked("install -m 2755 /bin/true /other/x") == [
        f"{other}: taken off: x (setgid)"
    ]


def test_what_is_no_file_is_named(host: Host) -> None:
    """A program that opens it may wait for ever, or talk to somebody."""
    script = "import socket; socket.socket(socket.AF_UNIX).bind('s')"
    (line,) = host.attacked(f'mkfifo p; python3 -c "{script}"')
    head, _, listed = line.partition(" unasked: ")
    assert head == f"{host.root}: new or changed, and obeyed"
    assert sorted(listed.split(", ")) == ["p (a named pipe)", "s (a socket)"]


def test_what_everybody_may_write_is_named(host: Host) -> None:
    """Other users of the machine could change what this one runs."""
    (line,) = host.attacked("mkdir d; chmod 777 d; touch f; chmod 666 f; mkdir -m 1777 t")
    assert sorted(line.partition(" unasked: ")[2].split(", ")) == [
        *("d (writable for everybody)", "f (writable for everybody)"),
    ]
    host.root.chmod(0o777)
    assert host.attacked("touch g; chmod 666 g") == []
