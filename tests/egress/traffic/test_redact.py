"""Secrets that must not be recorded."""

from __future__ import annotations

import gzip
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moat.egress.traffic import redact
from moat.egress.traffic.redact import MASK


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/a/b", "/a/b"),
        ("/a?page=2&max_tokens=5", "/a?page=2&max_tokens=5"),
        ("/a?key=AIza", "/a?key=***"),
        ("/a?x=1&access_token=t&y=2", "/a?x=1&access_token=***&y=2"),
        ("/a?ACCESS_TOKEN=t", "/a?ACCESS_TOKEN=***"),
        ("/a?%74oken=t", "/a?%74oken=***"),
        ("/a?sig=a;b=c&d=e", "/a?sig=***&d=e"),
        ("/a?b=c;token=t", "/a?b=c;token=***"),
        ("/a?b=c?token=t", "/a?b=c?token=***"),
        ("/a?token=t=u?v=w", "/a?token=***"),
        ("/a?X-Amz-Signature=0&X-Amz-Credential=1", "/a?X-Amz-Signature=***&X-Amz-Credential=***"),
        ("/a?code=1&password=2&client_secret=3", "/a?code=***&password=***&client_secret=***"),
        ("/a?X-Goog-Signature=0&X-Goog-Date=1", "/a?X-Goog-Signature=***&X-Goog-Date=1"),
        ("/a?X-Amz-Security-Token=0", "/a?X-Amz-Security-Token=***"),
        ("/a?signature=0&sig=1&jwt=2", "/a?signature=***&sig=***&jwt=***"),
        ("/a?sessionid=0&session_id=1&pwd=2", "/a?sessionid=***&session_id=***&pwd=***"),
        ("/a?token_count=5&token_type=x&tokenizer=y", "/a?token_count=5&token_type=x&tokenizer=y"),
        ("/a?token=", "/a?token=***"),
        ("/a?token", "/a?token"),
        ("/token=1?a=b", "/token=1?a=b"),
        ("/a;token=s/b?c=d", "/a;token=***/b?c=d"),
        ("/a;b=c;jsessionid=s&t;u=v", "/a;b=c;jsessionid=***"),
        ("/a;b/session=c?token=d", "/a;b/session=c?token=***"),
        ("/a;b=c/d;v=1", "/a;b=c/d;v=1"),
    ],
)
def test_secrets_of_a_query_are_masked(path: str, shown: str) -> None:
    """Values of secret parameters are masked, and their names stay."""
    assert redact.target(path) == shown


@given(st.text(), st.sampled_from(["token", "Sig", "api_key", "X-Amz-Security-Token"]))
def test_no_secret_hides_behind_what_stands_before_it(before: str, name: str) -> None:
    """No prefix that the sandbox chooses hides a secret, and nothing else is lost."""
    shown = redact.target(f"/?{before}&{name}=s3cr3t-v4lue&end=1")
    assert "s3cr3t-v4lue" not in shown
    assert shown.endswith("&end=1")


@given(st.text(alphabet="ab=&;?#%/", max_size=60))
def test_what_holds_no_secret_stays_as_it_is(path: str) -> None:
    """Text without a secret stays the same to the last character."""
    assert redact.target(path) == path


def test_secret_headers_are_masked_by_name() -> None:
    """Secret headers are masked in every spelling, and similar names are left alone."""
    secret = """Authorization proxy-authorization COOKIE Set-Cookie X-Api-Key x-goog-api-key api-key
        X-Amz-Security-Token Private-Token X-Vault-Token X-Auth-Key Ocp-Apim-Subscription-Key
        X-Client-Secret X-Password Sec-WebSocket-Protocol X-CSRF-Token X-Auth-Token""".split()
    plain = """Content-Type Sec-WebSocket-Key WWW-Authenticate Idempotency-Key ETag
        anthropic-ratelimit-tokens-remaining""".split()
    sent = [(name.encode(), b"value") for name in (*secret, *plain)]
    assert redact.fields(sent) == [(name, MASK) for name in secret] + [
        (name, "value") for name in plain
    ]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("https://user:pw@h/p?a=1", "https://***@h/p?a=1"),
        ("https://a@b:c@h/", "https://***@h/"),
        ("https://h/cb?code=x&state=1", "https://h/cb?code=***&state=1"),
        ("https://h/cb#access_token=x&type=y", "https://h/cb#access_token=***&type=y"),
        ("me@example.com", "me@example.com"),
        ("token=x", "token=***"),
        ("max-age=5", "max-age=5"),
    ],
)
def test_urls_in_headers_are_redacted(value: str, shown: str) -> None:
    """Location and Referer may contain the same secrets as a query."""
    assert redact.fields([(b"Location", value.encode())]) == [("Location", shown)]


