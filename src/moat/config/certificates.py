"""PEM certificates from the user's files."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from moat.config.files import read_bounded
from moat.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

# Mozilla's whole store is 220 KiB; with a company's own and the comments of some tools, 500.
MAX_BYTES: Final = 2 * 1024 * 1024

_BEGIN: Final = "-----BEGIN CERTIFICATE-----"
_BLOCK: Final = re.compile(rf"{_BEGIN}\r?\n[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----", re.ASCII)


def read_certificates(path: Path) -> tuple[str, ...]:
    """Each certificate of the file, and nothing else: a key that lies beside them stays there.

    Raises `UsageError` where there is none, or one that is damaged.
    """
    text = read_bounded(path, MAX_BYTES).decode("ascii", "replace")
    found = tuple(_BLOCK.findall(text))
    if not text.count(_BEGIN):
        raise UsageError(f"{path} holds no PEM certificate", f"It has to have lines {_BEGIN}")
    if len(found) != text.count(_BEGIN) or not _are_certificates(found):
        raise UsageError(f"{path} holds a damaged certificate", f"Look: openssl x509 -in {path}")
    return found


def pem(certificates: tuple[str, ...]) -> str:
    """As a file of them."""
    return "".join(f"{each}\n" for each in certificates)


def without(certificates: tuple[str, ...], known: tuple[str, ...]) -> tuple[str, ...]:
    """Those that are not among the known ones, whatever their line breaks."""
    bodies = {"".join(each.split()) for each in known}
    return tuple(each for each in certificates if "".join(each.split()) not in bodies)


def _are_certificates(blocks: tuple[str, ...]) -> bool:
    # OpenSSL's own reader, for it is OpenSSL that has to take them later. Loaded where there are any.
    import ssl  # noqa: PLC0415

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata="\n".join(blocks))
    except ssl.SSLError:
        return False
    return True
