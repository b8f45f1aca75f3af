"""The vault's key in a real Secret Service: GNOME Keyring on a session bus of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

_VAULT = """
import json, sys
from pathlib import Path
from moat.credentials.credential import Credential, CredentialKey
from moat.credentials.vault import Vault
from moat.errors import MoatError
vault, key = Vault(Path(sys.argv[1])), CredentialKey(provider="github")
try:
    print(json.dumps(eval(sys.argv[2])))
except MoatError as exc:
    print(json.dumps({"error": exc.summary}))
"""

PUT = 'vault.put(Credential(key=key, fields={"token": "t"})).version'
GET = "vault.get(key).fields['token']"
PLACE = "vault.state.key_place"
UNLOCKED = "echo -n password | gnome-keyring-daemon --unlock --components=secrets >/dev/null"
LOCKED = "gnome-keyring-daemon --start --components=secrets >/dev/null"
NO_BUS = "export DBUS_SESSION_BUS_ADDRESS=unix:path=/dev/null/bus"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir()
    return tmp_path


def session(home: Path, begin: str, *expressions: str) -> list[Any]:
    """Evaluate each expression in a process of its own, all in one session; return the results."""
    script = Path(home / "session.sh")
    lines = [
        f"{sys.executable} -c \"$VAULT\" {home} '{each}'"
        for each in (text.replace("'", "'\\''") for text in expressions)
    ]
    script.write_text("\n".join([begin, *lines]))
    bus = shutil.which("dbus-run-session")
    assert bus is not None
    done = subprocess.run(
        [bus, "--", "bash", str(script)],
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(home / "home"),
            "XDG_RUNTIME_DIR": str(home),
            "VAULT": _VAULT,
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert len(done.stdout.splitlines()) == len(expressions), done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_the_key_is_in_the_keyring(home: Path) -> None:
    """Where there is a keyring, no file has the key, and every process of the session can decrypt."""
    assert session(home, UNLOCKED, PUT, GET, PLACE) == [1, "t", "keyring"]
    assert not (home / "vault" / "key").exists()


def test_the_key_is_there_in_the_next_session(home: Path) -> None:
    """The keyring keeps the key beyond the login."""
    session(home, UNLOCKED, PUT)
    assert session(home, UNLOCKED, GET) == ["t"]


def test_the_key_moves_with_rekey(home: Path) -> None:
    """`rekey` moves the key to a file and back, and leaves none behind."""
    rekeyed = ['vault.rekey("file")', GET, PLACE, "(vault.folder / 'key').exists()"]
    assert session(home, UNLOCKED, PUT, *rekeyed) == [1, 1, "t", "file", True]
    rekeyed = ['vault.rekey("keyring")', GET, PLACE, "(vault.folder / 'key').exists()"]
    assert session(home, UNLOCKED, *rekeyed) == [1, "t", "keyring", False]


def test_a_locked_keyring_is_an_error(home: Path) -> None:
    """While it is locked nothing can be decrypted, nothing is put, and nothing is replaced."""
    session(home, UNLOCKED, PUT)
    before = {path: path.read_bytes() for path in home.joinpath("vault").rglob("*.credential")}
    results = session(home, LOCKED, GET, PUT, "vault.rekey()", "len(vault.entries())")
    assert results == [{"error": "the keyring is locked"}] * 3 + [1]
    assert before == {path: path.read_bytes() for path in before}


def test_a_new_vault_can_do_without_a_locked_keyring(home: Path) -> None:
    """A keyring that can't be unlocked is not passed over unasked; `rekey` to a file is the way."""
    results = session(home, LOCKED, PUT, 'vault.rekey("file")', PUT, GET, PLACE)
    assert "keyring" in results[0]["error"]
    assert results[1:] == [0, 1, "t", "file"]


def test_a_keyring_that_is_gone_is_an_error(home: Path) -> None:
    """A vault whose key is in a keyring gets no new key where there is none."""
    session(home, UNLOCKED, PUT)
    (got, put) = session(home, NO_BUS, GET, PUT)
    assert "there is no keyring here" in got["error"]
    assert "there is no keyring here" in put["error"]
    assert not (home / "vault" / "key").exists()


def test_another_keyring_is_an_error(home: Path) -> None:
    """A keyring without this vault's key opens nothing, and gets no new key for it."""
    session(home, UNLOCKED, PUT)
    shutil.rmtree(home / "home")
    (home / "home").mkdir()
    (got, put) = session(home, UNLOCKED, GET, PUT)
    assert "is gone" in got["error"]
    assert "is gone" in put["error"]


def test_no_backend_is_loaded_that_the_user_names(home: Path) -> None:
    """Neither a variable nor the library's settings choose code that would see the key."""
    settings = home / "home" / ".config" / "python_keyring"
    settings.mkdir(parents=True)
    (home / "evil.py").write_text("raise SystemExit('loaded')")
    (settings / "keyringrc.cfg").write_text(
        f"[backend]\ndefault-keyring=evil.Keyring\nkeyring-path={home}\n"
    )
    begin = f"{UNLOCKED}\nexport PYTHON_KEYRING_BACKEND=evil.Keyring"
    assert session(home, begin, PUT, GET) == [1, "t"]
