from __future__ import annotations

import os
import signal
import ssl
import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import given
from hypothesis import strategies as st
from tests.egress.handshakes import close, handshake, trusting
from tests.origin import Origin

from moat.egress.tls.ca import FILE, ROUTER, CertificateAuthority

if TYPE_CHECKING:
    from collections.abc import Iterator

LONG = f"{'a' * 60}.{'b' * 60}.example.test"
HOSTS = ["origin.test", "_dmarc.x--y.origin.test", "xn--bcher-kva.example", LONG]
T = TypeVar("T", bound=x509.ExtensionType)
ADDRESSES = ["127.0.0.1", "::1", "2001:db8::1", "::ffff:192.0.2.1"]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> CertificateAuthority:
    return CertificateAuthority.load_or_create(tmp_path_factory.mktemp("run"))


@pytest.fixture
def client(authority: CertificateAuthority) -> ssl.SSLContext:
    return trusting(authority.certificate_pem)


@pytest.fixture
def site(authority: CertificateAuthority, tmp_path: Path) -> Iterator[tuple[int, Path]]:
    """A server of the name localhost: its port, and the authority's certificate in a file."""
    ca = tmp_path / "ca.pem"
    ca.write_bytes(authority.certificate_pem)
    with Origin(authority.context("localhost", ("http/1.1",))) as origin:
        yield origin.port, ca


def _one(certificate: x509.Certificate, kind: type[T]) -> x509.Extension[T]:
    return certificate.extensions.get_extension_for_class(kind)


# --- the authority ---


def test_its_certificate_says_what_it_may(authority: CertificateAuthority) -> None:
    """It signs servers' certificates and no further authorities; RFC 5280 4.2.1."""
    made = x509.load_pem_x509_certificate(authority.certificate_pem)

    assert made.subject == made.issuer
    assert made.subject.rfc4514_string() == "CN=Moat run authority,O=Moat"
    constraints = _one(made, x509.BasicConstraints)
    assert (constraints.critical, constraints.value) == (True, x509.BasicConstraints(True, 0))
    usage = _one(made, x509.KeyUsage)
    assert usage.critical
    assert usage.value.key_cert_sign
    assert usage.value.crl_sign
    assert not usage.value.digital_signature
    assert _one(made, x509.SubjectKeyIdentifier).value.digest
    assert isinstance(key := made.public_key(), ec.EllipticCurvePublicKey)
    assert isinstance(key.curve, ec.SECP256R1)
    now = datetime.now(UTC)
    assert made.not_valid_before_utc < now - timedelta(hours=23)
    assert made.not_valid_after_utc > now + timedelta(days=360)


def test_the_next_supervisor_has_the_same(tmp_path: Path) -> None:
    """What the sandbox trusts is still what signs."""
    first, second = (CertificateAuthority.load_or_create(tmp_path) for _ in range(2))
    assert first.certificate_pem == second.certificate_pem
    handshake(trusting(first.certificate_pem), second.context("origin.test"), "origin.test")


def test_runs_do_not_trust_each_other(tmp_path: Path) -> None:
    """Authorities have one name, and each a key of its own."""
    mine, theirs = (tmp_path / name for name in ("mine", "theirs"))
    for folder in (mine, theirs):
        folder.mkdir()
    client = trusting(CertificateAuthority.load_or_create(mine).certificate_pem)
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(client, CertificateAuthority.load_or_create(theirs).context("a.test"), "a.test")


@pytest.mark.parametrize("host", ["example.com", "localhost.example.com", "127.0.0.1", "::1"])
def test_the_routers_authority_is_trusted_below_localhost_alone(tmp_path: Path, host: str) -> None:
    """Whoever gets hold of its key can impersonate no site to the user who trusts it."""
    authority = CertificateAuthority.load_or_create(tmp_path, ROUTER)
    client = trusting(authority.certificate_pem)
    for name in ("localhost", "web.fix.localhost"):
        handshake(client, authority.context(name), name)
    with pytest.raises(ssl.SSLCertVerificationError, match=r"permitted subtree|excluded subtree"):
        handshake(client, authority.context(host), host)


