"""The way of a credential into the vault, as the user sees it. `moat run` offers it, too."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from moat.config import settings
from moat.credentials.credential import Credential
from moat.credentials.obtaining import obtain
from moat.credentials.obtaining.http import OF_ENVIRONMENT
from moat.credentials.vault import Vault
from moat.paths import moat_home
from moat.platform import memory
from moat.printable import without_controls
from moat.providers import catalog

if TYPE_CHECKING:
    from moat.config.certificates import CertificateFile
    from moat.credentials.credential import CredentialKey
    from moat.credentials.obtaining.device import Invitation
    from moat.credentials.obtaining.http import Way
    from moat.errors import MoatError
    from moat.providers.recipe import Source


def grant(key: CredentialKey, source: Source | None, *, validate: bool) -> Credential:
    """Obtain a credential and put it into the vault; say so on stderr. Raises `MoatError`."""
    memory.keep_private()  # the secret is in this process from now on
    provider = catalog.find(key.provider)
    recipe = provider.recipe_for(key.scope)
    key = replace(key, provider=provider.id)  # not the alias that the user may have written
    vault = Vault(moat_home())
    is_new = vault.state is None
    vault.check_ready(key)
    found = obtain.obtain(recipe, source, _Terminal(), validate=validate, way=_way())
    saved = vault.put(
        Credential(
            key=key,
            fields=found.fields,
            attributes=found.attributes,
            expires_at=found.expires_at,
            source=found.source,
        )
    )
    account = saved.attributes.get("account")
    _say(f"{key.name}: granted, from {found.origin}" + (f", as {account}" if account else ""))
    if not validate:
        _say("nobody has asked whether it works (--no-validate)")
    if is_new:
        _say_where_the_key_is(vault)
    return saved


def _way() -> Way:
    """Return the way to providers: that of this environment, with the authorities of the settings."""
    authorities: CertificateFile | None = settings.load(moat_home()).network.get("upstream_ca")
    return replace(OF_ENVIRONMENT, authorities=authorities.pem if authorities else "")


def _say_where_the_key_is(vault: Vault) -> None:
    if vault.state is not None and vault.state.key_place == "file":
        _say(
            f"beware: there is no keyring, so the vault's key is in the file {vault.folder / 'key'}; "
            "who reads your files can use it (see docs/credentials.md)"
        )


class _Terminal:
    """Speaks on stderr."""

    def refused(self, error: MoatError) -> None:
        _say(error.summary)

    def page(self, url: str) -> None:
        _say(f"agree on this page:\n\n  {url}\n")
        if sys.stdin.isatty():
            _say("if the browser is on another machine, paste the address on which it ends:")

    def code(self, invitation: Invitation) -> None:
        url, code = without_controls(invitation.url), without_controls(invitation.code)
        sys.stderr.write(f"moat: type the code {code} on this page: {url}\n")
        sys.stderr.flush()


def _say(text: str) -> None:
    lines = "\n".join(without_controls(line) for line in text.split("\n"))
    sys.stderr.write(f"moat: {lines}\n")
    sys.stderr.flush()
