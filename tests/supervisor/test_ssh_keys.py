"""The keys of a run, as the vault has them at the moment."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.credentials.test_ssh import HELD, PUBLIC

from moat.credentials import ssh
from moat.credentials.vault import Vault
from moat.errors import MoatError
from moat.spec import Grant
from moat.ssh import signatures
from moat.ssh.agent import Signing
from moat.supervisor.ssh_keys import GrantedKeys

if TYPE_CHECKING:
    from pathlib import Path


def _signing(keys: GrantedKeys) -> Signing:
    (identity,) = keys.identities()
    return Signing(identity, b"data", "ssh-ed25519", 0, "git")


def test_a_run_has_what_it_was_granted(tmp_path: Path) -> None:
    """A key of another grant, and a grant of another provider, are no key of the run."""
    vault = Vault(tmp_path)
    vault.put(HELD)
    vault.put(replace(HELD, key=replace(HELD.key, scope="other.example")))
    keys = GrantedKeys([*ssh.grants([HELD.entry], ""), Grant(provider="github")], tmp_path)
    assert [each.grant for each in keys.identities()] == ["ssh:git.example:2222"]
    assert signatures.verifies(PUBLIC, keys.sign(_signing(keys)), b"data")


def test_revoking_and_granting_again_take_effect_at_once(tmp_path: Path) -> None:
    """A key that is revoked is gone for the next request; one that is granted again is there."""
    vault = Vault(tmp_path)
    keys = GrantedKeys([*ssh.grants([HELD.entry], "")], tmp_path)
    assert keys.identities() == []
    vault.put(HELD)
    signing = _signing(keys)
    vault.remove(HELD.key)
    assert keys.identities() == []
    with pytest.raises(MoatError, match="no credential"):
        keys.sign(signing)
    vault.put(replace(HELD, attributes={**HELD.attributes, "comment": "new"}))
    assert _signing(keys).identity.comment == "new"


def test_a_damaged_entry_is_no_key(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """An entry that was changed on the disk is logged once, and what it says is not believed."""
    vault = Vault(tmp_path)
    vault.put(HELD)
    file = vault.file(HELD.key)
    file.write_bytes(file.read_bytes().replace(b"git@git.example", b"git@git.evil.ex"))
    keys = GrantedKeys([*ssh.grants([HELD.entry], "")], tmp_path)
    with caplog.at_level(logging.ERROR):
        assert keys.identities() == []
        assert keys.identities() == []
    assert len(caplog.records) == 1


def test_a_key_of_the_users_agent(tmp_path: Path) -> None:
    """A credential without a key is signed with by the user's agent, or not at all."""
    held = Vault(tmp_path).put(replace(HELD, fields={}))
    keys = GrantedKeys([*ssh.grants([held.entry], str(tmp_path / "agent"))], tmp_path)
    with pytest.raises(MoatError, match="can't be used: No such file"):
        keys.sign(_signing(keys))