def test_the_routers_authority_is_one_of_servers_alone(tmp_path: Path) -> None:
    """With its key, nobody can sign mail or programs in somebody's name."""
    authority = CertificateAuthority.load_or_create(tmp_path, ROUTER)
    told = subprocess.run(
        ["openssl", "x509", "-noout", "-purpose"],
        input=authority.certificate_pem,
        capture_output=True,
        check=True,
    ).stdout
    assert b"SSL server CA : Yes" in told
    for other in (b"SSL client", b"S/MIME signing", b"S/MIME encryption"):
        assert other + b" CA : No" in told


def test_its_key_is_its_owners_alone(tmp_path: Path) -> None:
    """Whatever the umask, and it is in one file that is there whole or not at all."""
    before = os.umask(0)
    try:
        CertificateAuthority.load_or_create(tmp_path)
    finally:
        os.umask(before)
    assert [each.name for each in tmp_path.iterdir()] == [FILE]
    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600


def test_a_supervisor_killed_while_writing_leaves_no_half_key(tmp_path: Path) -> None:
    """The next one makes the authority anew."""
    dying = (
        "import os, signal, sys; from pathlib import Path; from moat.egress.tls import ca\n"
        "Path.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "ca.CertificateAuthority.load_or_create(Path(sys.argv[1]))"
    )
    done = subprocess.run([sys.executable, "-c", dying, str(tmp_path)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert not (tmp_path / FILE).exists()

    made = CertificateAuthority.load_or_create(tmp_path)
    assert CertificateAuthority.load_or_create(tmp_path).certificate_pem == made.certificate_pem
    assert [each.name for each in tmp_path.iterdir()] == [FILE]


@pytest.mark.parametrize("content", [b"", b"\0" * 512, b"-----BEGIN PRIVATE KEY-----\n"])
def test_a_damaged_file_is_told(tmp_path: Path, content: bytes) -> None:
    """A new authority would be one that the sandbox does not trust."""
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(OSError, match="damaged"):
        CertificateAuthority.load_or_create(tmp_path)
    assert (tmp_path / FILE).read_bytes() == content


def test_a_planted_link_is_not_followed(tmp_path: Path) -> None:
    """The key goes into a file that we make."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.touch()
    run = tmp_path / "run"
    run.mkdir()
    (run / f"{FILE}.new").symlink_to(elsewhere)
    CertificateAuthority.load_or_create(run)
    assert not elsewhere.read_bytes()
    assert not (run / FILE).is_symlink()


# --- its servers' certificates ---


@pytest.mark.parametrize("host", HOSTS)
def test_a_name_is_vouched_for(
    authority: CertificateAuthority, client: ssl.SSLContext, host: str
) -> None:
    """For a client that keeps to the letter of RFC 5280, also where no common name is long enough."""
    shown = handshake(client, authority.context(host), host).certificate
    names = _one(shown, x509.SubjectAlternativeName)
    assert list(names.value) == [x509.DNSName(host)]
    common = [each.value for each in shown.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    assert common == ([host] if len(host) <= 64 else [])
    assert names.critical == (not common)


@pytest.mark.parametrize("address", ADDRESSES)
def test_an_address_is_vouched_for(
    authority: CertificateAuthority, client: ssl.SSLContext, address: str
) -> None:
    """As an address: clients don't look for one among the names."""
    shown = handshake(client, authority.context(address), address).certificate
    names = _one(shown, x509.SubjectAlternativeName).value
    assert list(names) == [x509.IPAddress(ip_address(address))]


@pytest.mark.parametrize(
    ("host", "asked"),
    [
        ("origin.test", "other.test"),
        ("origin.test", "sub.origin.test"),
        ("sub.origin.test", "origin.test"),
        ("127.0.0.1", "127.0.0.2"),
        ("origin.test", "127.0.0.1"),
    ],
)
def test_nothing_else_is_vouched_for(
    authority: CertificateAuthority, client: ssl.SSLContext, host: str, asked: str
) -> None:
    """One certificate, one name."""
    with pytest.raises(ssl.SSLCertVerificationError, match=r"mismatch|not valid for"):
        handshake(client, authority.context(host), asked)


def test_a_servers_certificate_is_what_clients_insist_on(
    authority: CertificateAuthority, client: ssl.SSLContext
) -> None:
    """RFC 5280, the CA/Browser Forum's rules, and what Apple, Java and Go check beyond."""
    shown = handshake(client, authority.context("origin.test"), "origin.test").certificate
    issuer = x509.load_pem_x509_certificate(authority.certificate_pem)

    shown.verify_directly_issued_by(issuer)
    assert shown.version is x509.Version.v3
    constraints = _one(shown, x509.BasicConstraints)
    assert (constraints.critical, constraints.value.ca) == (True, False)
    usage = _one(shown, x509.KeyUsage)
    assert usage.critical
    assert usage.value.digital_signature
    assert not usage.value.key_cert_sign
    purposes = _one(shown, x509.ExtendedKeyUsage).value
    assert list(purposes) == [ExtendedKeyUsageOID.SERVER_AUTH]
    known = _one(shown, x509.AuthorityKeyIdentifier).value.key_identifier
    assert known == _one(issuer, x509.SubjectKeyIdentifier).value.digest
    now = datetime.now(UTC)
    assert timedelta() < now - shown.not_valid_before_utc <= timedelta(days=1, minutes=1)
    assert shown.not_valid_after_utc - shown.not_valid_before_utc <= timedelta(days=90)
    assert shown.not_valid_after_utc < issuer.not_valid_after_utc


def test_serial_numbers_are_positive_short_and_each_its_own(
    authority: CertificateAuthority,
) -> None:
    """RFC 5280 4.1.2.2; Go refuses negative ones, and NSS two of one number."""
    serials = [authority._leaf("origin.test").serial_number for _ in range(50)]
    assert all(each > 0 and each.bit_length() < 160 for each in serials)
    assert len(set(serials)) == len(serials)


LABEL = st.from_regex(r"[a-z0-9_]([a-z0-9_-]{0,30}[a-z0-9_])?", fullmatch=True)


@given(st.lists(LABEL, min_size=1, max_size=7).map(lambda labels: ".".join([*labels, "test"])))
def test_every_canonical_name_has_a_certificate(authority: CertificateAuthority, host: str) -> None:
    """What programs in the sandbox may ask for ends in no exception."""
    assert list(_one(authority._leaf(host), x509.SubjectAlternativeName).value) == [
        x509.DNSName(host)
    ]


# --- its servers' TLS ---


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_it_speaks(
    authority: CertificateAuthority, client: ssl.SSLContext, version: ssl.TLSVersion
) -> None:
    """TLS 1.2 and 1.3, with forward secrecy, without compression."""
    client.minimum_version = client.maximum_version = version
    ends = handshake(client, authority.context("origin.test"), "origin.test")
    assert ends.client.version() == version.name.replace("_", ".")
    assert ends.client.compression() is None
    cipher = ends.client.cipher()
    assert cipher is not None
    assert cipher[0].startswith(("TLS_", "ECDHE-ECDSA-"))


def test_it_does_not_speak_what_is_broken(authority: CertificateAuthority) -> None:
    """Older than TLS 1.2, or renegotiated."""
    context = authority.context("origin.test")
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.options & ssl.OP_NO_RENEGOTIATION


@pytest.mark.parametrize(
    ("offered", "spoken", "chosen"),
    [
        (("h2", "http/1.1"), ("http/1.1", "h2"), "h2"),
        (("h2", "http/1.1"), ("http/1.1",), "http/1.1"),
        (("http/1.1",), ("h2", "http/1.1"), "http/1.1"),
        (("h2", "http/1.1"), (), None),
    ],
)
def test_the_protocol_is_agreed_on(
    authority: CertificateAuthority,
    client: ssl.SSLContext,
    offered: tuple[str, ...],
    spoken: tuple[str, ...],
    chosen: str | None,
) -> None:
    """By our preference; a client that names none gets none."""
    client.set_alpn_protocols(list(spoken))
    ends = handshake(client, authority.context("origin.test", offered), "origin.test")
    assert ends.server.selected_alpn_protocol() == chosen


@pytest.mark.parametrize("option", ["-tls1_2", "-tls1_3"])
def test_a_session_is_resumed(option: str, site: tuple[int, Path]) -> None:
    """By OpenSSL's own client, whichever TLS it speaks."""
    port, ca = site
    session = ca.with_name("session.pem")
    first = _s_client(port, ca, option, "-sess_out", str(session))
    second = _s_client(port, ca, option, "-sess_in", str(session))
    assert "Verify return code: 0 (ok)" in first
    assert "\nNew, " in first
    assert "\nReused, " in second


def test_one_ticket_is_sent(site: tuple[int, Path]) -> None:
    """Each costs the handshake a record."""
    port, ca = site
    assert _s_client(port, ca, "-tls1_3", "-msg").count("NewSessionTicket") == 1


def test_a_context_remembers_only_clients_without_tickets(
    authority: CertificateAuthority, client: ssl.SSLContext
) -> None:
    """TLS 1.2 sessions are the reason why a context serves only so many connections."""
    context = authority.context("origin.test")
    for _ in range(5):
        close(handshake(client, context, "origin.test"))
    assert context.session_stats()["number"] == 0

    client.maximum_version = ssl.TLSVersion.TLSv1_2
    client.options |= ssl.OP_NO_TICKET
    for _ in range(5):
        close(handshake(client, context, "origin.test"))
    assert context.session_stats()["number"] == 5


def test_curl_believes_it(site: tuple[int, Path]) -> None:
    """Chain and name; and it does not when the certificate is for another name."""
    port, ca = site
    assert _curl(ca, f"https://localhost:{port}/").returncode == 0
    refused = _curl(ca, f"https://127.0.0.1:{port}/")
    assert refused.returncode == 60, refused.stderr  # "peer certificate cannot be authenticated"


def test_no_key_is_on_the_way_to_openssl(
    authority: CertificateAuthority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It passes through memory, and no descriptor is left."""
    loaded: list[str] = []
    load = ssl.SSLContext.load_cert_chain

    def watched(self: ssl.SSLContext, certfile: str) -> None:
        loaded.append(str(Path(certfile).readlink()))
        load(self, certfile)

    monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", watched)
    descriptors = Path("/proc/self/fd")
    before = len(list(descriptors.iterdir()))
    authority.context("origin.test")
    assert loaded == ["/memfd:leaf (deleted)"]
    assert len(list(descriptors.iterdir())) == before


def _s_client(port: int, ca: Path, *options: str) -> str:
    """What it says of a connection on which one request is answered."""
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-servername", "localhost"]
    checks = ["-CAfile", str(ca), "-verify_hostname", "localhost", "-verify_return_error"]
    request = "GET /close HTTP/1.1\r\nHost: localhost\r\n\r\n"
    done = subprocess.run(
        # To the server's end of it, not to the end of the input: a ticket comes behind the handshake.
        [*command, *checks, *options, "-ign_eof"],
        input=request,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    return done.stdout


def _curl(ca: Path, url: str) -> subprocess.CompletedProcess[str]:
    # Without the machine's own settings: a proxy, other certificates.
    command = ["curl", "-q", "-sS", "--noproxy", "*", "--cacert", str(ca), "--capath", "/nowhere"]
    environment = {"PATH": os.environ["PATH"]}
    return subprocess.run(
        [*command, "-o", "/dev/null", url],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env=environment,
    )
