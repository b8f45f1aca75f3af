"""The renewal of a credential at a real token endpoint with TLS."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from tests.origin import Origin

from moat.credentials.credential import Credential, CredentialKey
from moat.credentials.obtaining import http
from moat.credentials.obtaining.tokens import AuthorizationError
from moat.credentials.refresh import renewed
from moat.egress.tls.ca import CertificateAuthority
from moat.spec.grants import Refresh

if TYPE_CHECKING:
    from pathlib import Path

LOGIN = Credential(
    key=CredentialKey(provider="claude"),
    fields={"token": "old", "refresh_token": "r-old"},
    version=3,
)


def answer(status: str, body: object) -> bytes:
    text = json.dumps(body)
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(text)}\r\nConnection: close\r\n\r\n"
    return (head + text).encode()


ANSWERS = {
    "/rotating": answer(
        "200 OK", {"access_token": "new", "refresh_token": "r-new", "expires_in": 60}
    ),
    "/keeping": answer("200 OK", {"access_token": "new"}),
    "/refusing": answer(
        "400 Bad Request", {"error": "invalid_grant", "error_description": "no such token: r-old"}
    ),
    "/talking": b"r-old is no status line\r\n\r\n",
}


@pytest.mark.parametrize(("path", "refresh_token"), [("/rotating", "r-new"), ("/keeping", "r-old")])
def test_new_tokens_take_the_place_of_the_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, refresh_token: str
) -> None:
    """A refresh token that isn't replaced stays; the version says what the new form is made of."""
    authority = CertificateAuthority.load_or_create(tmp_path)
    (tmp_path / "ca.pem").write_bytes(authority.certificate_pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    with Origin(authority.context("localhost", ("http/1.1",)), ANSWERS) as origin:
        client = Refresh(token_url=f"https://localhost:{origin.port}{path}", client_id="c")
        new = renewed(LOGIN, client)
    assert new.fields == {"token": "new", "refresh_token": refresh_token}
    assert new.version == LOGIN.version
    assert origin.heads[0].startswith(f"POST {path} ".encode())


def test_a_refusal_says_why_without_a_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the old nor a new one is quoted."""
    authority = CertificateAuthority.load_or_create(tmp_path)
    (tmp_path / "ca.pem").write_bytes(authority.certificate_pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    with Origin(authority.context("localhost", ("http/1.1",)), ANSWERS) as origin:
        client = Refresh(token_url=f"https://localhost:{origin.port}/refusing")
        with pytest.raises(AuthorizationError, match="invalid_grant") as refused:
            renewed(LOGIN, client)
    assert "r-old" not in str(refused.value)


def test_an_answer_that_is_no_http_is_not_quoted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run whose request waits for the token reads the error."""
    authority = CertificateAuthority.load_or_create(tmp_path)
    (tmp_path / "ca.pem").write_bytes(authority.certificate_pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    with Origin(authority.context("localhost", ("http/1.1",)), ANSWERS) as origin:
        client = Refresh(token_url=f"https://localhost:{origin.port}/talking")
        with pytest.raises(http.UnreachableError, match="its answer is no HTTP") as failed:
            renewed(LOGIN, client)
    assert "r-old" not in str(failed.value)


@pytest.mark.parametrize("path", ["/wait", "/endless"])
def test_a_server_is_not_waited_for_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """All runs with the credential wait for its renewal, so that has an end whatever the server does."""
    authority = CertificateAuthority.load_or_create(tmp_path)
    (tmp_path / "ca.pem").write_bytes(authority.certificate_pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    begun = {"/endless": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"}
    with (
        Origin(authority.context("localhost", ("http/1.1",)), begun) as origin,
        pytest.raises(http.UnreachableError, match=r"it took longer than 0\.5 s"),
    ):
        http.request("POST", f"https://localhost:{origin.port}{path}", {}, b"", total=0.5)
