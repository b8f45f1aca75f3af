"""A program in the sandbox, and then somebody on the host, look for the secrets of a run's grants."""

from __future__ import annotations

import base64
import shutil
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from tests.e2e.stored_files import contents
from tests.origin import Origin
from tests.sshd import SSHServer, keygen

from moat.config.names import new_id
from moat.credentials import ssh
from moat.credentials.credential import Credential, CredentialKey
from moat.credentials.vault import Vault
from moat.egress.tls.ca import CertificateAuthority
from moat.runs.store import Store
from moat.spec import Grant, Injection, Network, RunId, RunSpec
from moat.ssh import known_hosts, signatures
from moat.ssh.host_address import HostAddress

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.conftest import Moat

HUNT = Path(__file__).with_name("hostile") / "hunt_credentials.py"
TOKEN = "ghp_tK7vQ2mX9wL4pR8sN3bZ6cF1dH5jY0aG+/="
PLACEHOLDER = "ghp_placeholder0000000000000000000000"
TURNED = bytes(255 - byte for byte in range(256))


def _forms(secret: bytes) -> list[bytes]:
    """Return the secret in the encodings in which it could lie somewhere."""
    found = [secret, secret[::-1], secret.hex().encode(), secret.hex().upper().encode()]
    found += [
        base64.b32encode(secret).rstrip(b"=")[:-1],
        secret.decode("latin-1").encode("utf-16-le"),
    ]
    for shift in range(3):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            # What is around it decides the characters at the ends.
            found.append(encode(bytes(shift) + secret)[4:-4])
    found.append(quote(secret, safe="").encode())
    return list(dict.fromkeys(found))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SSHServer]:
    keygen(tmp_path / "key", "-t", "ed25519")
    with SSHServer(tmp_path / "server") as server:
        server.authorize((tmp_path / "key.pub").read_text())
        subprocess.run(["git", "init", "-q", "--bare", server.folder / "repository"], check=True)
        yield server


@pytest.fixture
def authority(tmp_path: Path) -> CertificateAuthority:
    folder = tmp_path / "ca"
    folder.mkdir()
    return CertificateAuthority.load_or_create(folder)


@pytest.fixture
def origin(authority: CertificateAuthority) -> Iterator[Origin]:
    """A server that the token is for."""
    with Origin(authority.context("api.test", ("http/1.1",))) as origin:
        yield origin


def _grants(moat: Moat, tmp_path: Path, server: SSHServer, origin: Origin) -> tuple[Grant, Grant]:
    """Put a token and an ssh key into the vault, and return their grants."""
    vault = Vault(moat.home)
    vault.put(Credential(key=CredentialKey(provider="github"), fields={"token": TOKEN}))
    address = HostAddress("git.test", server.port)
    pem = (tmp_path / "key").read_text()
    public = signatures.public_blob(signatures.private_key(pem.encode()))
    pinned = known_hosts.host_keys([f"h {server.host_key}"])
    key = vault.put(
        Credential(
            key=CredentialKey(provider="ssh", scope=address.place),
            fields={ssh.PRIVATE_KEY: pem},
            attributes=ssh.attributes(address, pinned, public),
        )
    )
    token = Grant(
        provider="github",
        injections=(Injection(hosts=("api.test",), ports=(origin.port,)),),
        placeholders={"token": PLACEHOLDER},
        env={"GH_TOKEN": PLACEHOLDER},
    )
    return token, *ssh.grants([key.entry], "")


