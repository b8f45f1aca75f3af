"""Java truststores: where a host's JDKs keep them, and their file format.

The one variable that every Java program reads, JAVA_TOOL_OPTIONS, makes each of them print a line on
its standard error. So the sandbox gets another truststore file in the place of the JDK's.
"""

from __future__ import annotations

import os
import struct
from hashlib import sha1
from pathlib import PurePath
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

# Folders that hold JDKs, among other things: the system's, and those below a version manager's folder.
_JDK_FOLDERS: Final = ("/usr/lib/jvm", "/usr/lib64/jvm", "/usr/java", "/opt")
_MANAGED_JDK_FOLDERS: Final = ("candidates/java", "installs/java")  # sdkman; asdf and mise
_IN_JDK: Final = ("lib/security/cacerts", "jre/lib/security/cacerts")  # the second: up to Java 8
# One file for all JDKs that the distribution packages.
_SHARED: Final = ("/etc/ssl/certs/java/cacerts", "/etc/pki/ca-trust/extracted/java/cacerts")


class VisibleSoftware(Protocol):
    """The host's software as a sandbox shows it, known to the engine that makes the sandbox."""

    @property
    def roots(self) -> Sequence[Path]:
        """The user's toolchains that are shown: files and folders outside the system's."""
        ...

    @property
    def path(self) -> Sequence[str]:
        """The folders of the sandbox's PATH."""
        ...

    def shows(self, path: Path) -> bool:
        """Return whether the sandbox sees the host's file at this path."""
        ...


def find_truststores(software: VisibleSoftware, java_home: str | None) -> list[str]:
    """Return the real paths of the truststores of this host's JDKs, the system's first."""
    homes = [*map(str, software.roots), *_packaged_jdks(software), *_jdk_on_path(software)]
    if java_home is not None:
        homes.append(java_home)
    stores = {f"{home}/{name}": None for home in homes for name in _IN_JDK}
    real = [os.path.realpath(store) for store in (*_SHARED, *stores) if is_file(store)]
    return list(dict.fromkeys(real))


def is_file(path: str) -> bool:
    """Return whether a file is there; false where we may not look, and `Path.is_file` would raise."""
    return os.path.isfile(path)  # noqa: PTH113  the reason is in the docstring


def _packaged_jdks(software: VisibleSoftware) -> Iterator[str]:
    managed = (f"{root}/{name}" for root in software.roots for name in _MANAGED_JDK_FOLDERS)
    for folder in (*_JDK_FOLDERS, *managed):
        yield from (f"{folder}/{name}" for name in _names_in(folder))


def _names_in(folder: str) -> list[str]:
    try:
        return os.listdir(folder)  # noqa: PTH208  a dozen folders at every start
    except OSError:
        return []


def _jdk_on_path(software: VisibleSoftware) -> Iterator[str]:
    program = next(filter(is_file, (f"{folder}/java" for folder in software.path)), None)
    if program is not None:
        yield str(PurePath(os.path.realpath(program)).parents[1])


_HEADER: Final = struct.Struct(">III")  # magic, version, number of entries
_MAGIC: Final = 0xFEEDFEED
_VERSION: Final = 2
_TRUSTED_CERTIFICATE: Final = 2
_DIGEST_SIZE: Final = 20
_PASSWORD: Final = "changeit"  # noqa: S105  Java's default, which guards nothing
_WHITENER: Final = b"Mighty Aphrodite"

# The format is that of OpenJDK's sun.security.provider.JavaKeyStore (engineStore, getPreKeyedHash).
# Newer JDKs write PKCS 12 by default and still read this one. The digest needs a password: Java asks
# for none to read a truststore, and tools assume the default.


def truststore(certificates: Mapping[str, bytes]) -> bytes:
    """Return the certificates (DER, by alias) as a JKS file."""
    return _store(len(certificates), _entries(certificates))


def extend(store: bytes, certificates: Mapping[str, bytes]) -> bytes | None:
    """Add certificates (DER, by alias) to the JKS file `store`; `None` if it is no JKS file."""
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
