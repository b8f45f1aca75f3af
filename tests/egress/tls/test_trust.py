from __future__ import annotations

import asyncio
import ssl
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from tests.egress.handshakes import handshake

from moat.egress.tls import ca as authorities
from moat.egress.tls import trust
from moat.egress.tls.ca import CertificateAuthority
from moat.egress.tls.trust import explain, upstream_context

if TYPE_CHECKING:
    from collections.abc import Iterator

ALPN = ("h2", "http/1.1")


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    """Contexts stay for the life of a process."""
    trust._upstream_context.cache_clear()
    yield
    trust._upstream_context.cache_clear()


@pytest.fixture
def authority(tmp_path: Path) -> CertificateAuthority:
    return CertificateAuthority.load_or_create(tmp_path)


@pytest.fixture
def extra(authority: CertificateAuthority) -> str:
    return authority.certificate_pem.decode("ascii")


def _failure(client: ssl.SSLContext, server: ssl.SSLContext, host: str = "origin.test") -> str:
    with pytest.raises(ssl.SSLError) as info:
        handshake(client, server, host)
    said = explain(info.value)
    assert said.isascii()
    assert said.isprintable()
    return said


def test_who_is_named_is_trusted_beside_the_hosts_own(
    authority: CertificateAuthority, extra: str
) -> None:
    """`network.upstream_ca` adds; it takes nothing away."""
    context = upstream_context(extra, ALPN)
    ends = handshake(context, authority.context("origin.test"), "origin.test")
    assert ends.client.selected_alpn_protocol() == "h2"
    others = upstream_context("", ALPN).cert_store_stats()["x509_ca"]
    assert others
    assert context.cert_store_stats()["x509_ca"] == others + 1


def test_nothing_of_the_verification_is_left_out(extra: str) -> None:
    """Certificate, name, and no TLS before 1.2; whatever was added."""
    for context in (upstream_context("", ALPN), upstream_context(extra, ALPN)):
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert context.check_hostname
        assert context.minimum_version is ssl.TLSVersion.TLSv1_2


def test_an_unknown_authority_is_refused(authority: CertificateAuthority) -> None:
    """The line says how to trust it."""
    said = _failure(upstream_context("", ALPN), authority.context("origin.test"))
    assert "unable to get local issuer certificate" in said
    assert "network.upstream_ca" in said


def test_another_name_is_refused(authority: CertificateAuthority, extra: str) -> None:
    """The line names the one that was asked for, and no setting: none would help."""
    said = _failure(upstream_context(extra, ALPN), authority.context("other.test"))
    assert "not valid for 'origin.test'" in said
    assert "network." not in said


def test_another_address_is_refused(authority: CertificateAuthority, extra: str) -> None:
    said = _failure(upstream_context(extra, ALPN), authority.context("127.0.0.1"), "127.0.0.2")
    assert "not valid for '127.0.0.2'" in said


@pytest.mark.parametrize(
    ("begins_ago", "lasts", "why"),
    [
        (timedelta(days=1), timedelta(hours=1), "has expired"),
        (timedelta(days=-1), timedelta(days=2), "not yet valid"),
    ],
)
def test_another_time_is_refused(
    authority: CertificateAuthority,
    extra: str,
    monkeypatch: pytest.MonkeyPatch,
    begins_ago: timedelta,
    lasts: timedelta,
    why: str,
) -> None:
    monkeypatch.setattr(authorities, "_SLACK", begins_ago)
    monkeypatch.setattr(authorities, "_LEAF", lasts)
    said = _failure(upstream_context(extra, ALPN), authority.context("origin.test"))
    assert why in said


def test_a_self_signed_certificate_is_refused(
    authority: CertificateAuthority, tmp_path: Path
) -> None:
    """Also an authority's own, shown as a server's."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(tmp_path / authorities.FILE)
    said = _failure(upstream_context("", ALPN), server)
    assert "self-signed certificate" in said
    assert "network.upstream_ca" in said


def test_nothing_in_common_is_told(authority: CertificateAuthority, extra: str) -> None:
    """What is no matter of certificates."""
    old = authority.context("origin.test")
    client = upstream_context(extra, ALPN)
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    client.minimum_version = ssl.TLSVersion.TLSv1_3
    assert _failure(client, old).startswith("no TLS: ")


async def test_a_server_without_tls_is_told() -> None:
    """On the loop that makes the connections, which leaves the error as it is."""

    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(plain, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(ssl.SSLError) as info:
            await asyncio.get_running_loop().create_connection(
                asyncio.Protocol,
                "127.0.0.1",
                port,
                ssl=upstream_context("", ALPN),
                server_hostname="origin.test",
            )
    assert explain(info.value) == "no TLS: the server speaks something else on this port"


async def test_the_loop_tells_why_a_certificate_fails(authority: CertificateAuthority) -> None:
    """Its errors are OpenSSL's."""
    context = authority.context("origin.test")
    server = await asyncio.get_running_loop().create_server(
        asyncio.Protocol, "127.0.0.1", 0, ssl=context
    )
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(ssl.SSLCertVerificationError) as info:
            await asyncio.get_running_loop().create_connection(
                asyncio.Protocol,
                "127.0.0.1",
                port,
                ssl=upstream_context("", ALPN),
                server_hostname="origin.test",
            )
    assert "unable to get local issuer certificate" in explain(info.value)


def test_no_root_is_needed_above_what_is_trusted(
    authority: CertificateAuthority, extra: str
) -> None:
    """A company may give the authority that signs, and not the one above it; curl takes that, too."""
    server = authority.context("origin.test")
    shown = handshake(upstream_context(extra, ALPN), server, "origin.test").certificate
    signed_by_another = shown.public_bytes(Encoding.PEM).decode("ascii")
    handshake(upstream_context(signed_by_another, ALPN), server, "origin.test")


def test_old_authorities_need_not_keep_to_the_letter() -> None:
    """As for every other program of the host, whatever the Python."""
    assert not upstream_context("", ALPN).verify_flags & ssl.VERIFY_X509_STRICT


def test_the_hosts_store_is_found_where_openssl_does_not_look(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A Python with an OpenSSL of its own may know of other places than the system's."""
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    assert any(Path(each).exists() for each in trust._BUNDLES)
    assert upstream_context("", ALPN).cert_store_stats()["x509_ca"]


def test_the_hosts_store_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many connections begin at the same moment."""
    made: list[ssl.SSLContext] = []
    create = ssl.create_default_context

    def counted() -> ssl.SSLContext:
        made.append(create())
        return made[-1]

    monkeypatch.setattr(ssl, "create_default_context", counted)
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(upstream_context, [""] * 16, [ALPN] * 16))
    assert len(made) == 1
    assert set(found) == set(made)
    assert upstream_context("", ("http/1.1",)) not in made[:1]
