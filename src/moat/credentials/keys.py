"""The keys of a vault, and the file that says where they are."""

from __future__ import annotations

import json
import os
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Final

from moat import typed_json
from moat.atomic import replace_file
from moat.credentials import key_ring
from moat.credentials.credential import VaultError
from moat.credentials.failures import key_is_damaged, key_is_gone, state_is_damaged, vault_errors
from moat.credentials.key_store import KeyFile, KeyringAbsentError, OsKeyring
from moat.credentials.state import FORMAT, VaultState

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from moat.credentials.key_ring import KeyRing
    from moat.credentials.key_store import KeyStore
    from moat.credentials.state import KeyPlace

_STATE: Final = "vault.json"


class VaultKeys:
    """The keys and the state of the vault in a folder. Who changes them holds the vault's lock."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._state_file = folder / _STATE

    def state(self) -> VaultState | None:
        """Return what the vault knows of itself, `None` for one that isn't made yet."""
        try:
            value = typed_json.parse(self._state_file.read_bytes())
            state = typed_json.read(VaultState, value, ignore_unknown=True)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as exc:
            raise state_is_damaged(self._state_file, str(exc)) from exc
        if state.format > FORMAT:
            raise VaultError("the vault was written by a later version of Moat", "Update Moat")
        return state

    def save_state(self, state: VaultState) -> None:
        with vault_errors("written"):
            content = json.dumps(asdict(state), indent=2).encode()
            replace_file(self._state_file, content, durable=True)

    def check_ready(self, *, empty: bool) -> None:
        """Raise `VaultError` if the keys can't be used now, or a new vault couldn't have any."""
        state = self.state()
        if state is None:
            if not empty:
                raise state_is_damaged(self._state_file, "it is missing")
            with suppress(KeyringAbsentError):
                OsKeyring("").load()
        elif self._load(state) is None and not empty:
            raise key_is_gone(self._folder)

    def begin(self, place: KeyPlace | None, *, empty: bool) -> VaultState:
        """Make the state of a new vault, whose key will lie in `place`: in a keyring if there is one."""
        if not empty:
            raise state_is_damaged(self._state_file, "it is missing")
        state = VaultState(id=_new_id(), key_place=place or "keyring")
        if place is None:
            try:
                self.store(state).load()
            except KeyringAbsentError:
                state = replace(state, key_place="file")
        self.save_state(state)
        return state

    @contextmanager
    def ring(self) -> Generator[KeyRing]:
        """Yield the keys, which are overwritten in memory afterwards."""
        state = self.state()
        ring = None if state is None else self._load(state)
        if ring is None:
            raise key_is_gone(self._folder)
        with _wiped(ring):
            yield ring

    @contextmanager
    def ring_for_writing(self, state: VaultState, *, empty: bool) -> Generator[KeyRing]:
        """Yield the keys; make the first one where there is no entry that a lost one has sealed."""
        ring = self._load(state)
        if ring is None:
            if not empty:
                raise key_is_gone(self._folder)
            ring = key_ring.KeyRing("", {}).with_new(_new_id(), _new_key())
            self.store(state).save(key_ring.encode(ring))
        with _wiped(ring):
            yield ring

    @contextmanager
    def renewed(
        self, state: VaultState, before: KeyRing, place: KeyPlace | None
    ) -> Generator[KeyRing]:
        """Yield a ring with a new key, kept in `place`, and forget the old keys after the block.

        Until then all of them are kept: whenever the block is interrupted, no entry is lost.
        """
        after = before.with_new(_new_id(), _new_key())
        moved = replace(state, key_place=place or state.key_place)
        self.store(moved).save(key_ring.encode(after))
        if moved != state:
            self.save_state(moved)
        with _wiped(after):
            yield after
            self.store(moved).save(key_ring.encode(after.only_current()))
        other: KeyPlace = "keyring" if moved.key_place == "file" else "file"
        # A keyring that never had the key need not be unlocked. A file may be left of an earlier move.
        if moved != state or other == "file":
            with suppress(KeyringAbsentError):
                self.store(replace(moved, key_place=other)).delete()

    def store(self, state: VaultState) -> KeyStore:
        if state.key_place == "file":
            return KeyFile(self._folder / "key")
        return OsKeyring(state.id)

    def _load(self, state: VaultState) -> KeyRing | None:
        from moat.platform import memory  # noqa: PLC0415  ctypes, which a listing needn't load

        with vault_errors("opened"):
            memory.keep_private()
        text = self.store(state).load()
        if text is None:
            return None
        try:
            return key_ring.decode(text)
        except ValueError as exc:
            raise key_is_damaged(self._folder) from exc


@contextmanager
def _wiped(ring: KeyRing) -> Generator[None]:
    from moat.credentials.sealing import wipe  # noqa: PLC0415  cryptography loads slowly

    try:
        yield
    finally:
        for key in ring.keys.values():
            wipe(key)


def _new_key() -> bytearray:
    from moat.credentials.sealing import new_key  # noqa: PLC0415  as above

    return new_key()


def _new_id() -> str:
    return os.urandom(16).hex()
