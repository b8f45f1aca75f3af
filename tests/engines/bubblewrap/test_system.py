"""The sandbox's /etc."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moat.engines.bubblewrap import etc_files
from moat.engines.bubblewrap.etc_files import EtcFiles
from moat.engines.bubblewrap.mounts import Mounts
from moat.engines.bubblewrap.system import mount_system
from moat.spec import Network

if TYPE_CHECKING:
    import pytest
    from tests.sandbox import Sandbox

NOTHING = EtcFiles({}, {})


def test_secrets_of_the_machine_are_absent(sandbox: Sandbox) -> None:
    """There is no password file and no private key, not even if root runs Moat."""
    names = "shadow gshadow shadow- ssl/private pip.conf npmrc environment docker apt/auth.conf"
    for name in names.split():
        assert sandbox.run("test", "-e", f"/etc/{name}").returncode == 1, name


def test_everything_shown_is_everybodys(sandbox: Sandbox) -> None:
    """Every user of the host can read what is copied or mounted."""
    mount_system(Mounts(sandbox.private), sandbox.spec(), sandbox.private, NOTHING)
    copied = (sandbox.private / "settings").readlink()
    own = {"passwd", "group", "hostname", "hosts", "resolv.conf", "machine-id"}
    for path in copied.rglob("*"):
        source = Path("/etc") / path.relative_to(copied)
        if path.name not in own and path.is_file() and not path.is_symlink():
            assert source.stat().st_mode & stat.S_IROTH, source


def test_users_and_names_are_ours(sandbox: Sandbox) -> None:
    """The host's users, its name and its name servers stay outside."""
    seen = sandbox.shell("getent passwd | cut -d: -f1,6; cat /etc/resolv.conf /etc/hostname")
    assert seen.splitlines() == [
        "root:/root",
        "agent:/home/agent",
        "nobody:/nonexistent",
        "nameserver 127.0.0.1",
        "brave-otter",
    ]
    assert sandbox.shell("getent hosts brave-otter").startswith("127.0.1.1")


def test_certificates_are_there(sandbox: Sandbox) -> None:
    """Tools find the system's certificate authorities, through links in several folders."""
    find = "python3 -c 'import ssl; assert ssl.create_default_context().get_ca_certs()'"
    sandbox.shell(find, network=Network(passthrough=("pinned.test",)))


def test_a_second_start_finds_its_folders_made(sandbox: Sandbox) -> None:
    """A supervisor that died before the sandbox began leaves its folders behind."""
    assert sandbox.shell("echo one") == "one"
    assert sandbox.shell("echo two") == "two"


def test_one_copy_serves_until_the_host_changes(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then another copy is made, and the old one stays only as long as a run uses it."""
    used = sandbox.private / "settings"
    mount_system(Mounts(sandbox.private), sandbox.spec(), sandbox.private, NOTHING)
    first = used.readlink()
    mount_system(Mounts(sandbox.private), sandbox.spec(), sandbox.private, NOTHING)
    assert used.readlink() == first

    changes = iter("abc")
    listed = etc_files._entries

    def changed(*arguments: Any) -> list[etc_files._Entry]:
        return [*listed(*arguments), etc_files._Entry(next(changes), "link", "x")]

    running = first.parent.parent / "runs" / "other" / "private"
    running.mkdir(parents=True)
    (running / "settings").symlink_to(first)
    monkeypatch.setattr(etc_files, "_entries", changed)
    mount_system(Mounts(sandbox.private), sandbox.spec(), sandbox.private, NOTHING)
    second = used.readlink()
    assert second != first
    assert first.is_dir()
    (running / "settings").unlink()
    mount_system(Mounts(sandbox.private), sandbox.spec(), sandbox.private, NOTHING)
    assert not first.exists()
    assert used.readlink().is_dir()
