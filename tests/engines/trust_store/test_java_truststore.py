"""Java truststores: the format, as Java itself reads it, and the places where they are found."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from tests.engines.trust_store.authorities import der, make_authority

from moat.engines.trust_store.java_truststore import extend, find_truststores, truststore

if TYPE_CHECKING:
    from pathlib import Path


@dataclass
class Software:
    """A user's toolchains, as an engine would show them."""

    roots: list[Path]
    path: list[str]

    def shows(self, path: Path) -> bool:
        return any(map(path.is_relative_to, self.roots))


needs_java = pytest.mark.skipif(shutil.which("keytool") is None, reason="no Java here")


def listed(store: Path) -> set[str]:
    """Return the aliases in a truststore; keytool checks its digest with the password."""
    command = ["keytool", "-list", "-keystore", store, "-storepass", "changeit"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return set(re.findall(r"^(\S+), .*trustedCertEntry", done.stdout, re.MULTILINE))


@needs_java
def test_java_reads_what_we_write(tmp_path: Path) -> None:
    """Each certificate is there as a trusted one, and the digest is right."""
    certificates = {f"number-{n}": der(make_authority(tmp_path / str(n))) for n in range(3)}
    store = tmp_path / "cacerts"
    store.write_bytes(truststore(certificates))
    assert listed(store) == set(certificates)


@needs_java
def test_a_store_is_extended(tmp_path: Path) -> None:
    """The certificates that keytool put into it stay."""
    for name in ("theirs", "ours"):
        (tmp_path / name).mkdir()
        (tmp_path / f"{name}.pem").write_bytes(make_authority(tmp_path / name))
    store = tmp_path / "cacerts"
    importing = ["keytool", "-importcert", "-noprompt", "-storetype", "JKS", "-alias", "theirs"]
    importing += ["-file", tmp_path / "theirs.pem", "-keystore", store, "-storepass", "changeit"]
    subprocess.run(importing, check=True, capture_output=True)
    both = extend(store.read_bytes(), {"ours": der((tmp_path / "ours.pem").read_bytes())})
    assert both is not None
    store.write_bytes(both)
    assert listed(store) == {"ours", "theirs"}


@pytest.mark.parametrize("content", [b"", b"\xfe\xed\xfe\xed", b"\x30\x82" + bytes(100)])
def test_other_formats_are_not_extended(content: bytes) -> None:
    """An empty file, a truncated one, and PKCS 12, the default of newer JDKs."""
    assert extend(content, {"ours": b"certificate"}) is None


def test_extending_by_nothing_changes_nothing() -> None:
    """The digest depends on nothing but the content."""
    store = truststore({"one": b"1", "two": b"2"})
    assert extend(store, {}) == store


def test_jdks_are_found_by_home_manager_and_path(tmp_path: Path) -> None:
    """JAVA_HOME, a version manager's folder and the links of PATH lead to JDKs, each found once."""
    homes = [tmp_path / name for name in ("own", "sdkman/candidates/java/21", "opt/8")]
    stores: list[str] = []
    for home, inner in zip(homes, ("lib", "lib", "jre/lib"), strict=True):
        store = home / inner / "security" / "cacerts"
        store.parent.mkdir(parents=True)
        store.touch()
        stores.append(str(store))
    program = homes[2] / "bin" / "java"
    program.parent.mkdir()
    program.touch()
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "java").symlink_to(program)
    (tmp_path / "sdkman/candidates/java/current").symlink_to("21")
    software = Software([tmp_path / "sdkman"], [str(folder)])
    found = find_truststores(software, str(homes[0]))
    assert sorted(set(found) & set(stores)) == sorted(stores)
    assert len(found) == len(set(found))
