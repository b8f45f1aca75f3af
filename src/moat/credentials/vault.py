"""The vault: one encrypted file for each credential, which every reader finds whole.

Writers hold the vault's lock and replace files. Readers take no lock. Nothing that can't be read is ever
overwritten: a damaged file, or a key that is not there, is an error until the user has dealt with it.

Credentials are listed without being decrypted, and without `cryptography` being loaded.
"""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from moat import timestamps
from moat.atomic import replace_file
from moat.credentials import entry_file
from moat.credentials.credential import INTERNAL, Credential, CredentialNotFoundError, VaultError
from moat.credentials.failures import damaged, not_found, undecipherable, vault_errors
from moat.runs import lock

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from moat.credentials.credential import CredentialKey, Entry
    from moat.credentials.entry_file import EntryFile
    from moat.credentials.key_ring import KeyRing
    from moat.credentials.keys import VaultKeys
    from moat.credentials.state import KeyPlace, VaultState


@dataclass(frozen=True, slots=True)
class DamagedFile:
    """A file of the vault that can't be read."""

    path: Path
    reason: str


class Vault:
    """The credentials of a store. Their folder is made when the first one is put there."""

    def __init__(self, home: Path) -> None:
        """`home`: the store's folder."""
        self.folder = home / "vault"
        self.entry_folder = self.folder / "entries"

    @cached_property
    def _keys(self) -> VaultKeys:
        from moat.credentials.keys import VaultKeys  # noqa: PLC0415  a listing doesn't need it

        return VaultKeys(self.folder)

    # --- without decrypting ---

    def file(self, key: CredentialKey) -> Path:
        """Return the path of the credential's file, which changes with each `put` and `remove`."""
        return self.entry_folder / entry_file.file_name(key)

    def survey(self) -> tuple[list[Entry], list[DamagedFile]]:
        """Return what can be said of all credentials, and the files that can't be read.

        The secrets of runs and the keys of audit logs are no credentials: nobody has granted them.
        """
        entries: list[Entry] = []
        unreadable: list[DamagedFile] = []
        for path in self._entry_files():
            try:
                entry = _parse(path).header.entry
            except FileNotFoundError:  # removed meanwhile
                continue
            except (OSError, ValueError) as exc:
                unreadable.append(DamagedFile(path, str(exc)))
            else:
                if entry.key.provider not in INTERNAL:
                    entries.append(entry)
        entries.sort(key=lambda each: (each.key.provider, each.key.scope, each.key.profile))
        return entries, unreadable

    def entries(self) -> list[Entry]:
        """Return what can be said of all credentials. Raises `VaultError` for a damaged file."""
        entries, unreadable = self.survey()
        for each in unreadable:
            raise damaged(each.path, each.reason)
        return entries

    def of_provider(self, provider: str) -> list[CredentialKey]:
        """Return the names of a provider's credentials that can be read."""
        return [each.key for each in self.survey()[0] if each.key.provider == provider]

    def entry(self, key: CredentialKey) -> Entry:
        """Raise `CredentialNotFoundError` or `VaultError` where there is none that can be read."""
        return self._read(key).header.entry

    @property
    def state(self) -> VaultState | None:
        """Return the state of the vault as a whole, `None` for a vault that isn't made yet."""
        return self._keys.state()

    # --- with the key ---

    def check_ready(self, key: CredentialKey) -> None:
        """Raise `VaultError` if a credential couldn't be put now, before the user makes an effort."""
        with suppress(CredentialNotFoundError):
            self._read(key)
        self._keys.check_ready(empty=self._is_empty())

    def check(self) -> None:
        """Raise `VaultError` if the credentials can't be decrypted now."""
        if self.state is None and not self._entry_files():
            return
        with self._keys.ring() as ring:
            for path in self._entry_files():
                self._unsealed(self._read_file(path), ring)

    def get(self, key: CredentialKey) -> Credential:
        """Decrypt a credential. Raises `CredentialNotFoundError` or `VaultError`."""
        found = self._read(key)
        with self._keys.ring() as ring:
            if found.header.key_id not in ring.keys:  # `rekey` was at work between the two
                found = self._read(key)
            return self._unsealed(found, ring)

    def put(self, credential: Credential) -> Credential:
        """Save a credential in place of the one with the same key, and return it with its new version.

        A damaged file in its place is an error. Raises `VaultError`.
        """
        with self._writing() as state:
            with suppress(CredentialNotFoundError):
                self._read(credential.key)
            return self._put(credential, state)

    def replace(self, credential: Credential) -> Credential:
        """Save a new form of what `get` returned, if the vault still has exactly that.

        For refreshed tokens: one that was revoked meanwhile doesn't come back. Raises
        `CredentialNotFoundError` if it was removed or replaced by another.
        """
        with self._writing() as state:
            if self._read(credential.key).header.version != credential.version:
                raise not_found(credential.key)
            return self._put(credential, state)

    def remove(self, key: CredentialKey) -> None:
        """Remove a credential, which may be damaged. Raises `CredentialNotFoundError`."""
        with self._locked(), vault_errors("changed"):
            try:
                self.file(key).unlink()
            except FileNotFoundError:
                raise not_found(key) from None

    def restore(self, credentials: Iterable[Credential], *, overwrite: bool) -> list[Credential]:
        """Put credentials from a backup, and return those that were put.

        Those that the vault has stay as they are, unless `overwrite` gives them up, in whatever state.
        """
        with self._locked():
            wanted = [each for each in credentials if overwrite or not self.file(each.key).exists()]
            if overwrite:
                # A keyring that is locked must not make all of them look lost.
                self._keys.check_ready(empty=True)
                for each in wanted:
                    self._remove_unreadable(each.key)
        return [self.put(each) for each in wanted]

    def _remove_unreadable(self, key: CredentialKey) -> None:
        """Remove a credential that `put` would not overwrite; others stay until they are replaced."""
        try:
            self.get(key)
        except CredentialNotFoundError:
            return
        except VaultError:
            with vault_errors("changed"):
                self.file(key).unlink(missing_ok=True)

    @contextmanager
    def locked(self, key: CredentialKey) -> Generator[None]:
        """Hold the lock for refreshing one credential: one process of all runs does it at a time.

        It keeps nobody from `get`, `put` and `remove`.
        """
        folder = self.folder / "locks"
        with ExitStack() as held:
            with vault_errors("locked"):
                _make_folder(folder)
                path = folder / self.file(key).with_suffix(".lock").name
                held.enter_context(lock.locked(path))
            yield

    def rekey(self, place: KeyPlace | None = None) -> int:
        """Encrypt everything with a new key, kept in `place`; return the number of credentials.

        Nothing is changed unless all of it can be decrypted. If the work is interrupted, every entry can
        still be read, and doing it again finishes it.
        """
        with self._writing(place) as state, self._ring_for_writing(state) as before:
            found = [self._read_file(path) for path in self._entry_files()]
            credentials = [self._unsealed(each, before) for each in found]
            with self._keys.renewed(state, before, place) as after:
                for each in credentials:
                    self._write(each, after)
        return sum(each.key.provider not in INTERNAL for each in credentials)

    # --- files ---

    def _entry_files(self) -> list[Path]:
        return sorted(self.entry_folder.glob(f"*{entry_file.SUFFIX}"))

    def _is_empty(self) -> bool:
        """Tell whether a new key would lose nothing: no credential is sealed with another one.

        What Moat keeps for itself doesn't count: the secrets of runs, which end, and the key of audit
        logs, in whose place there can be a new one.
        """
        return all(entry_file.provider_of(path.name) in INTERNAL for path in self._entry_files())

    def _read(self, key: CredentialKey) -> EntryFile:
        path = self.file(key)
        try:
            found = self._read_file(path)
        except FileNotFoundError:
            raise not_found(key) from None
        if found.header.entry.key != key:
            raise damaged(path, f"it is that of {found.header.entry.key.name}")
        return found

    def _read_file(self, path: Path) -> EntryFile:
        """Raise `FileNotFoundError` or `VaultError`."""
        try:
            return _parse(path)
        except FileNotFoundError:
            raise
        except (OSError, ValueError) as exc:
            raise damaged(path, str(exc)) from exc

    def _unsealed(self, found: EntryFile, ring: KeyRing) -> Credential:
        from moat.credentials.sealing import unseal  # noqa: PLC0415  cryptography loads slowly

        entry = found.header.entry
        key = ring.keys.get(found.header.key_id)
        if key is None:
            raise undecipherable(entry.key, "was encrypted with a key that is not here")
        try:
            fields = unseal(key, found.sealed, found.associated)
        except ValueError as exc:
            raise undecipherable(entry.key, f"can't be decrypted: {exc}") from exc
        return Credential(
            key=entry.key,
            fields=fields,
            attributes=entry.attributes,
            expires_at=entry.expires_at,
            source=entry.source,
            created_at=entry.created_at,
            version=entry.version,
        )

    def _put(self, credential: Credential, state: VaultState) -> Credential:
        with self._ring_for_writing(state) as ring:
            state = replace(state, versions=state.versions + 1)
            self._keys.save_state(state)
            created_at = credential.created_at or timestamps.now(milliseconds=False)
            saved = replace(credential, version=state.versions, created_at=created_at)
            self._write(saved, ring)
        return saved

    def _write(self, credential: Credential, ring: KeyRing) -> None:
        from moat.credentials.sealing import seal  # noqa: PLC0415  as above

        line = entry_file.header_line(credential.entry, ring.current)
        sealed = seal(ring.keys[ring.current], credential.fields, line)
        content = entry_file.encode(line, sealed)
        try:
            entry_file.parse(content)
        except ValueError as exc:  # what nobody could read would be lost, and what was there, too
            raise VaultError(f"{credential.key.name} can't be kept: {exc}", None) from exc
        with vault_errors("written"):
            _make_folder(self.entry_folder)
            replace_file(self.file(credential.key), content, durable=True)

    # --- writing, under the vault's lock ---

    @contextmanager
    def _locked(self) -> Generator[None]:
        with ExitStack() as held:
            with vault_errors("locked"):
                _make_folder(self.folder)
                held.enter_context(lock.locked(self.folder / "vault.lock"))
            yield

    @contextmanager
    def _writing(self, place: KeyPlace | None = None) -> Generator[VaultState]:
        with self._locked():
            yield self._keys.state() or self._keys.begin(place, empty=self._is_empty())

    def _ring_for_writing(self, state: VaultState) -> AbstractContextManager[KeyRing]:
        return self._keys.ring_for_writing(state, empty=self._is_empty())


def _parse(path: Path) -> EntryFile:
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with os.fdopen(fd, "rb") as file:
        return entry_file.parse(file.read(entry_file.MAX_BYTES + 1))


def _make_folder(folder: Path) -> None:
    # `parents=True` would leave the store itself open to others, where it isn't made yet.
    for each in (*reversed(folder.parents), folder):
        each.mkdir(mode=0o700, exist_ok=True)
