"""The certificate authority of the router, for names below `localhost` alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moat.egress.tls.ca import ROUTER, CertificateAuthority
from moat.ports import router_place
from moat.runs import lock

if TYPE_CHECKING:
    from pathlib import Path


def load(home: Path) -> CertificateAuthority:
    """Return the authority of a store, and make it where there is none. Raises `OSError`."""
    folder = home / router_place.FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    with lock.locked(folder / "authority.lock"):
        return CertificateAuthority.load_or_create(folder, ROUTER)
