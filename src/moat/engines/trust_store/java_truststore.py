"""Where Java keeps the certificates that it trusts, and what such a file holds.

The one variable that every Java program reads, JAVA_TOOL_OPTIONS, makes each of them begin with a
line on its standard error. So the file itself is another one in the sandbox.
"""

from __future__ import annotations

import os
import struct
from hashlib import sha1
from pathlib import PurePath
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from moat.engines.bubblewrap.toolchains import Toolchains

# Folders of JDKs, among other things: the system's, and below the folder of a version manager.
_SHELVES: Final = ("/usr/lib/jvm", "/usr/lib64/jvm", "/usr/java", "/opt")
_MANAGED_SHELVES: Final = ("candidates/java", "installs/java")  # sdkman; asdf and mise
_IN_JDK: Final = ("lib/security/cacerts", "jre/lib/security/cacerts")  # the second: up to Java 8
# Of all JDKs that the system packages.
_SHARED: Final = ("/etc/ssl/certs/java/cacerts", "/etc/pki/ca-trust/extracted/java/cacerts")


def find_truststores(toolchains: Toolchains, java_home: str | None) -> list[str]:
    """Those of the JDKs on this host, without links on the way; the system's come first."""
    homes = [*map(str, toolchains.shown), *_on_shelves(toolchains), *_on_path(toolchains)]
    if java_home is not None:
        homes.append(java_home)
    stores = {f"{home}/{name}": None for home in homes for name in _IN_JDK}
    real = [os.path.realpath(store) for store in (*_SHARED, *stores) if is_file(store)]
    return list(dict.fromkeys(real))


def is_file(path: str) -> bool:
    """False, too, where we may not look; `Path` raises there."""
    return os.path.isfile(path)  # noqa: PTH113  as just said


def _on_shelves(toolchains: Toolchains) -> Iterator[str]:
    managed = (f"{root}/{name}" for root in toolchains.shown for name in _MANAGED_SHELVES)
    for shelf in (*_SHELVES, *managed):
        yield from (f"{shelf}/{name}" for name in _names_in(shelf))


def _names_in(folder: str) -> list[str]:
    try:
        return os.listdir(folder)  # noqa: PTH208  a dozen folders at every start
    except OSError:
        return []


def _on_path(toolchains: Toolchains) -> Iterator[str]:
    program = next(filter(is_file, (f"{folder}/java" for folder in toolchains.path)), None)
    if program is not None:
        yield str(PurePath(os.path.realpath(program)).parents[1])


_HEADER: Final = struct.Struct(">III")  # magic, version, number of entries
_MAGIC: Final = 0xFEEDFEED
_VERSION: Final = 2
_TRUSTED_CERTIFICATE: Final = 2
_DIGEST_SIZE: Final = 20
_PASSWORD: Final = "changeit"  # noqa: S105  Java's own default: it guards nothing
_WHITENER: Final = b"Mighty Aphrodite"

# Format: OpenJDK, sun.security.provider.JavaKeyStore, engineStore and getPreKeyedHash. Newer JDKs have
# PKCS 12 by default, and read this all the same. The digest wants a password; Java doesn't ask for it to
# read a truststore, and tools are given the default.


def truststore(certificates: Mapping[str, bytes]) -> bytes:
    """The certificates (DER, by alias) as a JKS."""
    return _store(len(certificates), _entries(certificates))


def extended(store: bytes, certificates: Mapping[str, bytes]) -> bytes | None:
    """The JKS `store` with these certificates (DER, by alias), too; `None` if it is no JKS."""
    if len(store) < _HEADER.size + _DIGEST_SIZE:
        return None
    magic, version, count = _HEADER.unpack_from(store)
    if (magic, version) != (_MAGIC, _VERSION):
        return None
    entries = store[_HEADER.size : -_DIGEST_SIZE]
    return _store(count + len(certificates), entries + _entries(certificates))


def _entries(certificates: Mapping[str, bytes]) -> bytes:
    return b"".join([_entry(alias.encode(), der) for alias, der in certificates.items()])


def _entry(alias: bytes, der: bytes) -> bytes:
    created = 0
    head = struct.pack(f">IH{len(alias)}sQ", _TRUSTED_CERTIFICATE, len(alias), alias, created)
    return head + struct.pack(">H5sI", 5, b"X.509", len(der)) + der


def _store(count: int, entries: bytes) -> bytes:
    header = _HEADER.pack(_MAGIC, _VERSION, count)
    digest = sha1(_PASSWORD.encode("utf-16-be") + _WHITENER + header, usedforsecurity=False)
    digest.update(entries)
    return b"".join((header, entries, digest.digest()))