def test_credentials_are_known_in_headers_of_any_name() -> None:
    """Credentials are recognised in headers of any name, but a challenge isn't one."""
    for value in (b"Bearer abcdef0123456789", b"basic dXNlcjpwYXNzd29yZA=="):
        assert redact.fields([(b"X-Upstream", value)]) == [("X-Upstream", MASK)]
    challenge = (b"WWW-Authenticate", b'Bearer realm="x", error="invalid_token"')
    assert redact.fields([challenge])[0][1] == challenge[1].decode()


def test_a_header_may_be_any_bytes() -> None:
    """A value that isn't text is no error."""
    assert redact.fields([(b"X-\xff", b"\x00\xfe")]) == [("X-\xff", "\x00\xfe")]


JSON = [(b"Content-Type", b"application/json; charset=utf-8")]


@pytest.mark.parametrize(
    ("sent", "data", "kept"),
    [
        (JSON, b'{"access_token": "a\\"b", "n": "x"}', b'{"access_token": "***", "n": "x"}'),
        (JSON, b'{"client_secret":"cut of', b'{"client_secret":"***"'),
        (JSON, b'{"apiKey":"cut at a backslash\\', b'{"apiKey":"***"'),
        (JSON, b'{"token": "Hello", "max_tokens": 5}', b'{"token": "Hello", "max_tokens": 5}'),
        (JSON, b'{"x": "\xff"}', b'{"x": "\xff"}'),
        (
            [(b"content-type", b"application/x-www-form-urlencoded")],
            b"password=a&user=b&refresh_token=c",
            b"password=***&user=b&refresh_token=***",
        ),
        ([(b"content-type", b"text/plain")], b"password=a", b"password=a"),
        (
            [(b"content-type", b"text/plain")],
            b"GET / HTTP/1.1\r\nAuthorization: Bearer topsecret2\r\nAccept: */*",
            b"GET / HTTP/1.1\r\nAuthorization: Bearer ***\r\nAccept: */*",
        ),
        (
            [(b"content-type", b"text/html")],
            b'<a href="https://u:p@w@h/a?x=1&amp;X-Amz-Signature=s">',
            b'<a href="https://***@h/a?x=1&amp;X-Amz-Signature=***">',
        ),
        ([(b"content-type", b"image/png")], b"a://b@c?token=d", b"a://b@c?token=d"),
        ([], b"\x00\x01", b"\x00\x01"),
    ],
)
def test_bodies_lose_their_secrets(
    sent: list[tuple[bytes, bytes]], data: bytes, kept: bytes
) -> None:
    """Secrets in forms and JSON objects are masked, even if the body is cut off."""
    assert redact.body(sent, data) == kept


def test_a_compressed_body_is_kept_plain_or_not_at_all() -> None:
    """A body that can't be decoded is not recorded; a truncated one is decoded as far as possible."""
    data = gzip.compress(json.dumps({"id_token": "s3cr3t", "x": "y" * 50}).encode())
    coded = [*JSON, (b"Content-Encoding", b"gzip")]
    assert redact.body(coded, data) == b'{"id_token": "***", "x": "' + b"y" * 50 + b'"}'
    cut = redact.body(coded, data[:-12])
    assert cut is not None
    assert cut.startswith(b'{"id_token": "***"')
    assert redact.body(coded, b"no gzip") is None
    assert redact.body([*JSON, (b"content-encoding", b"br")], data) is None
    bomb = redact.body([(b"content-encoding", b"gzip")], gzip.compress(bytes(1 << 24)))
    assert bomb is not None
    assert len(bomb) == 1 << 16


