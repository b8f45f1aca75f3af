"""The sandbox as a command finds it when it looks around."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from moat.engines.bubblewrap.layout import Layout, environment
from moat.errors import UsageError

if TYPE_CHECKING:
    from tests.sandbox import Sandbox


def test_the_command_has_no_privileges(sandbox: Sandbox) -> None:
    """It runs as an ordinary user without capabilities, groups or a way to regain them."""
    seen = sandbox.shell("id; hostname; grep -E '^(CapEff|CapBnd|NoNewPrivs)' /proc/self/status")
    assert seen.splitlines() == [
        "uid=1000(agent) gid=1000(agent) groups=1000(agent)",
        "brave-otter",
        "CapEff:\t0000000000000000",
        "CapBnd:\t0000000000000000",
        "NoNewPrivs:\t1",
    ]


def test_only_the_own_processes_exist(sandbox: Sandbox) -> None:
    """/proc has none of the host's processes."""
    pids = sandbox.shell("ls /proc | grep -c '^[0-9]*$'")
    assert int(pids) < 6


def test_no_descriptor_of_the_host_is_left_open(sandbox: Sandbox, repository: object) -> None:
    """A folder's descriptor in the command or in bubblewrap would be a door to the host."""
    seen = sandbox.shell("for each in /proc/[0-9]*/fd/*; do readlink $each || true; done")
    for target in seen.splitlines():
        assert target.startswith(("pipe:", "anon_inode:", "/dev/null", "/proc/")), target


def test_kernel_settings_are_read_only(sandbox: Sandbox) -> None:
    """The network namespace belongs to the user, and its settings can't be written all the same."""
    writable = """
        import os
        for top in os.listdir("/proc"):
            if top.isdigit() or top in ("self", "thread-self"):
                continue
            for folder, _, files in os.walk(f"/proc/{top}"):
                for name in files:
                    if os.access(f"{folder}/{name}", os.W_OK):
                        print(f"{folder}/{name}")
            if os.path.isfile(f"/proc/{top}") and os.access(f"/proc/{top}", os.W_OK):
                print(top)
    """
    done = sandbox.run("python3", "-c", f"if True:{writable}")
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)
    refused = sandbox.run("bash", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
    assert "Read-only" in refused.stderr


def test_memory_is_not_a_disk(sandbox: Sandbox) -> None:
    """No tmpfs without a size limit can be written, neither the root nor /dev."""
    for target in ("/file", "/dev/file", "/etc/file", "/usr/file", "/var/lib/file", "/mnt/file"):
        done = sandbox.run("touch", target)
        assert done.returncode != 0, target
        assert "Read-only" in done.stderr, target
    sizes = sandbox.shell("stat -f -c '%b %S' /dev/shm /run")
    totals = [int(a) * int(b) for a, b in (line.split() for line in sizes.splitlines())]
    assert totals == [64 << 20, 16 << 20]


def test_places_that_are_writable(sandbox: Sandbox) -> None:
    """Home, both temporary folders and the workspace can be written, and all are on disk."""
    sandbox.shell("touch ~/a /tmp/a /var/tmp/a /workspace/a /dev/shm/a; test ~ = /home/agent")
    assert (sandbox.workspace / "a").exists()
    assert (sandbox.private / "home" / "a").exists()
    assert (sandbox.private / "tmp" / "a").exists()


def test_homes_and_the_store_are_absent(sandbox: Sandbox) -> None:
    """The user's home folder doesn't exist; the workspace does, under another name."""
    (sandbox.home / ".ssh").mkdir()
    (sandbox.home / ".ssh" / "id_ed25519").write_text("key")
    assert sandbox.shell(f"ls -A /home; ls -A {sandbox.home} 2>&1 || true").splitlines() == [
        "agent",
        f"ls: cannot access '{sandbox.home}': No such file or directory",
    ]
    assert sandbox.shell("ls -d /sys /boot /media 2>/dev/null | wc -l") == "0"


def test_the_environment_is_ours(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """The host's variables stay outside; the specification's override the base."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    seen = sandbox.shell("env", env={"COLOR": "blue", "LANG": "de_DE.UTF-8"})
    variables = dict(line.split("=", 1) for line in seen.splitlines())
    assert "AWS_SECRET_ACCESS_KEY" not in variables
    assert variables["COLOR"] == "blue"
    assert variables["LANG"] == "de_DE.UTF-8"
    assert variables["MOAT_RUN"] == "0123456789ab"
    assert "TERM" not in variables
    assert environment(sandbox.spec(), tty=True)["TERM"] == "xterm-256color"


def test_tools_work(sandbox: Sandbox, repository: object) -> None:
    """Python, git and node start, and git regards the workspace as the user's own."""
    sandbox.shell("""
        python3 -c 'import ssl, sqlite3, multiprocessing.pool as p; p.Pool(2).map(abs, [1])'
        node -e 'process.exit(0)'
        touch file
        git add file
        git -c user.name=a -c user.email=a@b commit -q -m first
        git status --short
    """)


def test_the_command_begins_in_its_folder(sandbox: Sandbox) -> None:
    """`workdir` is a path in the sandbox."""
    (sandbox.workspace / "sub").mkdir()
    assert sandbox.shell("pwd", workdir="/workspace/sub") == "/workspace/sub"


def test_a_workspace_around_the_store_is_refused(sandbox: Sandbox) -> None:
    """The record of runs must not lie where a run writes."""
    with pytest.raises(UsageError, match="keeps its runs"):
        Layout.of(sandbox.spec(workspace=str(sandbox.home)), sandbox.private, b"")


@pytest.mark.usefixtures("descriptors")
def test_a_zero_byte_is_refused(sandbox: Sandbox) -> None:
    """Arguments are separated by zero bytes, so one inside could begin a forged argument."""
    with pytest.raises(UsageError, match="zero byte"):
        Layout.of(sandbox.spec(env={"A": "x\0--bind\0/\0/host"}), sandbox.private, b"")
