"""The certificate of a run's authority in a real sandbox, and what finds it there."""

from __future__ import annotations

import base64
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.engines.trust_store.authorities import der, make_authority

from moat.engines.bubblewrap.layout import environment
from moat.engines.trust_store import certificates, java_truststore
from moat.engines.trust_store.certificates import SUBJECT_HASH
from moat.spec import Network

if TYPE_CHECKING:
    from tests.sandbox import Sandbox

BUNDLE = "/etc/ssl/certs/ca-certificates.crt"


def test_the_subjects_hash_is_openssls(tmp_path: Path) -> None:
    """OpenSSL finds the authority in a folder of certificates by this hash."""
    openssl = ["openssl", "x509", "-noout", "-hash"]
    done = subprocess.run(openssl, input=make_authority(tmp_path), capture_output=True, check=True)
    assert done.stdout.decode().strip() == SUBJECT_HASH


def test_a_folder_of_certificates_suffices(trusting: Sandbox) -> None:
    """OpenSSL on Debian has no bundle by default, and finds each certificate by its hash."""
    trusting.shell(
        "openssl verify -no-CAfile -no-CAstore -CApath /etc/ssl/certs leaf.pem",
        workdir="/workspace",
    )


@pytest.mark.parametrize(
    "network", [Network(passthrough=("pinned.test",)), Network(tcp=("database.test:5432",))]
)
def test_the_hosts_authorities_are_trusted_where_not_all_is_intercepted(
    trusting: Sandbox, network: Network
) -> None:
    """The bundle is the host's with one more certificate at its end."""
    bundle = trusting.shell(f"cat {BUNDLE}", network=network).encode()
    assert bundle == Path(BUNDLE).read_bytes().rstrip() + b"\n" + trusting.authority.strip()


def test_the_runs_authority_is_the_only_one_where_all_is_intercepted(trusting: Sandbox) -> None:
    """Each program reads a bundle of one certificate, which takes no time."""
    assert trusting.shell(f"cat {BUNDLE}").encode() == trusting.authority.strip()


def test_nothing_of_it_can_be_changed(trusting: Sandbox) -> None:
    """The files and the links to them are read-only, and the key is not among them."""
    assert trusting.shell("ls /etc/moat").split() == [
        "authority.pem",
        "cacerts",
        "certificates.pem",
    ]
    assert "PRIVATE KEY" not in trusting.shell("cat /etc/moat/*.pem")
    for path in ("/etc/moat/authority.pem", BUNDLE):
        assert "Read-only" in trusting.run("bash", "-c", f": >> {path}").stderr


def test_the_users_variables_win(sandbox: Sandbox) -> None:
    """A user who names another bundle gets it, in `moat exec` too."""
    spec = sandbox.spec(env={"SSL_CERT_FILE": "/workspace/mine.pem"})
    assert environment(spec, tty=False)["SSL_CERT_FILE"] == "/workspace/mine.pem"
    assert environment(spec, tty=False)["PIP_CERT"] == "/etc/moat/certificates.pem"


def test_a_host_without_certificates(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run's own authority is there all the same."""
    for places in ("_BUNDLES", "_HASHED", "_ANCHORS"):
        monkeypatch.setattr(certificates, places, ("/nowhere/at/all",))
    sandbox.authority = make_authority(tmp_path)
    assert sandbox.shell("cat $SSL_CERT_FILE").encode() == sandbox.authority.strip()


def test_a_jdk_of_the_users_own(
    trusting: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its truststore, of whatever format, is covered by one with the host's roots and ours."""
    monkeypatch.setattr(java_truststore, "_JDK_FOLDERS", ())
    monkeypatch.setattr(java_truststore, "_SHARED", ())
    store = tmp_path / "jdk" / "lib" / "security" / "cacerts"
    store.parent.mkdir(parents=True)
    store.write_bytes(b"PKCS 12")
    (tmp_path / "jdk" / "bin").mkdir()
    path = f"{tmp_path}/jdk/bin:/usr/bin"
    shown = trusting.shell(f"base64 {store}", host_path=path)
    content = base64.b64decode(shown)
    roots = Path(BUNDLE).read_bytes().count(b"BEGIN CERT")
    assert int.from_bytes(content[8:12], "big") == roots + 1
    assert der(trusting.authority) in content
    assert store.read_bytes() == b"PKCS 12"
