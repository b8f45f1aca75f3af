"""Signatures for AWS: the same as botocore's own, made from what a client signed with placeholders."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import botocore.auth
import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from moat.egress.authorization import sigv4
from moat.egress.authorization.places import UnusableCredentialError
from moat.egress.http.messages import RequestHead

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moat.egress.traffic.entry import Fields

PLACEHOLDERS = Credentials("AKIAPLACEHOLDER00000", "placeholder" * 4, "a placeholder, too")
SECRETS = {"access_key_id": "AKIAREALKEYOFTHEUSER", "secret_access_key": "r3al/s3cret+key" * 3}
NOW = dt.datetime(2026, 11, 28, 12, 0, tzinfo=dt.UTC)


@pytest.fixture(autouse=True)
def _still_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda **_: NOW)


def by_botocore(
    url: str, keys: Credentials, service: str, method: str, body: bytes, headers: Mapping[str, str]
) -> Fields:
    """Return the fields of a request that botocore has signed."""
    request = AWSRequest(method=method, url=url, data=body, headers=dict(headers))
    request.context["payload_signing_enabled"] = True
    kind = botocore.auth.S3SigV4Auth if service == "s3" else botocore.auth.SigV4Auth
    kind(keys, service, "eu-west-1").add_auth(request)
    return [(name.encode(), str(value).encode()) for name, value in request.headers.items()]


def signed_anew(url: str, fields: Fields, method: str, body: bytes, **more: str) -> Fields:
    parts = urlsplit(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    request = RequestHead(method, target, fields)
    request.framing = len(body)
    assert parts.hostname
    return sigv4.signed(request, target, parts.hostname.encode(), body, {**SECRETS, **more})


def value(fields: Fields, name: bytes) -> str:
    [found] = [each for key, each in fields if key.lower() == name]
    return found.decode()


@pytest.mark.parametrize("session", ["", "the real session's token"])
@pytest.mark.parametrize(
    ("service", "method", "url", "body", "headers"),
    [
        ("sts", "POST", "https://sts.test/", b"Action=GetCallerIdentity", {"Content-Type": "a/b"}),
        ("dynamodb", "POST", "https://db.test/", b"{}", {"X-Amz-Target": "DynamoDB.ListTables"}),
        ("execute-api", "GET", "https://api.test/a//b/../c%20d/?b=2&a=1&a=0&c", b"", {}),
        ("bedrock", "POST", "https://b.test/model/eu.x%3A0/invoke", b'{"a": 1}', {}),
        ("s3", "GET", "https://s3.test/a//b/../c%20d?list-type=2&prefix=a%2Fb", b"", {}),
        ("s3", "PUT", "https://bucket.s3.test/key", b"content", {"X-Amz-Meta-A": "b   c"}),
    ],
)
def test_the_signature_is_the_one_that_botocore_makes_with_the_real_keys(
    service: str, method: str, url: str, body: bytes, headers: Mapping[str, str], session: str
) -> None:
    """A server that recomputes it accepts the request."""
    real = Credentials(*SECRETS.values(), session or None)
    expected = by_botocore(url, real, service, method, body, headers)
    client = by_botocore(url, PLACEHOLDERS, service, method, body, headers)
    made = signed_anew(url, client, method, body, session_token=session)
    assert value(made, b"authorization") == value(expected, b"authorization")
    assert "laceholder" not in str(made)
    assert (b"x-amz-security-token" in {name.lower() for name, _ in made}) is bool(session)


@pytest.mark.parametrize("told", ["UNSIGNED-PAYLOAD", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"])
def test_a_body_that_is_not_signed_need_not_be_there(told: str) -> None:
    """It is passed on as it comes, whatever its length."""
    fields = by_botocore("https://s3.test/k", PLACEHOLDERS, "s3", "PUT", b"x", {})
    fields = [each for each in fields if each[0].lower() != b"x-amz-content-sha256"]
    fields.append((b"x-amz-content-sha256", told.encode()))
    request = RequestHead("PUT", "/k", fields)
    request.framing = 1
    assert not sigv4.needs_body(request)
    assert (
        value(signed_anew("https://s3.test/k", fields, "PUT", b""), b"x-amz-content-sha256") == told
    )


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        (b"authorization", b"Bearer x", "isn't signed"),
        (b"authorization", b"AWS4-ECDSA-P256-SHA256 Credential=x", "isn't signed"),
        (b"x-amz-date", b"20200101T000000Z", "X-Amz-Date"),
        (b"x-amz-content-sha256", b"STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "chunks"),
    ],
)
def test_what_cannot_be_signed_anew_is_refused_with_the_reason(
    name: bytes, text: bytes, why: str
) -> None:
    """Nothing is sent with the placeholder's signature."""
    fields = by_botocore("https://s3.test/k", PLACEHOLDERS, "s3", "PUT", b"x", {})
    fields = [*((key, each) for key, each in fields if key.lower() != name), (name, text)]
    with pytest.raises(UnusableCredentialError, match=why):
        signed_anew("https://s3.test/k", fields, "PUT", b"x")
