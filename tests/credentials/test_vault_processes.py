"""The vault under several processes, SIGKILL, and the eyes of others."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from moat.credentials.credential import Credential, CredentialKey
from moat.credentials.vault import Vault

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = CredentialKey(provider="github")
SECRET = "ghp_" + "n0b0dy" * 6

_PREAMBLE = """
import sys
from pathlib import Path
from moat.credentials.credential import Credential, CredentialKey
from moat.credentials.vault import Vault
vault = Vault(Path(sys.argv[1]))
key = CredentialKey(provider="github")
def put(text, key=key):
    return vault.put(Credential(key=key, fields={"token": text}))
"""


@pytest.fixture
def vault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Vault:
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/dev/null/bus")
    return Vault(tmp_path)


def program(vault: Vault, text: str, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", _PREAMBLE + text, str(vault.folder.parent), *arguments]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@pytest.fixture
def holder(vault: Vault) -> Iterator[subprocess.Popen[str]]:
    """A process that has decrypted a credential and goes on."""
    vault.put(Credential(key=KEY, fields={"token": SECRET}))
    text = """
import ctypes, resource
resource.setrlimit(resource.RLIMIT_CORE, (resource.getrlimit(resource.RLIMIT_CORE)[1],) * 2)
secret = vault.get(key).fields
print("dumpable:", ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), flush=True)
sys.stdin.read()
"""
    with program(vault, text) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "dumpable: 0\n"
        yield process
        process.kill()


def test_writers_take_turns(vault: Vault) -> None:
    """Of many puts by several processes none is lost, and each has a version of its own."""
    text = """
for number in range(20):
    put(f"{sys.argv[2]}-{number}")
    put("x", CredentialKey(provider="npm", scope=f"{sys.argv[2]}-{number}"))
"""
    writers = [program(vault, text, name) for name in "abcd"]
    assert [each.wait() for each in writers] == [0] * 4
    for each in writers:
        each.communicate()
    entries = vault.entries()
    assert len(entries) == 81
    assert vault.state is not None
    assert vault.state.versions == 160
    assert len({each.version for each in entries}) == 81
    assert vault.get(KEY).fields["token"].endswith("-19")


def test_a_first_put_by_two_makes_one_key(vault: Vault) -> None:
    """Two processes that begin the same vault use the same key."""
    text = 'sys.stdin.readline()\nput("x", CredentialKey(provider="npm", scope=sys.argv[2]))'
    writers = [program(vault, text, name) for name in "abcd"]
    for each in writers:
        each.communicate("go\n")
    assert len([vault.get(each.key) for each in vault.entries()]) == 4


def test_a_refresh_happens_once(vault: Vault) -> None:
    """Whoever waited for the lock finds what the other has put."""
    vault.put(Credential(key=KEY, fields={"token": "0"}))
    text = """
for _ in range(10):
    with vault.locked(key):
        known = vault.get(key)
        put(str(int(known.fields["token"]) + 1))
"""
    runs = [program(vault, text) for _ in range(3)]
    for each in runs:
        each.communicate()
    assert vault.get(KEY).fields["token"] == "30"


def test_sigkill_leaves_the_old_or_the_new(vault: Vault) -> None:
    """A writer that is killed anywhere leaves a credential that can be read, and no lock."""
    vault.put(Credential(key=KEY, fields={"token": "0"}))
    text = """
number = 0
while True:
    number += 1
    put(str(number) * 2000)
    print(number, flush=True)
"""
    for killed_after in range(12):
        with program(vault, text) as process:
            assert process.stdout is not None
            done = [process.stdout.readline() for _ in range(killed_after)]
            process.kill()
        found = vault.get(KEY).fields["token"]
        assert found == "0" or found == found[: len(found) // 2000] * 2000
        if done:
            assert int(found[: len(found) // 2000]) >= killed_after
        vault.put(Credential(key=KEY, fields={"token": "0"}))


def test_nobody_sees_a_secret_in_ps(holder: subprocess.Popen[str]) -> None:
    """Arguments and environment of a process that has decrypted hold no secret."""
    shown = subprocess.run(
        ["ps", "axeww", "-o", "args"], capture_output=True, text=True, check=True
    ).stdout
    assert SECRET not in shown
    assert SECRET not in Path(f"/proc/{holder.pid}/cmdline").read_text()


def test_a_process_that_decrypts_leaves_no_core(
    holder: subprocess.Popen[str], tmp_path: Path
) -> None:
    """The kernel dumps no core of it, even where that is allowed."""
    process = os.pidfd_open(holder.pid)
    holder.send_signal(signal.SIGABRT)
    select.select([process], [], [], 120)
    os.close(process)
    status = os.waitid(os.P_PID, holder.pid, os.WEXITED | os.WNOWAIT)
    assert status is not None
    assert status.si_code == os.CLD_KILLED, "a core was dumped"
    assert not [each for each in tmp_path.rglob("core*") if each.is_file()]
