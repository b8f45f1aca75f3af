"""The credentials of one run, taken out of the vault as its requests need them."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from moat.credentials.credential import CredentialKey, CredentialNotFoundError, VaultError
from moat.egress.authorization.authorizer import CredentialUnavailableError
from moat.egress.authorization.held import HeldCredential
from moat.errors import MoatError
from moat.platform.inotify import FolderWatch
from moat.spec.grants import Refresh

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from moat.credentials.credential import Credential
    from moat.credentials.vault import Vault
    from moat.spec.grants import Grant

    Renew = Callable[[Credential, Refresh], Credential]
    _Usable = tuple[HeldCredential, float | None]

log = logging.getLogger(__name__)

EARLY_S: Final = 300.0
"""A credential is renewed so long before its end: clocks differ, and requests take their time."""
RETRY_S: Final = 30.0
"""A credential that couldn't be renewed is used until its end, and renewed at a later chance.

One that a server refuses although it is new isn't renewed again before.
"""


class RunCredentials:
    """The credentials that the run was granted, and no others, each decrypted at its first use.

    A change of the vault holds from the next request on: a credential that was revoked is gone, one
    that was granted again is new.
    """

    def __init__(
        self,
        vault: Vault,
        loop: asyncio.AbstractEventLoop,
        renew: Renew,
        now: Callable[[], float] = time.time,
    ) -> None:
        """`renew` asks the provider for a new form of a credential. Raises `OSError` without a vault."""
        self._vault = vault
        self._loop = loop
        self._renew = renew
        self._now = now
        self._known: dict[int, tuple[HeldCredential, float | None]] = {}
        """Decrypted credentials, and the time to fetch each anew, by the identity of the grant.

        A grant has no hash, and to make its key for every request would take longer than all the rest.
        """
        self._unsaved: dict[CredentialKey, Credential] = {}
        """Credentials that were renewed while the vault's disk was full."""
        self._tried: dict[CredentialKey, _Tried] = {}
        self._changes = 0
        self._fetching: dict[CredentialKey, asyncio.Lock] = {}
        self.on_changed: Callable[[], None] = lambda: None
        """Called when something in the vault has changed."""
        self._watch = FolderWatch(vault.entry_folder)
        try:
            self._follow()
        except OSError:
            self._watch.__exit__()
            raise
        loop.add_reader(self._watch.fileno(), self._changed)

    # --- for the authorizer ---

    def exists(self, grant: Grant) -> bool:
        return self._vault.file(CredentialKey.of(grant)).exists()

    def held(self, grant: Grant) -> HeldCredential | None:
        known = self._known.get(id(grant))
        if known is None:
            return None
        held, until = known
        return held if until is None or self._now() < until else None

    async def fetch(self, grant: Grant, rejected: HeldCredential | None) -> HeldCredential:
        key = CredentialKey.of(grant)
        # The requests of the run wait here, those of other runs at the vault's lock.
        async with self._fetching.setdefault(key, asyncio.Lock()):
            held = self.held(grant)
            if held is not None and held is not rejected:
                return held
            read = self._renewed_if_due
            while True:
                changes = self._changes
                held, until = await self._loop.run_in_executor(None, read, grant, key, rejected)
                if changes == self._changes:
                    self._known[id(grant)] = held, until
                    return held
                # It may have been revoked between the reading and now. To renew it is a change, too.
                read = self._as_it_is

    def close(self) -> None:
        self._loop.remove_reader(self._watch.fileno())
        self._watch.__exit__()
        self._known.clear()

    def _changed(self) -> None:
        self._watch.drain()
        self._follow()
        self._changes += 1
        self._known.clear()
        self.on_changed()

    def _follow(self) -> None:
        """Watch the vault that is there now: somebody may have put another in its place."""
        with suppress(FileNotFoundError):  # between two vaults there is none, and then one comes
            self._watch.add_names(self._vault.folder.parent)
            self._watch.add_names(self._vault.folder)
            self._watch.add(self._vault.entry_folder)

    # --- in a thread: the keyring and the provider may take long ---

    def _renewed_if_due(
        self, grant: Grant, key: CredentialKey, rejected: HeldCredential | None
    ) -> _Usable:
        with _unavailable():
            credential = self._latest(key)
            client = _client(credential, grant)
            if client is not None and self._is_due(credential, rejected):
                with self._vault.locked(key):
                    credential = self._latest(key)  # another run may have renewed it meanwhile
                    if self._is_due(credential, rejected):
                        credential = self._renewed(credential, client)
        return self._usable(credential, grant)

    def _as_it_is(self, grant: Grant, key: CredentialKey, _: HeldCredential | None) -> _Usable:
        with _unavailable():
            credential = self._latest(key)
        return self._usable(credential, grant)

    def _usable(self, credential: Credential, grant: Grant) -> _Usable:
        until = credential.expires_at
        if until is not None and until <= self._now():
            command = _command(credential.key)
            raise CredentialUnavailableError(f"it has expired. Give it anew: {command}")
        renewable = _client(credential, grant) is not None
        if renewable and until is not None:
            # Where it couldn't be renewed in time, try again soon.
            until = max(until - EARLY_S, min(self._now() + RETRY_S, until))
        return HeldCredential(credential.fields, renewable=renewable), until

    def _latest(self, key: CredentialKey) -> Credential:
        credential = self._vault.get(key)
        unsaved = self._unsaved.get(key)
        if unsaved is not None and unsaved.version == credential.version:
            return unsaved
        return credential

    def _is_due(self, credential: Credential, rejected: HeldCredential | None) -> bool:
        """Tell whether it has to be renewed. Raises `CredentialUnavailableError`.

        Programs of the sandbox, and a server that refuses every credential, would have it renewed with
        each request. So it is tried once in `RETRY_S`, but where a credential lives shorter than that.
        """
        now, ends = self._now(), credential.expires_at
        usable = "token" in credential.fields and (ends is None or now < ends)
        tried = self._tried.get(credential.key)
        if tried is not None and tried.is_recent(credential, now):
            if not usable and tried.problem:
                raise CredentialUnavailableError(tried.problem)
            return not usable
        if rejected is not None:
            return credential.fields == rejected.fields
        # Without a token it was granted by its refresh token alone.
        return not usable or (ends is not None and ends - EARLY_S <= now)

    def _renewed(self, credential: Credential, client: Refresh) -> Credential:
        tried = self._tried[credential.key] = _Tried(self._now(), credential.created_at)
        try:
            renewed = self._renew(credential, client)
        except MoatError as exc:
            if credential.expires_at is not None and self._now() < credential.expires_at:
                log.warning("%s can't be renewed yet: %s", credential.key.name, exc.summary)
                return credential
            command = _command(credential.key)
            tried.problem = f"it can't be renewed: {exc.summary}. Give it anew: {command}"
            raise CredentialUnavailableError(tried.problem) from exc
        try:
            return self._vault.replace(renewed)
        except CredentialNotFoundError:
            raise  # it was revoked meanwhile
        except VaultError as exc:
            # The provider may take the old refresh token no more: this one is kept while the run lasts.
            name = credential.key.name
            log.error("the renewed %s can't be saved: %s", name, exc.summary)  # noqa: TRY400  no traceback
            self._unsaved[credential.key] = renewed
            return renewed


@dataclass(slots=True)
class _Tried:
    """The last renewal of a credential by this run."""

    at: float
    granted_at: str
    """The credential that the user has granted anew since is another one."""
    problem: str = ""
    """The reason why it failed."""

    def is_recent(self, credential: Credential, now: float) -> bool:
        return self.granted_at == credential.created_at and 0 <= now - self.at < RETRY_S


@contextmanager
def _unavailable() -> Generator[None]:
    """Turn the errors of the vault into those of a credential."""
    try:
        yield
    except VaultError as exc:
        raise CredentialUnavailableError(_words(exc)) from exc


def _client(credential: Credential, grant: Grant) -> Refresh | None:
    """Return how to renew a credential; `None` if that is impossible."""
    if "refresh_token" not in credential.fields:
        return None
    known = credential.attributes
    if grant.refresh is not None or "token_url" not in known:
        return grant.refresh
    return Refresh(
        token_url=known["token_url"],
        client_id=known.get("client_id", ""),
        client_secret=known.get("client_secret", ""),
    )


def _words(exc: MoatError) -> str:
    return f"{exc.summary}. {exc.hint}" if exc.hint else exc.summary


def _command(key: CredentialKey) -> str:
    return f"moat grant {key.arguments}"