def _start(
    moat: Moat, server: SSHServer, origin: Origin, certificate: bytes, grants: tuple[Grant, ...]
) -> str:
    """Start a run that uses both credentials, and then waits."""
    clone = f"git clone -q ssh://{server.user}@git.test:{server.port}{server.folder}/repository c"
    command = (
        "export GIT_SSH_COMMAND='ssh -o UserKnownHostsFile=/workspace/known_hosts'\n"
        f'{clone} && curl -sS -H "Authorization: Bearer $GH_TOKEN" https://api.test:{origin.port}/plain'
        " && echo && echo ready && exec sleep infinity"
    )
    (moat.workspace / "known_hosts").write_text(server.known_hosts("git.test"))
    spec = RunSpec(
        id=RunId(new_id()),
        name="x",
        command=("sh", "-c", command),
        workspace=str(moat.workspace),
        created_at="2026-01-01T00:00:00Z",
        env={name: value for grant in grants for name, value in grant.env.items()},
        network=Network(
            policy="strict",
            allow=(f"api.test:{origin.port}",),
            tcp=(f"git.test:{server.port}",),
            hosts={"git.test": "127.0.0.1", "api.test": "127.0.0.1"},
            private=("127.0.0.0/8",),
            upstream_ca=certificate.decode(),
            capture="bodies",
        ),
        grants=grants,
    )
    with Store(moat.home) as store:
        store.create(spec)
    moat.ok("wait", "--text", "ready", "x")
    return spec.id


def test_a_granted_secret_is_nowhere(
    moat: Moat, tmp_path: Path, server: SSHServer, origin: Origin, authority: CertificateAuthority
) -> None:
    """Files, variables, memory and sockets of the sandbox have no form of it, nor has the host's record.

    The placeholder, by the same search, is found; and both credentials work.
    """
    start = time.time()
    grants = _grants(moat, tmp_path, server, origin)
    run_id = _start(moat, server, origin, authority.certificate_pem, grants)
    assert any(
        f"Authorization: Bearer {TOKEN}".lower().encode() in head.lower() for head in origin.heads
    )

    pem = (tmp_path / "key").read_bytes()
    key = signatures.private_key(pem)
    assert isinstance(key, ed25519.Ed25519PrivateKey)
    raw = (serialization.Encoding.Raw, serialization.PrivateFormat.Raw)
    seed = key.private_bytes(*raw, serialization.NoEncryption())
    forms = [*_forms(TOKEN.encode()), *_forms(seed), pem.splitlines()[3]]
    shutil.copy(HUNT, moat.workspace)
    turned = [each.translate(TURNED).hex() for each in (PLACEHOLDER.encode(), *forms)]
    hunt = ("exec", "x", "--", "python3", HUNT.name, str(start), *turned)
    said = moat.ok(*hunt)
    found = [line.split(" ", 1) for line in said.splitlines()]
    assert any(number == "0" and place.endswith("environ") for number, place in found)
    assert any(number == "0" and place.endswith("mem") for number, place in found)
    assert "/run/moat/ssh-agent.sock" in {place for number, place in found if number == "-1"}
    assert [each for each in found if int(each[0]) > 0] == []

    # On the host: what the run leaves, and what its record says.
    with moat.start("attach", "x") as client:
        places = _on_the_host(moat, client.pid)
        moat.ok("stop", "x")
        client.communicate()
    said = moat.ok("trace", "x", "--json") + moat.ok("events", "x") + moat.ok("inspect", "x")
    said += moat.ok("trace", "x", "--har") + moat.ok("logs", "x") + moat.ok("grant", "list")
    places["what commands print"] = said.encode()
    places |= {str(path): content for path, content in contents(moat.home)}
    assert f"/runs/{run_id}/run.db" in "".join(places)
    leaks = [(place, form) for place, data in places.items() for form in forms if form in data]
    assert leaks == []


def _on_the_host(moat: Moat, client: int) -> dict[str, bytes]:
    """Return what anybody sees of the run's processes, and the memory of those that hold no secret."""
    run = moat.inspect("x")
    pids = {run["supervisor"]["pid"], run["shim"]["pid"], client}
    seen = {
        f"{name} of {pid}": Path(f"/proc/{pid}/{name}").read_bytes()
        for pid in pids
        for name in ("cmdline", "environ")
    }
    return seen | {f"memory of {pid}": _memory(pid) for pid in (client, run["shim"]["pid"])}


def _memory(pid: int) -> bytes:
    """Return what may be read of a process's memory; nothing where the kernel lets nobody look."""
    found = b""
    try:
        maps = Path(f"/proc/{pid}/maps").read_text().splitlines()
        with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
            for line in maps:
                if "rw" in line:
                    start, end = (int(number, 16) for number in line.split()[0].split("-"))
                    memory.seek(start)
                    found += memory.read(end - start)
    except OSError:
        return found
    return found
