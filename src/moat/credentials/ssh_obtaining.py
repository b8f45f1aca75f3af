"""An ssh key and the keys of its host, from where the user has them: files, `known_hosts`, the agent."""

from __future__ import annotations

import base64
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives import serialization

from moat.errors import MoatError
from moat.ground import programs
from moat.printable import printable
from moat.ssh import client, known_hosts, signatures

if TYPE_CHECKING:
    from collections.abc import Callable

    from moat.ssh.host_address import HostAddress

_SCAN_S: Final = 10
_LONGEST_KEY: Final = 64 * 1024
_SYSTEM_WIDE: Final = "/etc/ssh/ssh_known_hosts"
_DEFAULT_KEYS: Final = ("id_ed25519", "id_ecdsa", "id_rsa")


class SSHKeyError(MoatError):
    """An ssh key, or the keys of its host, can't be had."""

    code = "ssh_key"


@dataclass(frozen=True, slots=True)
class FoundKey:
    """A key of the user's."""

    public: bytes
    comment: str
    private: str = ""
    """Empty where the user's agent has it, and keeps it."""

    @property
    def place(self) -> str:
        return f"the file {self.comment}" if self.private else "your ssh agent"


# --- the host ---


def known_host_keys(address: HostAddress, home: Path) -> tuple[bytes, ...]:
    """Return the keys by which the user, or this machine, knows a host already."""
    found: list[str] = []
    for file in (str(home / ".ssh" / "known_hosts"), _SYSTEM_WIDE):
        if os.path.exists(file):  # noqa: PTH110  a string as the other one
            found += _lines("ssh-keygen", "-F", address.pattern, "-f", file)
    return known_hosts.host_keys(found)


def scanned_host_keys(address: HostAddress) -> tuple[bytes, ...]:
    """Ask a host for its keys. Who answers may be anybody. Raises `SSHKeyError`."""
    port = ("-T", str(_SCAN_S), "-p", str(address.port))
    found = known_hosts.host_keys(_lines("ssh-keyscan", *port, "--", address.host))
    if not found:
        raise SSHKeyError(
            f"{address.place} doesn't answer as an ssh server",
            f"Try it: ssh {'-p ' + str(address.port) + ' ' if address.port != 22 else ''}{address.host}",
        )
    return found


def _lines(program: str, *arguments: str) -> list[str]:
    """Return what a program of OpenSSH's prints; it fails where it finds nothing."""
    found = programs.search(program)
    if found.path is None:
        raise SSHKeyError(f"{program} can't be used here", "Install OpenSSH's client")
    done = subprocess.run(
        [found.path, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        cwd="/",
        env={"PATH": os.pathsep.join(programs.PLACES), "LANG": "C.UTF-8"},
        check=False,
    )
    return done.stdout.decode(errors="replace").splitlines()


# --- the key ---


def find_key(chosen: str | None, home: Path, agent: str, ask: Callable[[str], str]) -> FoundKey:
    """Return a key: the one at the path that the user has `chosen`, or else the usual one.

    A public key (`.pub`) stands for the one that the agent at the path `agent` has, and so does one with
    a passphrase, if the agent has it. `ask` asks for a passphrase. Raises `SSHKeyError`.
    """
    path = _usual_key(home) if chosen is None else Path(os.path.expanduser(chosen))  # noqa: PTH111  as in shells
    try:
        with path.open("rb") as file:
            content = file.read(_LONGEST_KEY)
        if path.suffix == ".pub":
            return _in_agent(_public(content), agent, path)
        return _in_file(content, path, agent, ask)
    except (OSError, ValueError) as exc:
        why = exc.strerror if isinstance(exc, OSError) and exc.strerror else exc
        raise SSHKeyError(f"{path} is no ssh key that can be used: {why}", _CHOOSE) from None


_CHOOSE: Final = "Choose one: moat grant ssh --host HOST --key PATH"


def _usual_key(home: Path) -> Path:
    for name in _DEFAULT_KEYS:
        if (home / ".ssh" / name).exists():
            return home / ".ssh" / name
    raise SSHKeyError(f"there is no ssh key in {home / '.ssh'}", _CHOOSE)


def _in_file(content: bytes, path: Path, agent: str, ask: Callable[[str], str]) -> FoundKey:
    try:
        key = signatures.private_key(content)
    except TypeError:  # it has a passphrase
        public = path.with_name(f"{path.name}.pub")
        if agent and public.exists():
            blob = _public(public.read_bytes())
            if blob in client.identities(agent):
                return FoundKey(blob, str(path))
        key = signatures.private_key(content, ask(str(path)).encode())
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.OpenSSH,
        serialization.NoEncryption(),
    )
    return FoundKey(signatures.public_blob(key), str(path), pem.decode())


def _in_agent(blob: bytes, agent: str, path: Path) -> FoundKey:
    if not agent or blob not in client.identities(agent):
        private = printable(str(path.with_suffix("")))
        raise SSHKeyError(
            f"your ssh agent doesn't have the key {path}", f"Add it: ssh-add {private}"
        )
    return FoundKey(blob, str(path))


def _public(line: bytes) -> bytes:
    """Return the key in a line of a `.pub` file. Raises `ValueError`."""
    words = line.split()
    if len(words) < 2:
        raise ValueError("it has no public key")
    blob = base64.b64decode(words[1], validate=True)
    if signatures.key_type(blob).encode() != words[0]:
        raise ValueError("its public key is damaged")
    return blob
