"""An ssh key as a credential: what it says of its host, and what it signs."""

from __future__ import annotations

from dataclasses import replace

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from moat.credentials import ssh
from moat.credentials.credential import Credential, CredentialKey, VaultError
from moat.ssh import known_hosts, signatures
from moat.ssh.agent import Signing
from moat.ssh.host_address import HostAddress

KEY = ed25519.Ed25519PrivateKey.generate()
PEM = KEY.private_bytes(
    serialization.Encoding.PEM,
    serialization.PrivateFormat.OpenSSH,
    serialization.NoEncryption(),
).decode()
PUBLIC = signatures.public_blob(KEY)
HOST_KEY = signatures.public_blob(ed25519.Ed25519PrivateKey.generate())
ADDRESS = HostAddress("git.example", 2222, "git")
HELD = Credential(
    key=CredentialKey(provider="ssh", scope=ADDRESS.place),
    fields={"private_key": PEM},
    attributes=ssh.attributes(ADDRESS, [HOST_KEY], PUBLIC, "work"),
)


def test_what_a_grant_says_is_what_the_agent_knows() -> None:
    """Address, pinned keys and public key come back as they were put into the vault."""
    identity = ssh.identity(HELD.entry)
    assert identity.address == ADDRESS
    assert identity.key == PUBLIC
    assert identity.host_keys == {HOST_KEY}
    assert (identity.grant, identity.comment) == ("ssh:git.example:2222", "work")


def test_a_specification_has_no_key() -> None:
    """What a run's specification says of a grant has the host's keys, and nothing of the user's."""
    (grant,) = ssh.grants([HELD.entry], "")
    assert grant.name == "ssh:git.example:2222"
    assert grant.env == {"SSH_AUTH_SOCK": "/run/moat/ssh-agent.sock"}
    (file,) = grant.files
    assert known_hosts.host_keys(file.content.splitlines()) == (HOST_KEY,)
    assert PEM.splitlines()[1] not in repr(grant)
    assert PEM.splitlines()[1] not in repr(HELD)


def test_runs_know_all_their_hosts() -> None:
    """A run with keys for two hosts has one `known_hosts`, with the keys of both."""
    other = replace(
        HELD,
        key=replace(HELD.key, scope="b.example"),
        attributes=ssh.attributes(HostAddress("b.example"), [PUBLIC], PUBLIC),
    )
    first, second = ssh.grants([HELD.entry, other.entry], "")
    assert first.files == second.files
    assert known_hosts.host_keys(first.files[0].content.splitlines()) == (HOST_KEY, PUBLIC)


def test_a_key_in_the_users_agent_needs_one() -> None:
    """The path of the agent is in the specification for keys that lie there, and for no others."""
    there = replace(HELD, fields={}).entry
    assert [each.agent for each in ssh.grants([HELD.entry, there], "/a")] == ["", "/a"]
    with pytest.raises(VaultError, match="there is none here"):
        ssh.grants([there], "")


def test_a_signature_is_that_of_the_key() -> None:
    """The key in the vault makes a signature that its public key verifies."""
    signing = Signing(ssh.identity(HELD.entry), b"data", "ssh-ed25519", 0, "git")
    assert signatures.verifies(PUBLIC, ssh.sign(HELD, signing), b"data")


@pytest.mark.parametrize("fields", [{}, {"private_key": "damaged"}, {"private_key": PEM[:200]}])
def test_a_key_that_is_of_no_use_is_an_error(fields: dict[str, str]) -> None:
    """A credential without a usable key is an error that says what to do, and shows nothing of it."""
    signing = Signing(ssh.identity(HELD.entry), b"data", "ssh-ed25519", 0, "git")
    with pytest.raises(VaultError, match="can't be used") as failed:
        ssh.sign(replace(HELD, fields=fields), signing)
    assert failed.value.hint == "Grant it again: moat grant ssh --host git.example:2222"
    assert PEM.splitlines()[1] not in str(failed.value)


def test_another_key_does_not_sign() -> None:
    """A private key that isn't that of the public key which the agent shows signs nothing."""
    identity = replace(ssh.identity(HELD.entry), key=HOST_KEY)
    with pytest.raises(VaultError, match="another key"):
        ssh.sign(HELD, Signing(identity, b"data", "ssh-ed25519", 0, "git"))


@pytest.mark.parametrize("missing", ["address", "host_keys", "public_key"])
def test_a_credential_that_is_no_ssh_key(missing: str) -> None:
    """A credential that lacks something is an error, and not a grant for every host."""
    less = {name: text for name, text in HELD.attributes.items() if name != missing}
    with pytest.raises(VaultError, match="is no ssh key"):
        ssh.identity(replace(HELD, attributes=less).entry)