SECRETS = """authorization proxy-authorization cookie set-cookie pwd passwd password passphrase jwt
    session session_id sessionid session_token access_key secret_access_key private_key client_secret
    refresh_token id_token access_token api_key x-api-key signature assertion code_verifier _auth auth
    aws_session_token""".split()


@pytest.mark.parametrize("name", SECRETS)
def test_members_are_known_in_every_spelling(name: str) -> None:
    """Names of members count in any case, and with a hyphen, an underscore or nothing between words."""
    for between in "-", "_", "":
        spelled = name.replace("_", between).replace("-", between) if name[0] != "_" else name
        for each in (spelled, spelled.upper(), spelled.title()):
            for value in ('"s3cr3t"', '["s3cr3t"]', '[ "s3cr3t" , "s3cr3t"]', '["s3cr3t'):
                kept = redact.body(JSON, f'{{"{each}" : {value}'.encode())
                assert kept is not None
                assert b"s3cr3t" not in kept, (each, value)
                assert each.encode() in kept


def test_members_that_only_sound_secret_are_kept() -> None:
    """Counts, kinds, endpoints and the pieces of a model's response are no secrets."""
    text = json.dumps(
        {
            "max_tokens": "5", "prompt_tokens": "5", "token_count": "5", "token_type": "bearer",
            "authorization_endpoint": "https://h/a", "token_endpoint": "https://h/b",
            "session_count": "3", "code": "ENOENT", "token": " world", "keys": ["a"], "author": "x",
        }
    ).encode()  # fmt: skip
    assert redact.body(JSON, text) == text


@pytest.mark.parametrize(
    ("data", "kept"),
    [
        ('{"token": "ghs_16C7e42F292c6912E7710c838347Ae178B4a"}', '{"token": "***"}'),
        (
            '{"grant_type": "authorization_code", "code": "abc"}',
            '{"grant_type": "authorization_code", "code": "***"}',
        ),
        (
            r'{"head": "GET /\r\nAuthorization: Bearer topsecret2\r\nA: b"}',
            r'{"head": "GET /\r\nAuthorization: Bearer ***\r\nA: b"}',
        ),
        (
            r'{"raw": "{\"authorization\":\"Bearer x\"}"}',
            r'{"raw": "{\"authorization\":\"Bearer ***\"}"}',
        ),
        ('["Authorization", "Basic dTpw"]', '["Authorization", "Basic ***"]'),
        (
            '{"name": "authorization", "value": "Bearer x"}',
            '{"name": "authorization", "value": "Bearer ***"}',
        ),
        (
            r'{"url": "https:\/\/u:p@h\/a?b=1\u0026X-Amz-Signature=s\u0026c=2"}',
            r'{"url": "https:\/\/***@h\/a?b=1\u0026X-Amz-Signature=***\u0026c=2"}',
        ),
    ],
)
def test_secrets_within_other_values_are_masked(data: str, kept: str) -> None:
    """Echoed requests, signed URLs and requests for tokens are masked inside other values."""
    assert redact.body(JSON, data.encode()) == kept.encode()


@given(st.binary(max_size=200))
def test_any_bytes_may_call_themselves_json(data: bytes) -> None:
    """No response of a server stops the recording."""
    assert redact.body(JSON, data) is not None


@pytest.mark.parametrize(
    "piece",
    [
        *(b'"k":"\\\n', b'"k"   ', b'\\"', b'"\\', b'":"', b'"k":["', b'"k":[', b"?a=", b"://a"),
        *(b"://a@", b"authorization ", b"authorization:value:", b"&aaaaaaaa"),
    ],
)
def test_a_body_made_to_be_slow_is_not(piece: bytes) -> None:
    """64 KiB that provoke backtracking are redacted in time; hint: the test has a timeout."""
    redact.body(JSON, (piece * 65536)[:65536])
